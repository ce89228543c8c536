"""Take optimizer steps on JAX over the devices of all processes."""

from typing import Any

import jax
import keras
import numpy as np
from jax import lax
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from chargen.training.engines.jax_engine import AXIS, JaxEngine, Values
from chargen.training.layers.dropout import rows_from


class DistributedEngine(JaxEngine):
    """Trains on the devices of all processes; each process holds all weights, and the rows of its devices.

    Dropout depends on the place of a row in the whole batch, not on its device, so the result is that of one device with the
    whole batch, except for the order in which gradients are added up.
    """

    @staticmethod
    def _devices(shards: int) -> Mesh:
        return keras.distribution.DataParallel(auto_shard_dataset=False).device_mesh.backend_mesh

    def _placed(self, array: Any, place: PartitionSpec) -> jax.Array:
        """Return an array, which every process holds whole, placed on the devices, each with its part.

        With another type of sharding, even an equivalent one, JAX would compile the steps once more.
        """
        sharding = NamedSharding(self._mesh, place)
        found = array.sharding if isinstance(array, jax.Array) else None
        if isinstance(found, NamedSharding) and found.is_equivalent_to(sharding, array.ndim):
            return array
        whole = np.asarray(array)
        return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])

    def _pass(self, values: Values, carried: Any, *rows: jax.Array, training: bool) -> tuple[jax.Array, Values, Values]:
        with rows_from(lax.axis_index(AXIS) * len(rows[0])):
            figures, after = self._forward(values, [*carried.others, *carried.states], *rows, training=training)
        return figures, after[: len(carried.others)], after[len(carried.others) :]

    def _states(self) -> Values:
        return [process_allgather(state, tiled=True) for state in self._carried_states]
