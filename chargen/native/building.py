"""Build the kernels with the system's C compiler: at first use, and when a wheel is built."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from chargen.files import write_atomically
from chargen.native.library import BUILD_FLAGS, SOURCE, Instructions, NoKernelsError, load_library

LONGEST_BUILD_SECONDS = 120


def build_library(path: Path, instructions: Instructions) -> None:
    """Build a library, unless another process has built it in the meantime; a damaged one is replaced.

    Raises NoKernelsError if it cannot be built, and OSError if there is no room for it.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        with suppress(OSError):
            load_library(path, instructions)
            return
        write_atomically(path, compile_library(instructions))


def compiler() -> str | None:
    """Return the path of the C compiler: $CC, or cc by default."""
    return shutil.which(os.environ.get("CC") or "cc")


def build_command(output: Path, flags: Sequence[str]) -> list[str]:
    """Return the command that builds the kernels. Raises NoKernelsError if there is no compiler."""
    found = compiler()
    if found is None:
        raise NoKernelsError("there is no C compiler (cc) to build them with")
    return [found, *BUILD_FLAGS, *flags, "-o", str(output), str(SOURCE), "-lm"]


def compile_library(instructions: Instructions) -> bytes:
    """Return the content of a library for some instructions. Raises NoKernelsError if it cannot be built."""
    with tempfile.TemporaryDirectory(prefix="chargen-") as folder:
        output = Path(folder) / "kernels.so"
        command = build_command(output, ("-w", *instructions.flags))
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONGEST_BUILD_SECONDS)
        except subprocess.CalledProcessError as error:
            said = next((line for line in error.stderr.splitlines() if "error" in line), f"exit code {error.returncode}")
            raise NoKernelsError(f"{command[0]} cannot build them: {said.strip()}") from error
        except subprocess.TimeoutExpired as error:
            raise NoKernelsError(f"{command[0]} was not done after {LONGEST_BUILD_SECONDS} s") from error
        built = output.read_bytes()
    return built + hashlib.sha256(built).digest()
