"""Describe the machine that settings are chosen for: what it is assumed, or was measured, to do in a second."""

from typing import NamedTuple

OPERATIONS_PER_WEIGHT = 6  # and position: three products (forward, two backward), each a multiplication and an addition
# Floating-point operations a second, with all overhead, before anything is measured. That of a core is the same on every
# machine, so that presets choose the same settings everywhere.
OF_A_CORE, OF_A_GPU = 7e10, 1e13
DENSE_SPEED = 0.1  # of a graph of Dense layers, relative to the other cells
FEWEST_UNITS_IN_BFLOAT16 = 128  # from here on products of bfloat16 numbers save time on a CPU, and lose nothing
LARGEST_SIZE, LARGEST_SIZE_ON_GPU = 1024, 2048  # units of a layer
LARGEST_BATCH, LARGEST_BATCH_ON_GPU = 32, 256  # lines; a GPU takes about as long for one window as for many


class Machine(NamedTuple):
    """A machine that trains.

    name: in words, as "2 cores". operations: floating-point operations a second of a training. gpu: whether it is a GPU's.
    precision: what saves time there, "" if nothing does. overhead: seconds of a training in which it takes no steps.
    """

    name: str
    operations: float
    gpu: bool = False
    precision: str = ""
    overhead: float = 0.0

    def precision_of(self, cell: str, hidden_size: int) -> str:
        """Return the precision to choose for a network, "" for the usual one."""
        if self.gpu:
            return self.precision
        return self.precision if cell != "dense" and hidden_size >= FEWEST_UNITS_IN_BFLOAT16 else ""

    @property
    def largest_size(self) -> int:
        """The units of the largest layer that settings are chosen with."""
        return LARGEST_SIZE_ON_GPU if self.gpu else LARGEST_SIZE

    @property
    def largest_batch(self) -> int:
        """The windows of the largest batch that settings are chosen with."""
        return LARGEST_BATCH_ON_GPU if self.gpu else LARGEST_BATCH


def assumed_cores(count: int, cell: str, *, bfloat16: bool = False) -> Machine:
    """Return a machine of so many cores, for a cell. bfloat16: whether it is faster with products of bfloat16 numbers."""
    share = DENSE_SPEED if cell == "dense" else 1
    name = f"{count} core" if count == 1 else f"{count} cores"
    return Machine(name, OF_A_CORE * count * share, precision="bfloat16_products" if bfloat16 else "")


def assumed_gpu(name: str, cell: str) -> Machine:
    """Return a machine that trains on the GPU of this name, for a cell."""
    return Machine(name, OF_A_GPU * (DENSE_SPEED if cell == "dense" else 1), gpu=True)
