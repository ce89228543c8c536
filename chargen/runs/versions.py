"""Write and read versions.toml: the versions of the packages that trained a run. Other versions may give other bytes."""

import platform
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import tomli_w

from chargen.errors import RunError
from chargen.native.library import find_kernels
from chargen.runs.directory import write_first
from chargen.version import __version__


def loaded_versions(backend: str) -> dict[str, str]:
    """Return the versions of Python, chargen and the packages that a backend computes with, which are loaded by now.

    kernels: the instructions of the C kernels if there are any, for recurrent layers of Keras.
    """
    modules = ["numpy"] if backend == "numpy" else ["numpy", "keras", backend]
    computing = {name: str(import_module(name).__version__) for name in modules}
    if backend != "numpy":
        kernels = find_kernels()
        computing["kernels"] = kernels.instructions if kernels else "none"
    return {"python": platform.python_version(), "chargen": __version__} | computing


def write_versions(path: Path, versions: Mapping[str, str]) -> None:
    """Write versions.toml. Raises RunError if it cannot be written."""
    write_first(path, tomli_w.dumps(versions))


def read_versions(path: Path) -> dict[str, str]:
    """Return the versions by name, none if there is no file, as in older runs. Raises RunError for a damaged file."""
    if not path.is_file():
        return {}
    try:
        return {name: str(version) for name, version in tomllib.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
