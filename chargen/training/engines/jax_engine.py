"""Take optimizer steps on JAX: several in one compiled function, where each device has a shard of the rows.

On a CPU each core is a device (see `chargen.training.devices.backend`), so that all cores compute. One program runs on all
devices (`jax.shard_map`); only the gradients and the figures are added up over them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from chargen.corpus.windows import Batch
from chargen.training.engines.engine import SEED_STATE, Engine

Values = list[jax.Array]

AXIS = "batch"
WHOLE, ROWS = PartitionSpec(), PartitionSpec(AXIS)  # the same on all devices; cut along the first axis
STACKED_ROWS = PartitionSpec(None, AXIS)  # (K, B, ...)


class Carried(NamedTuple):
    """The values that are carried from step to step. sums: of the figures and of the sample weights, (F + 1,)."""

    weights: Any
    optimizer: Any
    others: Any
    states: Any
    sums: Any


PLACES = Carried(weights=WHOLE, optimizer=WHOLE, others=WHOLE, states=ROWS, sums=WHOLE)

Step = Callable[..., Carried]  # (carried, ids, targets, sample weights) of a device's rows to carried


class JaxEngine(Engine):
    """Takes several steps in one compiled function, which reuses the memory of the carried values."""

    def __init__(self, *arguments: Any, largest: Batch, **options: Any) -> None:
        super().__init__(*arguments, largest=largest, **options)
        self._steps = len(largest.inputs)
        self._mesh = self._devices(self.sharing.shards)
        self._train, self._test = self._compiled(self._train_step), self._compiled(self._test_step)
        self._carried_states: Values = []
        self._measured: jax.Array = None
        self.reset_states()
        self.reset_figures()

    @staticmethod
    def _devices(shards: int) -> Mesh:
        return jax.make_mesh((shards,), (AXIS,), devices=jax.devices()[:shards])

    def train(self, batches: Batch) -> None:
        self._execute(self._train, batches)

    def test(self, batches: Batch) -> None:
        self._execute(self._test, batches)

    def _execute(self, run: Callable[..., Carried], batches: Batch) -> None:
        """Run the steps of some batches, padded to the largest number of steps so that one compiled function is enough."""
        count = len(batches.inputs)
        filled = [np.concatenate([one, np.zeros((self._steps - count, *one.shape[1:]), one.dtype)]) for one in batches]
        after = run(self._carried(), *[self._placed(one, STACKED_ROWS) for one in filled], count)
        jax.block_until_ready(after.sums)  # or Python would run ahead, and no speed could be measured
        for variables, values in zip(self._variables().values(), after[:3], strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self._carried_states, self._measured = after.states, after.sums

    def _carried(self) -> Carried:
        weights, optimizer, others = (
            [self._placed(one.value, WHOLE) for one in variables] for variables in self._variables().values()
        )
        return Carried(weights, optimizer, others, self._carried_states, self._measured)

    def _placed(self, array: Any, place: PartitionSpec) -> jax.Array:
        """Return a whole array placed on the devices; it is not copied if it is already there."""
        return jax.device_put(array, NamedSharding(self._mesh, place))

    def _compiled(self, step: Step) -> Callable[..., Carried]:
        def run(carried: Carried, ids: jax.Array, targets: jax.Array, sample_weights: jax.Array, count: jax.Array) -> Carried:
            return lax.fori_loop(0, count, lambda k, now: step(now, ids[k], targets[k], sample_weights[k]), carried)

        places = (PLACES, STACKED_ROWS, STACKED_ROWS, STACKED_ROWS, WHOLE)
        shared = jax.shard_map(run, mesh=self._mesh, in_specs=places, out_specs=PLACES, check_vma=False)
        placed = Carried(*(NamedSharding(self._mesh, place) for place in PLACES))  # as carried: or it would compile once more
        return jax.jit(shared, donate_argnums=0, out_shardings=placed)

    def _train_step(self, carried: Carried, *rows: jax.Array) -> Carried:
        def loss(values: Values) -> tuple[jax.Array, Any]:
            figures, others, states = self._pass(values, carried, *rows, training=True)
            given = zip(self.optimizer.variables, carried.optimizer, strict=True)
            with keras.StatelessScope(state_mapping=list(given)):
                return self.optimizer.scale_loss(figures[0]), (figures, others, states)

        gradients, (figures, others, states) = jax.grad(loss, has_aux=True)(carried.weights)
        gradients, sums = lax.psum((gradients, self._with_weight(figures, rows[-1])), AXIS)
        mean = [gradient / jnp.maximum(sums[-1], 1) for gradient in gradients]
        weights, optimizer = self.optimizer.stateless_apply(carried.optimizer, mean, carried.weights)
        return Carried(weights, optimizer, others, states, carried.sums + sums)

    def _test_step(self, carried: Carried, *rows: jax.Array) -> Carried:
        figures, others, states = self._pass(carried.weights, carried, *rows, training=False)
        sums = lax.psum(self._with_weight(figures, rows[-1]), AXIS)
        return carried._replace(others=others, states=states, sums=carried.sums + sums)

    @staticmethod
    def _with_weight(figures: jax.Array, sample_weights: jax.Array) -> jax.Array:
        return jnp.append(figures, sample_weights.sum())

    def _pass(self, values: Values, carried: Carried, *rows: jax.Array, training: bool) -> tuple[jax.Array, Values, Values]:
        """Return the figures of a device's rows, the other variables and the states after them."""
        variables, shard = self.model.non_trainable_variables, lax.axis_index(AXIS)
        offsets = [shard.astype(one.dtype) if one.name == SEED_STATE else 0 for one in variables]
        given = [value + offset for value, offset in zip(carried.others, offsets, strict=True)]
        figures, after = self._forward(values, [*given, *carried.states], *rows, training=training)
        others = [value - offset for value, offset in zip(after[: len(offsets)], offsets, strict=True)]
        return figures, others, after[len(offsets) :]

    def _states(self) -> Values:
        return self._carried_states

    def _set_states(self, states: Sequence[Any]) -> None:
        self._carried_states = [self._placed(state, ROWS) for state in states]

    def _sums(self) -> jax.Array:
        return self._measured

    def _set_sums(self, sums: Any) -> None:
        self._measured = self._placed(sums, WHOLE)
