"""Compute Dense layers, such as those between recurrent outputs and logits, with the kernels in C or, without them, in NumPy.

The kernels are faster for few outputs. And after each product, NumPy's threads wait busily for the next one, on cores that the
threads of the recurrent layers need.
"""

import ctypes
from collections.abc import Sequence

import numpy as np

from chargen.native.library import Kernels, find_kernels
from chargen.native.loss import Dense
from chargen.network.cells import Floats
from chargen.network.native_layer import num_threads


class PackedDense:
    """A Dense layer for the kernels: the struct, and the arrays that it refers to."""

    def __init__(self, kernels: Kernels, kernel: Floats, bias: Floats) -> None:
        self._library, self._kernel, self._bias = kernels.library, np.ascontiguousarray(kernel), np.ascontiguousarray(bias)
        self.struct = Dense(*kernel.shape, self._kernel.ctypes.data, self._bias.ctypes.data)
        self._packed = np.empty(self._library.dense_floats(ctypes.byref(self.struct)), np.float32)
        self.struct.packed = self._packed.ctypes.data
        self._library.pack_dense(ctypes.byref(self.struct))

    @property
    def num_weights(self) -> int:
        """The number of weights that each row is multiplied by."""
        return self._kernel.size

    def __call__(self, inputs: Floats, *, relu: bool, threads: int = 1) -> Floats:
        """Return the outputs, (N, H), of contiguous inputs, (N, D). Raises MemoryError."""
        outputs = np.empty((len(inputs), len(self._bias)), np.float32)
        numbers = [ctypes.c_long(one) for one in (len(inputs), relu, threads)]
        arrays = [ctypes.c_void_p(one.ctypes.data) for one in (inputs, outputs)]
        if self._library.dense_forward(ctypes.byref(self.struct), numbers[0], *arrays, *numbers[1:]):
            raise MemoryError("there is not enough memory for an output layer")
        return outputs


def project(inputs: Floats, kernel: Floats, bias: Floats) -> Floats:
    """Return the outputs, (N, H), of a Dense layer, given inputs, (N, D), kernel, (D, H), and bias, (H,)."""
    if kernels := find_kernels():
        inputs, layer = np.ascontiguousarray(inputs), PackedDense(kernels, kernel, bias)
        return layer(inputs, relu=False, threads=num_threads(len(inputs) * kernel.size))
    return inputs @ kernel + bias


class Head:
    """Dense layers, the kernel, (D, H), and the bias, (H,), of each. A ReLU follows all but the last."""

    def __init__(self, layers: Sequence[tuple[Floats, Floats]]) -> None:
        self._layers = layers
        self._packed: tuple[Kernels, list[PackedDense]] | None = None

    def packed(self, kernels: Kernels) -> list[PackedDense]:
        """Return the layers for the kernels."""
        if self._packed is None or self._packed[0] is not kernels:
            self._packed = kernels, [PackedDense(kernels, *layer) for layer in self._layers]
        return self._packed[1]

    def __call__(self, outputs: Floats) -> Floats:
        """Return the logits, (..., V), of recurrent outputs, (..., H)."""
        if kernels := find_kernels():
            values = np.ascontiguousarray(outputs.reshape(-1, outputs.shape[-1]), np.float32)
            packed = self.packed(kernels)
            for layer in packed:
                values = layer(values, relu=layer is not packed[-1], threads=num_threads(len(values) * layer.num_weights))
            return values.reshape(*outputs.shape[:-1], values.shape[-1])
        *others, (kernel, bias) = self._layers
        for weights, shifts in others:
            outputs = np.maximum(outputs @ weights + shifts, 0)
        return outputs @ kernel + bias
