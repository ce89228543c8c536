"""Choose a backend that is installed."""

from chargen.settings.layers import Resolved
from chargen.settings.schema import Mapped
from chargen.terminal import echo
from chargen.training.devices.backend import installed_backends, need_backend


def choose_backend(resolved: Resolved, *, verbosity: int) -> list[tuple[str, Mapped]]:
    """Return a layer of settings that names an installed backend, or no layer if the resolved backend is installed.

    Only the default is replaced, and a line on stderr says so. Raises ConfigError if the backend that was given is not
    installed, or if Keras has none at all.
    """
    wanted, installed = resolved.settings.training.backend, installed_backends()
    if wanted == "numpy" or wanted in installed:
        return []
    if resolved.origin["training.backend"] != "default" or not installed:
        need_backend(wanted)
    if verbosity:
        echo(f"{wanted} is not installed: training with --backend {installed[0]}", err=True)
    return [("installed", {"training": {"backend": installed[0]}})]
