"""Drop values with random numbers that are the same on each backend and cost little.

XLA's own take a hundred times as long on a CPU.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import layers, ops

Tensor = Any  # of the backend

SIGN = 0x80000000

_row_before: Tensor = 0  # how many rows of the batch come before those at hand


@contextmanager
def rows_from(first: Tensor) -> Iterator[None]:
    """Draw within for the rows of a batch from `first` on, as they would be drawn with all the others."""
    global _row_before
    before, _row_before = _row_before, first
    try:
        yield
    finally:
        _row_before = before


def _signed(word: int) -> int:
    """Return the int32 of the same bits: PyTorch cannot calculate with uint32."""
    return (word ^ SIGN) - SIGN


ROUNDS = ((16, _signed(0x7FEB352D)), (15, _signed(0x846CA68B)))  # of lowbias32 (Wellons 2018), a hash of 32 bits
LAST_SHIFT = 16


def mixed(values: Tensor) -> Tensor:
    """Return a hash of each int32: every bit of it depends on every bit of the value."""
    for shift, factor in ROUNDS:
        values = (values ^ _shifted(values, shift)) * factor
    return values ^ _shifted(values, LAST_SHIFT)


def _shifted(values: Tensor, shift: int) -> Tensor:
    """Return the values shifted to the right, zeros coming in from the left."""
    return ops.right_shift(values, shift) & ((1 << 32 - shift) - 1)


def hashed_dropout(inputs: Tensor, rate: float, seed: Tensor, shape: Sequence[int], *, first: Tensor = 0) -> Tensor:
    """Set a share of the values to zero, hashed from a seed, (2,), and scale the others up.

    Along an axis that `shape` has as 1 values are dropped together. `first` counts the rows before those of `inputs`.
    """
    places = ops.arange(math.prod(shape), dtype="int32") + first * math.prod(shape[1:])
    seed = ops.cast(seed, "int32")
    key = mixed(seed[0] + mixed(seed[1]))
    drawn = mixed(mixed(places + key) ^ mixed(key + 1))
    kept = (drawn ^ _signed(SIGN)) >= _signed(int(rate * 2**32) ^ SIGN)  # compared as unsigned numbers would be
    return ops.where(ops.reshape(kept, shape), inputs / (1 - rate), ops.zeros_like(inputs))


@keras.saving.register_keras_serializable(package="chargen")
class HashedDropout(layers.Dropout):
    """keras.layers.Dropout, its random numbers hashed from the place of a value and the state of the seed generator."""

    of_rows = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Set a share of the values to zero, and scale the others up.

        An axis whose `noise_shape` is 1 has its values dropped together.
        """
        if not training or not self.rate:
            return inputs
        whole = ops.shape(inputs)
        shape = [size if noise is None else noise for size, noise in zip(whole, self.noise_shape or whole, strict=True)]
        first = _row_before if self.of_rows else 0
        return hashed_dropout(inputs, self.rate, self.seed_generator.next(), shape, first=first)


@keras.saving.register_keras_serializable(package="chargen")
class HashedWeightDropout(HashedDropout):
    """The same of weights, whose first axis is none of a batch."""

    of_rows = False


def hash_masks(cell: Any) -> None:
    """Have the cell of a Keras layer draw what it drops in the same way."""

    def masks(step_input: Tensor, rate: float) -> Any:
        """Return what a step's inputs or states are multiplied with, or a list where every gate has its own."""
        ones, count = ops.ones_like(step_input), getattr(cell, "dropout_mask_count", None)
        seeds = [cell.seed_generator.next() for _ in range(count or 1)]
        drawn = [hashed_dropout(ones, rate, seed, ops.shape(ones), first=_row_before) for seed in seeds]
        return drawn if count else drawn[0]

    cell.__dict__["_create_dropout_mask"] = masks
