"""Keep what a process needs of a training that another process records."""

from chargen.network.network import Network
from chargen.runs.checkpoints import Arrays, Position
from chargen.training.recording.recorder import TextRecorder
from chargen.training.recording.results import EpochResult


class FollowingRecorder(TextRecorder):
    """Knows how training goes and when it is over, and writes and tracks nothing."""

    def keep(self, result: EpochResult, network: Network, *, best: bool) -> None:
        """Do nothing."""

    def keep_checkpoint(self, position: Position, state: Arrays) -> None:
        """Do nothing."""

    def cut_samples(self, size: int) -> None:
        """Do nothing."""

    def interrupted(self, network: Network) -> None:
        """Do nothing."""
