"""Tell which of several training processes this one is, and take decisions together."""

from typing import Any


class Ranks:
    """A process that trains alone.

    rank: its number; the first process leads. count: the number of processes. num_devices: the devices of all processes, among
    which each batch is shared; None if the process chooses the number of shards itself.
    """

    rank = 0
    count = 1
    num_devices: int | None = None

    @property
    def leads(self) -> bool:
        """Whether this process writes the run directory and prints."""
        return self.rank == 0

    def highest(self, value: int) -> int:
        """Return the highest of the values of all processes; each process waits for the others."""
        return value

    def check_alike(self, **facts: Any) -> None:
        """Raise ConfigError in every process if their facts differ."""

    def describe(self) -> list[str]:
        """Return lines that say how a batch is shared."""
        return []


ALONE = Ranks()
