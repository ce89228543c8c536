"""Take the steps of Adam, AdamW and Muon by a kernel: all weights at once, instead of some operations for each of them."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from chargen.scratch.optimizers import RATE
from chargen.training.engines.muon import Muon
from chargen.training.layers.native import NativeAdam, native_adam

Tensor = Any  # of the backend


class AdamKernel:
    """Updates the variables of a Keras optimizer and its weights as the optimizer does, to about 7 digits.

    Of Muon with products of bfloat16 numbers, to about 2.
    """

    def __init__(self, optimizer: keras.optimizers.Adam, run: NativeAdam, threads: int) -> None:
        self._optimizer, self._run, self._threads = optimizer, run, threads

    def apply(self, by_shard: Sequence[Sequence[Tensor]], total: Tensor, weights: Sequence[keras.Variable]) -> None:
        """Take a step with the sum of the gradients of the shards, divided by `total`."""
        optimizer = self._optimizer
        variables = [*weights, *optimizer._momentums, *optimizer._velocities]
        gates = optimizer.gates if isinstance(optimizer, Muon) else [0] * len(weights)
        after = self._run(self._numbers(total), (self._threads, *gates), by_shard, [one.value for one in variables])
        for variable, value in zip(variables, after, strict=True):
            variable.assign(value)
        optimizer.iterations.assign_add(1)

    def _numbers(self, total: Tensor) -> Tensor:
        """Return the fields of the struct `Adam` of adam.c."""
        optimizer = self._optimizer
        step = ops.cast(optimizer.iterations + 1, "float32")
        rate = ops.cast(optimizer.learning_rate, "float32")
        alpha = rate * ops.sqrt(1 - optimizer.beta_2**step) / (1 - optimizer.beta_1**step)
        clipping = [optimizer.global_clipnorm or 0.0, optimizer.clipvalue or 0.0]
        constants = [1 - optimizer.beta_1, 1 - optimizer.beta_2, optimizer.epsilon, rate * RATE]
        numbers = [1 / total, *clipping, alpha, rate * (optimizer.weight_decay or 0.0), *constants]
        return ops.stack([ops.cast(one, "float32") for one in numbers])


def adam_kernel(optimizer: keras.optimizers.Optimizer, *, threads: int) -> AdamKernel | None:
    """Return what takes the steps of an optimizer on so many threads of a CPU, or None if there is no kernel for it."""
    if type(optimizer) not in (keras.optimizers.Adam, keras.optimizers.AdamW, Muon):
        return None
    run = native_adam(optimizer.products if isinstance(optimizer, Muon) else "float32")
    return AdamKernel(optimizer, run, threads) if run else None
