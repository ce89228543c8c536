"""Tell what the processor is good at, without loading a backend."""

from pathlib import Path

from chargen.native.library import bfloat16_speed

WORTH_A_PRECISION = 1.2  # times as fast as float32, to be chosen
DEVICES = Path("/dev")
GPU_DEVICES = ("nvidia[0-9]*", "kfd")  # of NVIDIA's and AMD's drivers


def multiplies_bfloat16(backend: str) -> bool:
    """Tell whether recurrent layers are faster with products of bfloat16 numbers: on a CPU that multiplies them faster."""
    return backend != "numpy" and not may_have_gpu() and (bfloat16_speed() or 0) >= WORTH_A_PRECISION


def may_have_gpu() -> bool:
    """Tell whether the system has a GPU that a backend may train on, if it was built for it."""
    return any(any(DEVICES.glob(pattern)) for pattern in GPU_DEVICES)
