"""Train a network as planned, into a run directory, whatever computes it."""

from collections.abc import Mapping
from typing import Protocol

from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.run import RunDirectory
from chargen.tracking import Tracker
from chargen.training.display import Display
from chargen.training.plan import TrainingPlan
from chargen.training.recording import EpochRecorder
from chargen.training.results import TrainingOutcome
from chargen.training.signals import RequestedSignal, TrainingInterrupted, deferred_signals

PROBE_SECONDS = 1.0
FORWARD_SHARE = 3  # a training step costs three times its forward pass


class Trainer(Protocol):
    """A freshly initialised network of a plan, and what trains it."""

    def network(self) -> Network:
        """Return the network as it is now, its weights copied."""

    def set_weights(self, weights: Mapping[str, Floats]) -> None:
        """Replace all weights, named as `weight_shapes` names them."""

    def fit(self, recorder: EpochRecorder, requested: RequestedSignal) -> None:
        """Train epoch after epoch and tell the recorder; between two steps look whether a signal came."""

    def seconds_per_step(self) -> float:
        """Train a second or so, and return how long an optimizer step takes, in seconds."""


def train(trainer: Trainer, plan: TrainingPlan, run: RunDirectory, *, display: Display, tracker: Tracker) -> TrainingOutcome:
    """Train until the planned epochs are over, or patience is, or a signal comes.

    The run directory holds the best and the last model at any moment after the first epoch, and after a signal. Raises
    TrainingError if the loss is no longer finite.
    """
    recorder = EpochRecorder(plan, run, display, tracker)
    tracker.start(run.name, run.path, plan.settings.to_mapping())
    interrupted_by, finished = None, False
    try:
        with display.running(), deferred_signals() as requested:
            trainer.fit(recorder, requested)
        finished = True
    except TrainingInterrupted as interruption:
        interrupted_by = interruption.signal_number
        recorder.interrupted(trainer.network())
    finally:
        tracker.finish(failed=not finished)
    return TrainingOutcome(results=tuple(recorder.results), interrupted_by=interrupted_by)


def seconds_per_epoch(trainer: Trainer, plan: TrainingPlan) -> float:
    """Return how long an epoch with its validation would take, in seconds, measured by a short probe."""
    validation = plan.validation.num_steps / FORWARD_SHARE if plan.validation else 0
    return trainer.seconds_per_step() * (plan.training.num_steps + validation)
