"""Record which versions of packages train a run: others may give other bytes."""

import platform
from importlib import import_module

import chargen


def trained_by(backend: str) -> dict[str, str]:
    """Return the versions of Python, chargen and what a backend computes with, which is loaded by now."""
    modules = ["numpy"] if backend == "numpy" else ["numpy", "keras", backend]
    computing = {name: str(import_module(name).__version__) for name in modules}
    return {"python": platform.python_version(), "chargen": chargen.__version__} | computing
