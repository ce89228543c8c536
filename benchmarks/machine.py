import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chargen.native.library import CHOICES, kernels_or_none

PACKAGES = ("numpy", "tensorflow", "keras", "jax", "torch")


def describe_machine() -> str:
    """Return what a figure depends on: processor, cores (each engine uses all), Python and packages."""
    packages = ", ".join(f"{name} {number}" for name in PACKAGES if (number := _version(name)))
    kernels = {name: kernels_or_none(name) for name in CHOICES}
    native = ", ".join(f"{name} kernels {found.instructions if found else 'none'}" for name, found in kernels.items())
    return f"{_processor()}, {os.cpu_count()} cores, {native}, Python {platform.python_version()}, {packages}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
