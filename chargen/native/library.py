"""Load the kernels for this processor.

A wheel for Linux contains built libraries; otherwise a library is built at first use and kept in the cache folder. Its name
contains a hash of its sources and flags, and its last bytes are a hash of the bytes before them, so that a library of another
version or processor, or a damaged one, is not loaded. Without kernels, their callers use XLA's loops, Keras's layers or NumPy.
"""

import ctypes
import hashlib
import os
import platform
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from chargen.files import cache_folder

Products = Literal["float32", "bfloat16"]  # number format of the operands of products

SWITCH = "CHARGEN_NATIVE"  # 0 turns the kernels off, avx2 limits them to AVX2
SOURCE = Path(__file__).with_name("library.c")  # which includes the others
PREBUILT = SOURCE.with_name("prebuilt")  # in a wheel only
BUILD_FLAGS = ("-O3", "-std=gnu11", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread")
DIGEST_BYTES = hashlib.sha256().digest_size


class Instructions(NamedTuple):
    """A set of instructions: the processor's flags that it needs, as Linux lists them, and the compiler's."""

    name: str
    needs: frozenset[str]
    flags: tuple[str, ...]


AVX2 = Instructions("AVX2", frozenset({"avx2", "fma", "bmi2", "f16c", "movbe"}), ("-march=x86-64-v3",))
AVX512 = Instructions(
    "AVX-512", AVX2.needs | {f"avx512{part}" for part in ("f", "bw", "cd", "dq", "vl")}, ("-march=x86-64-v4",)
)
BFLOAT16 = Instructions("AVX512-BF16", AVX512.needs | {"avx512_bf16"}, (*AVX512.flags, "-mavx512bf16", "-DBFLOAT16"))
CHOICES: dict[Products, tuple[Instructions, ...]] = {"float32": (AVX512, AVX2), "bfloat16": (BFLOAT16,)}


class Kernels(NamedTuple):
    """Hold a loaded library and its path."""

    library: ctypes.CDLL
    instructions: str
    path: Path

    @property
    def prebuilt(self) -> bool:
        """Whether the library comes from the wheel."""
        return self.path.parent == PREBUILT


class NoKernelsError(Exception):
    """An error that says why there are no kernels; the message can follow "because"."""


def load_kernels(products: Products = "float32") -> Kernels:
    """Return the kernels for this processor, after building them if necessary, which takes seconds. Raises NoKernelsError."""
    outcome = _load_or_build(products)
    if isinstance(outcome, NoKernelsError):
        raise outcome
    return outcome


def kernels_or_none(products: Products = "float32") -> Kernels | None:
    """Return the kernels for this processor, after building them if necessary, or None if that is impossible."""
    with suppress(NoKernelsError):
        return load_kernels(products)
    return None


def bfloat16_speed() -> float | None:
    """Return how many times as fast as float32 numbers this processor multiplies bfloat16 numbers; None without both kernels.

    It is measured in about a millisecond. Some processors that have the instructions for bfloat16 numbers are slower with them.
    """
    bfloat16 = kernels_or_none("bfloat16")
    float32 = kernels_or_none() if bfloat16 else None
    if bfloat16 is None or float32 is None:
        return None
    return float(bfloat16.library.products_a_second() / float32.library.products_a_second())


@cache
def _load_or_build(products: Products) -> Kernels | NoKernelsError:
    """Return the kernels, or the reason for which there are none; a process tries once."""
    try:
        instructions = choose_instructions(products)
        with suppress(OSError):
            return _load_built(instructions)
        from chargen.native.building import build_library

        path = library_path(instructions)
        build_library(path, instructions)
        find_kernels.cache_clear()
        return load_library(path, instructions)
    except NoKernelsError as why:
        return why
    except OSError as error:
        return NoKernelsError(f"{cache_folder('native')} cannot hold them: {error.strerror or error}")


@cache
def find_kernels(products: Products = "float32") -> Kernels | None:
    """Return the kernels for this processor if they are already built, else None."""
    with suppress(OSError, NoKernelsError):
        return _load_built(choose_instructions(products))
    return None


def _load_built(instructions: Instructions) -> Kernels:
    """Load the wheel's library or else that in the cache folder. Raises OSError if there is neither."""
    with suppress(OSError):
        return load_library(PREBUILT / library_name(instructions), instructions)
    return load_library(library_path(instructions), instructions)


def choose_instructions(products: Products) -> Instructions:
    """Return the best instructions that this processor has. Raises NoKernelsError."""
    switch = os.environ.get(SWITCH, "")
    if switch == "0":
        raise NoKernelsError(f"{SWITCH} is 0")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise NoKernelsError(f"they are for Linux on x86-64, this is {platform.system()} on {platform.machine()}")
    flags = processor_flags()
    choices = [one for one in CHOICES[products] if one is AVX2 or switch != "avx2"]
    for one in choices:
        if one.needs <= flags:
            return one
    raise NoKernelsError(f"the processor has no {choices[-1].name}" if choices else f"{SWITCH} is {switch}")


@cache
def processor_flags() -> frozenset[str]:
    """Return the flags of the first processor in /proc/cpuinfo; an empty set without that file."""
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, values = line.partition(":")
            if name.strip() == "flags":
                return frozenset(values.split())
    return frozenset()


def library_path(instructions: Instructions) -> Path:
    """Return the path in the cache folder of the library for some instructions."""
    return cache_folder("native") / library_name(instructions)


def library_name(instructions: Instructions) -> str:
    """Return the file name of the library for some instructions."""
    made_from = hashlib.sha256()
    for source in sorted(SOURCE.parent.glob("*.c")):
        made_from.update(source.read_bytes())
    made_from.update(repr((BUILD_FLAGS, instructions.flags, platform.machine())).encode())
    return f"kernels-{made_from.hexdigest()[:16]}.so"


def load_library(path: Path, instructions: Instructions) -> Kernels:
    """Load a library. Raises OSError if it is missing, damaged, or owned by a user who does not own chargen."""
    if path.stat().st_uid not in (os.getuid(), 0, SOURCE.stat().st_uid):
        raise OSError(f"{path} belongs to another user")
    content = path.read_bytes()
    if hashlib.sha256(content[:-DIGEST_BYTES]).digest() != content[-DIGEST_BYTES:]:
        raise OSError(f"{path} is damaged")
    library = ctypes.CDLL(str(path))
    for name in ("kept_floats", "packed_floats", "dense_floats"):
        getattr(library, name).restype = ctypes.c_long
    library.products_a_second.restype = ctypes.c_double
    library.register_with_xla.restype = ctypes.c_char_p
    return Kernels(library, instructions.name, path)
