"""Define what differs between tasks: how a network is trained, recorded and compared with baselines."""

from typing import Any, NamedTuple, Protocol

from chargen.runs.directory import RunDirectory
from chargen.tracking.tracker import Tracker
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.planning.plan import Plan
from chargen.training.recording.display import Display
from chargen.training.recording.recorder import EpochRecorder
from chargen.training.recording.results import ResultT_co
from chargen.training.trainer import Trainer


class Comparison(NamedTuple):
    """The figures of baselines on the held-out text, by name, and lines for the user about them."""

    baselines: dict[str, float]
    lines: list[str]


class Tested(NamedTuple):
    """The figures of the best model on the texts of --test, by name, and lines for the user about them."""

    figures: dict[str, Any]
    lines: list[str]


class Task(Protocol[ResultT_co]):
    """A planned training: to write text, or to classify texts."""

    @property
    def plan(self) -> Plan:
        """The plan of the training."""

    def make_trainer(self, display: Display, ranks: Ranks = ALONE) -> Trainer:
        """Load the backend and return the trainer of a network with initial weights; show the device."""

    def make_recorder(
        self, run: RunDirectory, display: Display, tracker: Tracker, *, leads: bool = True
    ) -> EpochRecorder[ResultT_co]:
        """Return the recorder of the epochs in a run directory."""

    def next_command(self, run: RunDirectory) -> str:
        """Return the command to type after training."""

    def compare(self, quality: float) -> Comparison:
        """Compare the quality of the best epoch with baselines on the held-out text. The plan must hold out text."""

    def test(self, run: RunDirectory) -> Tested | None:
        """Measure the best model on the texts of --test and record the figures in its file; None without such texts."""
