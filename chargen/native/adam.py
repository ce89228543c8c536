"""Take steps of Adam and Muon by their kernel on NumPy arrays, contiguous float32."""

import ctypes
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from chargen.native.library import Kernels

Floats = npt.NDArray[np.float32]


class Weight(ctypes.Structure):
    """The struct `Weight` of muon.c."""

    _fields_: ClassVar = [(name, ctypes.c_long) for name in ("size", "rows", "gates")]


class Step(ctypes.Structure):
    """The struct `Step` of adam.c."""

    _fields_: ClassVar = [
        ("adam", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("count", "shards")),
        *((name, ctypes.c_void_p) for name in ("weights", "gradients", "before", "after")),
    ]


def take_step(
    kernels: Kernels,
    numbers: Floats,
    gradients: Sequence[Sequence[Floats]],
    state: Sequence[Floats],
    *,
    gates: Sequence[int],
    threads: int = 1,
) -> None:
    """Change weights, momentum and velocity, which are the three parts of `state`, in place.

    numbers: the fields of the struct `Adam` of adam.c. gradients: of each shard, for each array of weights. gates: of each
    array of weights, or 0. Raises MemoryError.
    """
    count = len(gates)
    sizes = [Weight(one.size, len(one) if one.ndim else 1, number) for one, number in zip(state, gates, strict=False)]
    tables: list[Any] = [(Weight * count)(*sizes), _places([one for shard in gradients for one in shard]), _places(state)]
    addresses = list(map(ctypes.addressof, tables))
    step = Step(numbers.ctypes.data, count, len(gradients), *addresses, addresses[-1])
    if kernels.library.adam(ctypes.byref(step), ctypes.c_long(threads)):
        raise MemoryError("there is not enough memory for an optimizer step")


def _places(arrays: Sequence[Floats]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(one.ctypes.data for one in arrays))
