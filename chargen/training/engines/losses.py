"""Compute the losses and counts of a batch, on any backend."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any  # of the backend
Summed = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, targets and weights to a sum over what weighs


def summed_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the cross-entropy in nats, summed: logits (..., V), targets (...) in [0, V), weights (...)."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    return loss(targets, logits, sample_weight=weights)


def num_right(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return how often the largest logit is that of the target; it has no gradient."""
    right = ops.equal(ops.argmax(logits, axis=-1), ops.cast(targets, "int64"))
    return ops.stop_gradient(ops.sum(ops.cast(right, "float32") * weights))


# Training lowers the first of them.
FIGURES_OF_TEXT: dict[str, Summed] = {"cross_entropy": summed_cross_entropy}
FIGURES_OF_LABELS: dict[str, Summed] = FIGURES_OF_TEXT | {"accuracy": num_right}
