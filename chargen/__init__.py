"""Train a SimpleRNN, LSTM or GRU on any text file, and write more of it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chargen.version import __version__ as __version__

if TYPE_CHECKING:  # for editors and type checkers: names are imported on first use, so that `import chargen` loads nothing
    from chargen import errors as errors
    from chargen.api import Classifier as Classifier
    from chargen.api import Model as Model
    from chargen.api import Run as Run
    from chargen.api import load as load
    from chargen.api import load_classifier as load_classifier
    from chargen.api import resume as resume
    from chargen.api import train as train

__all__ = ["Classifier", "Model", "Run", "errors", "load", "load_classifier", "resume", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'chargen' has no attribute {name!r}")
    return import_module("chargen.errors") if name == "errors" else getattr(import_module("chargen.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
