"""Train one batch on all cores at once: each core takes a share of the rows through the whole network.

Within a recurrent layer there is too little work between two steps to share it among cores; between the rows of a batch there
is nothing to share at all. So each shard runs forward and backward as one XLA computation on a thread of its own, and the
gradients are added up before the one optimizer step.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from chargen.training.backend import accelerated

Tensors = list[tf.Tensor]

SEED_STATE = "seed_generator_state"  # Keras's name for what its random layers draw from


def num_shards(batch_size: int) -> int:
    """Return into how many equal shards a batch is cut: as many as there are cores, if that divides it."""
    if accelerated():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return next(count for count in range(min(cores, batch_size), 0, -1) if batch_size % count == 0)


class ShardedModel(keras.Model):
    """A functional model that takes several steps an execution, each cut into shards of its batch.

    An execution's data are ids, (K, B, T), targets and weights of K optimizer steps. Compile it with an optimizer and a loss
    that adds up over a batch; the optimizer sees the gradient of the mean over the positions that weigh, and the metric
    `cross_entropy` is exact over an epoch however the weights fall on its batches.
    """

    def prepare(self, *, shards: int, jit: bool) -> None:
        """Choose the number of shards and whether XLA compiles them; call it once, after `compile`."""
        self.optimizer.build(self.trainable_variables)
        self._mean_cross_entropy = keras.metrics.Mean("cross_entropy")
        self._shard_states = _ShardStates(self, shards)
        self._compiled_gradients = tf.function(self._shard_gradients, jit_compile=jit)
        self._compiled_loss = tf.function(self._shard_loss, jit_compile=jit)
        self._compiled_update = tf.function(self._apply_gradients, jit_compile=jit)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics that Keras resets at the start of an epoch and of a validation."""
        return [self._mean_cross_entropy]

    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """Take K optimizer steps."""
        return self._execute(data, self._train_on_batch)

    def test_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """Measure K batches."""
        return self._execute(data, self._test_on_batch)

    def reset_states(self) -> None:
        """Set the carried states of all recurrent layers to zero."""
        self._shard_states.reset()

    def training_state(self) -> dict[str, Any]:
        """Return all that training carries from step to step, as arrays by name."""
        groups = {name: [keras.ops.convert_to_numpy(one) for one in variables] for name, variables in self._variables().items()}
        groups["shard"] = self._shard_states.arrays()
        return {f"{group}.{number}": array for group, arrays in groups.items() for number, array in enumerate(arrays)}

    def restore_training_state(self, arrays: Mapping[str, Any]) -> None:
        """Take back what `training_state` returned."""
        for group, variables in self._variables().items():
            for number, variable in enumerate(variables):
                variable.assign(arrays[f"{group}.{number}"])
        count = sum(name.startswith("shard.") for name in arrays)
        self._shard_states.assign([arrays[f"shard.{number}"] for number in range(count)])

    def _variables(self) -> dict[str, list[Any]]:
        return {
            "weight": self.trainable_variables,
            "optimizer": self.optimizer.variables,
            "metric": [variable for metric in self.metrics for variable in metric.variables],
        }

    def _execute(self, data: tuple[tf.Tensor, ...], step: Callable[..., tf.Tensor]) -> dict[str, tf.Tensor]:
        ids, targets, weights = data

        def body(number: tf.Tensor, figures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return number + 1, figures + step(ids[number], targets[number], weights[number])

        num_steps = tf.shape(ids)[0]
        _, figures = tf.while_loop(lambda number, _: number < num_steps, body, (0, self.no_figures), parallel_iterations=1)
        self._note(figures, tf.reduce_sum(weights))
        return self.get_metrics_result()

    no_figures: Any = 0.0  # what is added up over the steps of an execution, before the first one

    def _note(self, loss: tf.Tensor, total: tf.Tensor) -> None:
        """Add the loss of some steps to the metric; `total` is the sum of their weights."""
        self._mean_cross_entropy.update_state(tf.math.divide_no_nan(loss, total), sample_weight=total)

    def _train_on_batch(self, *batch: tf.Tensor) -> tf.Tensor:
        values = [variable.value for variable in self.trainable_variables]
        results = self._shard_states.run(lambda states, *rows: self._compiled_gradients(values, states, *rows), batch)
        total = tf.reduce_sum(batch[-1])
        self._compiled_update([gradients for _, gradients in results], total)
        return tf.add_n([loss for loss, _ in results])

    def _test_on_batch(self, *batch: tf.Tensor) -> tf.Tensor:
        values = [variable.value for variable in self.trainable_variables]
        return tf.add_n(self._shard_states.run(lambda states, *rows: self._compiled_loss(values, states, *rows), batch))

    def _shard_gradients(self, values: Tensors, states: Tensors, *rows: tf.Tensor) -> tuple[tuple[tf.Tensor, Tensors], Tensors]:
        """Return ((summed loss, its gradients), next states) of some rows of a batch."""
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss, states = self._forward(values, states, *rows, training=True)
        return (loss, tape.gradient(loss, values)), states

    def _shard_loss(self, values: Tensors, states: Tensors, *rows: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
        return self._forward(values, states, *rows, training=False)

    def _forward(
        self, values: Tensors, states: Tensors, ids: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, *, training: bool
    ) -> tuple[tf.Tensor, Tensors]:
        carried = self._shard_states.variables
        given = zip([*self.trainable_variables, *carried], [*values, *states], strict=True)
        with keras.StatelessScope(state_mapping=list(given)) as scope:
            logits = self(ids, training=training)
            next_states = [scope.get_current_value(variable) for variable in carried]
        return self.compute_loss(y=targets, y_pred=logits, sample_weight=weights), next_states

    def _apply_gradients(self, by_shard: list[Tensors], total: tf.Tensor) -> None:
        gradients = [tf.add_n(shares) / tf.maximum(total, 1) for shares in zip(*by_shard, strict=True)]
        self.optimizer.apply(gradients, self.trainable_variables)


class _ShardStates:
    """What each shard carries from step to step: seeds and recurrent states. The first shard's are the model's own.

    Keras does not count the recurrent states among a model's variables, so they are looked for in its layers.
    """

    def __init__(self, model: keras.Model, shards: int) -> None:
        others = model.non_trainable_variables
        recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]
        self.variables = [*others, *(state for layer in recurrent for state in keras.tree.flatten(layer.states or ()))]
        self._first_recurrent = len(others)
        self._by_shard: list[list[Any]] = [self.variables]
        for shard in range(1, shards):
            values = [one.value + tf.cast(shard, one.dtype) if one.name == SEED_STATE else one.value for one in self.variables]
            self._by_shard.append([tf.Variable(value, trainable=False) for value in values])

    def run(self, shard: Callable[..., tuple[Any, Tensors]], batch: tuple[tf.Tensor, ...]) -> list[Any]:
        """Call `shard(states, *rows)` for each shard's rows of a batch; keep the next states, return the other results."""
        count = len(self._by_shard)
        results = []
        for states, *rows in zip(self._by_shard, *[tf.split(array, count) for array in batch], strict=True):
            result, next_states = shard([tf.convert_to_tensor(state) for state in states], *rows)
            results.append(result)
            for state, value in zip(states, next_states, strict=True):
                state.assign(value)
        return results

    def arrays(self) -> list[Any]:
        """Return all values of all shards, copied."""
        return [keras.ops.convert_to_numpy(state) for states in self._by_shard for state in states]

    def assign(self, arrays: Sequence[Any]) -> None:
        """Take back what `arrays` returned."""
        for state, array in zip([state for states in self._by_shard for state in states], arrays, strict=True):
            state.assign(array)

    def reset(self) -> None:
        """Set the recurrent states of all shards to zero."""
        for states in self._by_shard:
            for state in states[self._first_recurrent :]:
                state.assign(tf.zeros_like(state))
