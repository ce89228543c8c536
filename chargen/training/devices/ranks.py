"""Know which of several training processes this one is, and make all of them decide alike."""

from typing import Any


class Ranks:
    """A process that trains alone.

    rank: its number; the first one leads, and writes what is written. num_devices: among how many each batch is shared, where
    that is not for the process to choose.
    """

    rank = 0
    num_devices: int | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def highest(self, value: int) -> int:
        """Return the highest of the values that all processes bring, for which each waits for the others."""
        return value

    def check_alike(self, **facts: Any) -> None:
        """Raise ConfigError on every process unless they all bring the same facts."""

    def describe(self) -> list[str]:
        """Say in lines how a batch is shared."""
        return []


ALONE = Ranks()
