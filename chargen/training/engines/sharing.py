"""Choose how the cores of a CPU share the batches of a training."""

from typing import NamedTuple

import keras

from chargen.cores import num_cores
from chargen.settings.schema import NetworkConfig
from chargen.training.devices.backend import accelerated
from chargen.training.layers.dense import NativeDense
from chargen.training.layers.recurrent import FusedRecurrent

# For threads to share the units of layers: so many units at least, whose weights do not fit into the cache of a core, and so
# many for each core; and for each row of a core so many weights of a layer, which take as long to read as the row to hand over.
MANY_UNITS, UNITS_OF_A_CORE, WEIGHTS_OF_A_ROW = 384, 64, 14_000
SMALL_STEP = 2_000_000  # multiply-adds of a recurrent product and one gate, over all positions


class Sharing(NamedTuple):
    """How the cores share a batch.

    shards: the parts of its rows that pass through the whole network apart. threads: how many share the rows within each
    kernel. together: how many share the units of each step of a recurrent layer instead.
    """

    shards: int = 1
    threads: int = 1
    together: int = 1

    @property
    def threads_of_a_shard(self) -> int:
        """How many threads compute what belongs to a shard, in the kernels."""
        return self.threads * self.together

    @property
    def cores(self) -> int:
        """How many cores compute."""
        return self.shards * self.threads_of_a_shard

    def apply(self, model: keras.Model) -> None:
        """Have the layers of a model for the rows of a shard compute with these threads."""
        for layer in model._flatten_layers():
            if isinstance(layer, FusedRecurrent):
                layer.threads, layer.together = self.threads, self.together
            if isinstance(layer, NativeDense):
                layer.threads = self.threads_of_a_shard


def choose_sharing(network: NetworkConfig, batch_size: int, context_length: int, *, on_kernels: bool) -> Sharing:
    """Return how to share batches among the cores; `on_kernels`: whether the kernels run the network's recurrent layers.

    A small step takes longer if it is shared. In the kernels in C threads share the work, so that all steps of an execution
    are one computation of XLA: the rows, or in small batches of large layers the units, because each thread then reads its
    part of the weights for all rows, instead of all weights for its rows. Otherwise there is a shard for each core, with two
    exceptions: batch normalization needs the whole batch, and PyTorch uses all cores without shards, and needs them only to
    drop the same values as the other backends.
    """
    if network.num_layers * network.hidden_size**2 * batch_size * context_length < SMALL_STEP:
        return Sharing()
    cores = num_cores()
    if on_kernels:
        return Sharing(together=cores) if _shares_units(network, batch_size, cores) else Sharing(threads=cores)
    draws_nothing = network == network.undropped()
    if network.embedding_norm == "batch" or (keras.backend.backend() == "torch" and draws_nothing):
        return Sharing()
    return Sharing(shards=num_shards(batch_size))


def _shares_units(network: NetworkConfig, batch_size: int, cores: int) -> bool:
    """Tell whether the units of layers are shared among threads, not the rows: of one gate, weights count."""
    layers, units = network.num_layers, network.hidden_size
    weights = units**2 * (2 * layers - 1) / layers  # of a layer, on average; the first looks up its inputs
    many_units = units >= max(MANY_UNITS, UNITS_OF_A_CORE * cores)
    return many_units and batch_size / cores <= weights / WEIGHTS_OF_A_ROW


def num_shards(batch_size: int) -> int:
    """Return into how many equal shards a batch is cut: as many as there are cores, if that divides it."""
    if accelerated():
        return 1
    return next(count for count in range(min(num_cores(), batch_size), 0, -1) if batch_size % count == 0)
