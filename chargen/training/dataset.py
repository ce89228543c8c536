"""From a batch plan to what Keras's `fit` reads."""

from collections.abc import Iterable, Iterator
from itertools import count, repeat
from typing import Any

import numpy.typing as npt
import tensorflow as tf

from chargen.corpus.windows import BatchPlan

BATCHES_AHEAD = 2


def training_batches(plan: BatchPlan) -> tf.data.Dataset:
    """Return the batches of epoch after epoch, without an end: `fit` takes `plan.num_steps` of them an epoch."""
    return _dataset(plan, count())


def repeated_batches(plan: BatchPlan) -> tf.data.Dataset:
    """Return the batches of the first epoch over and over: validation reads the same ones every time.

    It has no end either, because a step that runs out of batches still counts in Keras's mean of the loss.
    """
    return _dataset(plan, repeat(0))


def _dataset(plan: BatchPlan, epochs: Iterable[int]) -> tf.data.Dataset:
    """Wrap a generator, without the autotuning whose loop would keep `fit` from returning for up to ten seconds."""

    def batches() -> Iterator[tuple[npt.NDArray[Any], ...]]:
        for epoch in epochs:
            for step in range(plan.num_steps):
                yield tuple(plan.batch(epoch, step))

    signature = tuple(tf.TensorSpec(array.shape, array.dtype) for array in plan.batch(0, 0))
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(BATCHES_AHEAD).with_options(options)
