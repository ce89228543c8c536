"""From a batch plan to what Keras's `fit` reads."""

import math
from collections.abc import Iterable, Iterator
from itertools import count, repeat
from typing import Any

import numpy.typing as npt
import tensorflow as tf

from chargen.corpus.windows import BatchPlan

EXECUTIONS_AHEAD = 2


def training_data(plan: BatchPlan, *, steps_per_execution: int = 1) -> tf.data.Dataset:
    """Return the executions of epoch after epoch, without an end: `fit` takes `num_executions` of them an epoch.

    An execution is the next K batches stacked, or those left of the epoch.
    """
    return _dataset(plan, count(), steps_per_execution)


def repeated_data(plan: BatchPlan, *, steps_per_execution: int = 1) -> tf.data.Dataset:
    """Return the executions of the first epoch over and over: validation reads the same ones every time.

    It has no end either, because a step that runs out of data still counts in Keras's mean of the loss.
    """
    return _dataset(plan, repeat(0), steps_per_execution)


def num_executions(plan: BatchPlan, steps_per_execution: int) -> int:
    """Return how many executions an epoch takes."""
    return math.ceil(plan.num_steps / steps_per_execution)


def _dataset(plan: BatchPlan, epochs: Iterable[int], steps_per_execution: int) -> tf.data.Dataset:
    """Wrap a generator, without the autotuning whose loop would keep `fit` from returning for up to ten seconds."""

    def executions() -> Iterator[tuple[npt.NDArray[Any], ...]]:
        for epoch in epochs:
            for first in range(0, plan.num_steps, steps_per_execution):
                yield tuple(plan.batches(epoch, first, min(steps_per_execution, plan.num_steps - first)))

    signature = tuple(tf.TensorSpec((None, *array.shape), array.dtype) for array in plan.batch(0, 0))
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(executions, output_signature=signature)
    return dataset.prefetch(EXECUTIONS_AHEAD).with_options(options)
