"""Dropout whose random numbers cost little: XLA's own take a hundred times as long on a CPU."""

import math
from typing import Any

import keras
from keras import layers, ops

Tensor = Any  # of the backend

FACTORS = (0x7FEB352D, 0x846CA68B)  # of lowbias32 (Wellons 2018), a hash of 32 bits
SHIFTS = (16, 15, 16)


def mixed(values: Tensor) -> Tensor:
    """Return a hash of each 32-bit value: every bit of it depends on every bit of the value."""
    for shift, factor in zip(SHIFTS, (*FACTORS, 1), strict=True):
        values = ops.bitwise_xor(values, ops.right_shift(values, ops.cast(shift, "uint32"))) * ops.cast(factor, "uint32")
    return values


@keras.saving.register_keras_serializable(package="chargen")
class HashedDropout(layers.Dropout):
    """keras.layers.Dropout, its random numbers hashed from the place of a value and the state of the seed generator."""

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Set a share of the values to zero, and scale the others up.

        An axis whose `noise_shape` is 1 has its values dropped together.
        """
        if not training or not self.rate:
            return inputs
        whole = ops.shape(inputs)
        shape = [size if noise is None else noise for size, noise in zip(whole, self.noise_shape or whole, strict=True)]
        places = ops.cast(ops.arange(math.prod(shape), dtype="int32"), "uint32")
        seed = ops.cast(self.seed_generator.next(), "uint32")  # (2,)
        first = mixed(seed[0] + mixed(seed[1]))
        second = mixed(first + ops.cast(1, "uint32"))
        drawn = mixed(ops.bitwise_xor(mixed(places + first), second))
        kept = ops.reshape(drawn >= ops.cast(int(self.rate * 2**32), "uint32"), shape)
        return ops.where(kept, inputs / (1 - self.rate), ops.zeros_like(inputs))
