"""Build the kernels when a wheel is built, as a build hook of Hatchling, so that the wheel needs no compiler at first use.

A wheel with kernels is for Linux on x86-64 and for the C library that they need. Elsewhere, or without a compiler, the wheel
contains no kernels and is for every system.
"""

import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_GLIBC = 17  # version 2.17: pip knows no older one
GLIBC_VERSION = re.compile(rb"GLIBC_2\.(\d+)")  # of the functions that a library calls


class KernelsHook(BuildHookInterface[Any]):
    """Adds the built libraries to a wheel, and names the systems that they are for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the libraries, but not for an editable install."""
        self._folder = tempfile.TemporaryDirectory(prefix="chargen-")
        libraries = [] if version == "editable" else list(self._build(Path(self._folder.name)))
        for path in libraries:
            build_data["force_include"][str(path)] = f"chargen/native/prebuilt/{path.name}"
        if libraries:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_system(libraries)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the libraries that are now in the wheel."""
        self._folder.cleanup()

    def _build(self, folder: Path) -> Iterator[Path]:
        """Yield the path of the library for each set of instructions that the compiler knows."""
        if sys.platform != "linux" or platform.machine() != "x86_64":
            return
        sys.path.insert(0, self.root)
        from chargen.native.building import compile_library
        from chargen.native.library import CHOICES, NoKernelsError, library_name

        for instructions in (one for choices in CHOICES.values() for one in choices):
            path = folder / library_name(instructions)
            try:
                path.write_bytes(compile_library(instructions))
                yield path
            except NoKernelsError as why:
                self.app.display_warning(f"the wheel contains no kernels for {instructions.name}: {why}")


def _system(libraries: list[Path]) -> str:
    """Return the tag of the systems on which the libraries load: those with the C library that they need, or a newer one."""
    versions = [int(found) for path in libraries for found in GLIBC_VERSION.findall(path.read_bytes())]
    return f"manylinux_2_{max(OLDEST_GLIBC, *versions)}_x86_64" if versions else "linux_x86_64"
