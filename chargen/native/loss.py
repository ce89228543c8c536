"""Call the kernel of an output layer and its loss on NumPy arrays.

Shapes: N rows, D inputs, V outputs; arrays are contiguous float32, targets int32.
"""

import ctypes
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from chargen.native.library import Kernels

Floats = npt.NDArray[np.float32]


class Dense(ctypes.Structure):
    """The struct `Dense` of dense.c."""

    _fields_: ClassVar = [
        ("D", ctypes.c_long),
        ("H", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("kernel", "bias", "packed")),
    ]


class Head(ctypes.Structure):
    """The struct `Head` of loss.c."""

    _fields_: ClassVar = [
        ("dense", Dense),
        ("N", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("inputs", "targets", "weights", "d_inputs", "d_kernel", "d_bias")),
    ]


def cross_entropy(
    kernels: Kernels,
    inputs: Floats,
    kernel: Floats,
    bias: Floats,
    targets: npt.NDArray[np.int32],
    weights: Floats,
    *,
    threads: int = 1,
    training: bool = True,
) -> tuple[float, list[Any]]:
    """Return the cross-entropy in nats, weighed and summed, and in training the gradients of the first three arrays.

    inputs: (N, D). kernel: (D, V). bias: (V,). targets, weights: (N,). Raises MemoryError.
    """
    gradients = [np.empty_like(one) for one in (inputs, kernel, bias)] if training else []
    addresses = [one.ctypes.data for one in (inputs, targets, weights, *gradients)]
    head = Head(Dense(*kernel.shape, kernel.ctypes.data, bias.ctypes.data), len(inputs), *addresses)
    loss = ctypes.c_float()
    if kernels.library.cross_entropy(ctypes.byref(head), ctypes.c_long(threads), ctypes.byref(loss)):
        raise MemoryError("there is not enough memory for an output layer")
    return loss.value, gradients
