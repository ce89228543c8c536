"""Take optimizer steps on TensorFlow: each core runs the whole network on a shard of the rows.

A step of a recurrent layer is too small to be divided among cores, but the rows of a batch are independent. So each shard runs
forward and backward as one XLA computation on its own thread, and the gradients are added up for the optimizer step. With one
shard, and an optimizer that is a kernel, all steps of an execution are one XLA computation.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from chargen.corpus.windows import Batch
from chargen.training.devices.backend import accelerated
from chargen.training.engines.adam import adam_kernel
from chargen.training.engines.engine import SEED_STATE, Engine

Tensors = list[tf.Tensor]


class TensorFlowEngine(Engine):
    """Takes several steps in one TensorFlow graph, each cut into shards, which XLA compiles where that is faster."""

    def __init__(self, *arguments: Any, largest: Batch, **options: Any) -> None:
        super().__init__(*arguments, largest=largest, **options)
        self._measured = tf.Variable(tf.zeros(len(self._figures) + 1), trainable=False)
        self._by_shard = [self._carried_variables, *(self._copies() for _ in range(1, self.sharing.shards))]
        self._set_states(self._states())
        jit = not accelerated() and self.model.compute_dtype == "float32"
        self._adam = adam_kernel(self.optimizer, threads=self.sharing.cores) if jit else None
        self._compiled_gradients = tf.function(self._shard_gradients, jit_compile=jit, autograph=False)
        self._compiled_figures = tf.function(self._shard_figures, jit_compile=jit, autograph=False)
        self._compiled_update = tf.function(self._apply_gradients, jit_compile=jit, autograph=False)
        self._longest = len(largest.inputs) if self._adam and self.sharing.shards == 1 else None
        signature = [tf.TensorSpec((self._longest, *array.shape[1:]), array.dtype) for array in largest]
        options = {"input_signature": [tf.TensorSpec((), tf.int32), *signature], "autograph": False}
        options["jit_compile"] = self._longest is not None
        self._train = tf.function(partial(self._execute, self._train_on_batch), **options)
        self._test = tf.function(partial(self._execute, self._test_on_batch), **options)

    def train(self, batches: Batch) -> None:
        self._train(len(batches.inputs), *self._filled(batches))

    def test(self, batches: Batch) -> None:
        self._test(len(batches.inputs), *self._filled(batches))

    def _filled(self, batches: Batch) -> Sequence[Any]:
        """Fill batches up with empty ones to as many as XLA has compiled the steps for, if that is a fixed number."""
        missing = (self._longest or 0) - len(batches.inputs)
        if missing <= 0:
            return batches
        return [np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)]) for array in batches]

    def _execute(
        self,
        step: Callable[..., tf.Tensor],
        num_steps: tf.Tensor,
        ids: tf.Tensor,
        targets: tf.Tensor,
        sample_weights: tf.Tensor,
    ) -> None:
        def body(number: tf.Tensor, figures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return number + 1, figures + step(ids[number], targets[number], sample_weights[number])

        none = tf.zeros(len(self._figures))
        _, figures = tf.while_loop(lambda number, _: number < num_steps, body, (0, none), parallel_iterations=1)
        self._measured.assign_add(tf.concat([figures, [tf.reduce_sum(sample_weights)]], axis=0))

    def _train_on_batch(self, *batch: tf.Tensor) -> tf.Tensor:
        values = [tf.convert_to_tensor(variable.value) for variable in self.model.trainable_variables]
        results = self._run(lambda carried, *rows: self._compiled_gradients(values, carried, *rows), batch)
        self._compiled_update([gradients for _, gradients in results], tf.reduce_sum(batch[-1]))
        return tf.add_n([figures for figures, _ in results])

    def _test_on_batch(self, *batch: tf.Tensor) -> tf.Tensor:
        values = [tf.convert_to_tensor(variable.value) for variable in self.model.trainable_variables]
        return tf.add_n(self._run(lambda carried, *rows: self._compiled_figures(values, carried, *rows), batch))

    def _run(self, shard: Callable[..., tuple[Any, Tensors]], batch: tuple[tf.Tensor, ...]) -> list[Any]:
        """Call `shard(carried, *rows)` for each shard of a batch; store the new carried variables and return the results."""
        results = []
        for variables, *rows in zip(self._by_shard, *[tf.split(array, self.sharing.shards) for array in batch], strict=True):
            result, after = shard([tf.convert_to_tensor(one) for one in variables], *rows)
            results.append(result)
            for variable, value in zip(variables, after, strict=True):
                variable.assign(value)
        return results

    def _shard_gradients(self, values: Tensors, carried: Tensors, *rows: tf.Tensor) -> tuple[tuple[Any, Tensors], Tensors]:
        """Return ((figures, gradients of the first figure), new carried variables) of some rows of a batch."""
        with tf.GradientTape() as tape:
            tape.watch(values)
            figures, after = self._forward(values, carried, *rows, training=True)
            loss = self.optimizer.scale_loss(figures[0])
        gradients = [tf.convert_to_tensor(one) for one in tape.gradient(loss, values)]  # those of embeddings are sparse
        return (figures, gradients), after

    def _shard_figures(self, values: Tensors, carried: Tensors, *rows: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
        return self._forward(values, carried, *rows, training=False)

    def _apply_gradients(self, by_shard: list[Tensors], total: tf.Tensor) -> None:
        total = tf.maximum(total, 1)
        if self._adam:
            self._adam.apply(by_shard, total, self.model.trainable_variables)
            return
        gradients = [tf.add_n(shares) / total for shares in zip(*by_shard, strict=True)]
        self.optimizer.apply(gradients, self.model.trainable_variables)

    def _copies(self) -> list[tf.Variable]:
        """Return the carried variables of another shard; those of the first shard are the variables of the model."""
        return [tf.Variable(one.value, trainable=False) for one in self._carried_variables]

    def _states(self) -> list[tf.Tensor]:
        first = len(self._carried_variables) - len(self._state_variables)
        by_shard = [[tf.convert_to_tensor(state) for state in variables[first:]] for variables in self._by_shard]
        return [tf.concat(parts, axis=0) for parts in zip(*by_shard, strict=True)]

    def _set_states(self, states: Sequence[Any]) -> None:
        parts = [tf.split(tf.convert_to_tensor(state), self.sharing.shards) for state in states]
        others = self.model.non_trainable_variables
        for shard, variables in enumerate(self._by_shard):
            seeds = [one.value + tf.cast(shard, one.dtype) if one.name == SEED_STATE else one.value for one in others]
            for variable, value in zip(variables, [*seeds, *(part[shard] for part in parts)], strict=True):
                variable.assign(value)

    def _sums(self) -> Any:
        return self._measured.numpy()

    def _set_sums(self, sums: Any) -> None:
        self._measured.assign(np.asarray(sums))
