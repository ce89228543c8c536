"""The optimizer Muon, for Keras."""

import math
from typing import Any

import keras
from keras import ops

from chargen.native.library import Products
from chargen.scratch.optimizers import ITERATIONS, QUINTIC, RATE, columns_together, muon_gates

Tensor = Any  # of the backend


@keras.saving.register_keras_serializable(package="chargen")
class Muon(keras.optimizers.AdamW):
    """Takes Muon's steps for the kernels of recurrent layers, each gate apart, and AdamW's for all other weights.

    See `chargen.scratch.optimizers.Muon` for the formula. products: what the kernels in C round the operands of products to.
    """

    def __init__(self, *arguments: Any, products: Products = "float32", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.products = products

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the slots, and find the kernels of recurrent layers by their names."""
        super().build(variables)
        found = muon_gates({one.path: tuple(one.shape) for one in variables})
        self.gates = [found.get(one.path, 0) for one in variables]

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Change a variable, and its slots."""
        index = self._get_variable_index(variable)
        if not self.gates[index]:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self._momentums[index]
        mean = momentum + (ops.cast(gradient, variable.dtype) - momentum) * (1 - self.beta_1)
        self.assign(momentum, mean)
        self.assign_sub(variable, _steps(mean, self.gates[index]) * (RATE * ops.cast(learning_rate, variable.dtype)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"products": self.products}


def _steps(momentum: Tensor, gates: int) -> Tensor:
    """Return the steps of a kernel, (rows, gates * units), for a rate of 1."""
    rows, units = momentum.shape[0], momentum.shape[1] // gates
    wide = columns_together(units)
    groups = math.ceil(units / wide)
    padded = ops.pad(ops.reshape(momentum, (rows, gates, units)), ((0, 0), (0, 0), (0, groups * wide - units)))
    matrices = ops.transpose(ops.reshape(padded, (rows, gates * groups, wide)), (1, 0, 2))  # of zeros there are only zeros
    steps = ops.reshape(ops.transpose(_orthogonal(matrices), (1, 0, 2)), (rows, gates, groups * wide))[:, :, :units]
    last = units - (groups - 1) * wide
    longer = [math.sqrt(max(rows, wide) / units)] * (units - last) + [math.sqrt(max(rows, last) / units)] * last
    return ops.reshape(steps * ops.convert_to_tensor(longer, momentum.dtype), momentum.shape)


def _orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices, (N, rows, columns), with singular values near 1."""
    if matrices.shape[1] > matrices.shape[2]:
        return ops.transpose(_orthogonal(ops.transpose(matrices, (0, 2, 1))), (0, 2, 1))
    a, b, c = QUINTIC
    norms = ops.sqrt(ops.sum(ops.square(matrices), axis=(1, 2), keepdims=True))
    x = matrices / (norms + 1e-12)
    for _ in range(ITERATIONS):
        gram = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return x
