"""Compute the losses and counts of a batch, on any backend."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any  # of the backend
Summed = Callable[[Tensor, Tensor, Tensor], Tensor]  # (logits, targets, sample weights) to a weighted sum


def summed_cross_entropy(logits: Tensor, targets: Tensor, sample_weights: Tensor) -> Tensor:
    """Return the cross-entropy in nats, summed: logits (..., V), targets (...) in [0, V), sample_weights (...)."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    return loss(targets, logits, sample_weight=sample_weights)


def num_right(logits: Tensor, targets: Tensor, sample_weights: Tensor) -> Tensor:
    """Return how often the largest logit is that of the target, without a gradient."""
    right = ops.equal(ops.argmax(logits, axis=-1), ops.cast(targets, "int64"))
    return ops.stop_gradient(ops.sum(ops.cast(right, "float32") * sample_weights))


# Training minimizes the first figure.
FIGURES_OF_TEXT: dict[str, Summed] = {"cross_entropy": summed_cross_entropy}
FIGURES_OF_LABELS: dict[str, Summed] = FIGURES_OF_TEXT | {"accuracy": num_right}
