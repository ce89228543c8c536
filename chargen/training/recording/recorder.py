"""Record each epoch of a training: models, metrics.csv, checkpoints, a line for the user, a row for the tracker."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic

from chargen.errors import RunError, TrainingError
from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.runs.checkpoints import Arrays, Checkpoint, Position, write_checkpoint
from chargen.runs.config import read_comments, write_config
from chargen.runs.directory import RunDirectory
from chargen.runs.metrics import with_keras_names, write_metrics
from chargen.tracking.tracker import Tracker
from chargen.training.planning.pace import Pace
from chargen.training.planning.plan import Plan
from chargen.training.recording.clock import CheckpointTimer, EpochClock
from chargen.training.recording.display import Display
from chargen.training.recording.results import Figures, ResultT_co, TrainingOutcome
from chargen.training.recording.stopping import Progress


class EpochRecorder(ABC, Generic[ResultT_co]):
    """Records the epochs of a training of any task. Of several processes that train together, only the leading one writes."""

    def __init__(
        self,
        plan: Plan,
        run: RunDirectory,
        display: Display,
        tracker: Tracker,
        *,
        leads: bool = True,
        watch: Callable[[Sequence[ResultT_co]], bool] | None = None,
    ) -> None:
        """Record into a run directory; `watch` takes all results after each epoch and tells whether to stop."""
        self.plan, self.run, self.display, self.tracker = plan, run, display, tracker
        self._leads, self._watch = leads, watch
        self.settings = plan.settings  # with the pace that was kept, after training
        self.results: list[ResultT_co] = []
        self.progress = Progress(plan.settings.training)
        self.clock, self.checkpoint_timer = EpochClock(plan), CheckpointTimer(plan.settings.training)

    @abstractmethod
    def make_result(self, fields: Mapping[str, Any], figures: Figures, validation: Figures | None) -> ResultT_co:
        """Return the result of an epoch; `fields` are those of any result but the losses."""

    @abstractmethod
    def restored_result(self, fields: Mapping[str, Any]) -> ResultT_co:
        """Return the result that a checkpoint stores as fields."""

    @abstractmethod
    def save_model(self, path: Path, network: Network) -> None:
        """Write a model file of a network, with the figures of the last epoch."""

    @abstractmethod
    def after_epoch(self, network: Network) -> None:
        """Track the last epoch, and write the files that only this task has."""

    @abstractmethod
    def outcome(self, interrupted_by: int | None) -> TrainingOutcome[ResultT_co]:
        """Return the outcome of the training, which a signal of some number may have ended."""

    def measure_whole(self, measure: Callable[[Mapping[str, Floats]], Figures]) -> None:
        """Record the figures that `measure` returns for the best weights on all held-out text, if epochs measure a part."""

    def finish(self) -> None:
        """Change the models after training, if the task does."""

    def begin_epoch(self, epoch: int, *, first_step: int = 0) -> None:
        """Start the clocks and the bar of an epoch, counted from 1, that starts at a step."""
        self.clock.begin_epoch(first_step)
        self.checkpoint_timer.begin_epoch(first_step)
        training = self.plan.settings.training
        self.display.epoch_begins(epoch, epochs=max(epoch, training.epochs), steps=self.plan.training.num_steps)

    def epoch_ends(
        self,
        epoch: int,
        figures: Figures,
        validation: Figures | None,
        *,
        learning_rate: float,
        network: Network,
        seconds_left: float | None = None,
    ) -> None:
        """Record an epoch, counted from 1: its figures, the learning rate after it, the network as it is now.

        seconds_left: until the end of training, if that is known. Raises TrainingError if a loss is not finite, and RunError if
        a file cannot be written.
        """
        for measured in (figures, validation or figures):
            self.check_finite(epoch, measured["cross_entropy"])
        fields = self.clock.fields(epoch) | {"learning_rate": learning_rate}
        self.results.append(self.make_result(fields, figures, validation))
        best = self.progress.update(self.results[-1])
        if self._leads:
            self._write(network, best=best, seconds_left=seconds_left)
        if self._watch and self._watch(self.results):
            self.progress.stop = True

    def _write(self, network: Network, *, best: bool, seconds_left: float | None) -> None:
        """Write and show the last epoch: its line comes before its sample text, but shows the time with sample text."""
        with self.explained_failure("the models"):
            self.save_model(self.run.last_model, network)
            if best:
                self.save_model(self.run.model, network)
            write_metrics(self.run.metrics, [one.row() for one in self.results])
        with self.display.held_back() as shown_after, self.explained_failure("the sample text"):
            self.after_epoch(network)
        self._show_line(seconds_left)
        for show in shown_after:
            show()

    def _show_line(self, seconds_left: float | None) -> None:
        last, training = self.results[-1], self.plan.settings.training
        left = seconds_left
        if left is None:
            left = self.clock.seconds_left(last.epoch, checkpoint=self.checkpoint_timer.seconds)
        self.display.epoch(last.line(epochs=training.epochs, seconds_left=left, at_most=training.may_end_early))

    def track(self, rest: Mapping[str, float]) -> None:
        """Log the last epoch to the tracker: its row of metrics.csv, with Keras's names too, and other figures."""
        row = {**with_keras_names(self.results[-1].row()), **rest}
        self.tracker.log({name: value for name, value in row.items() if value is not None})

    def interrupted(self, network: Network) -> None:
        """Save the network as it is; before the end of the first epoch it is also the best model."""
        if not self._leads:
            return
        with self.explained_failure("the model"):
            self.save_model(self.run.last_model, network)
            if not self.results:
                self.save_model(self.run.model, network)

    def check_finite(self, epoch: int, loss: float) -> None:
        """Raise TrainingError if a loss of an epoch, counted from 1, is not finite."""
        if math.isfinite(loss):
            return
        kept = f"; {self.run.model} holds the best model before it" if self.results else ""
        raise TrainingError(f"the loss is {loss} in epoch {epoch}{kept}", hint="try a lower --learning-rate, or --clip-norm 1")

    def record_pace(self, pace: Pace, *, epochs: int) -> None:
        """Write into the config how many steps each part of the schedule took, so that the config repeats the training."""
        training = replace(self.settings.training, schedule_steps=pace.parts, epochs=epochs)
        self.settings = replace(self.settings, training=training)
        if self._leads:
            write_config(self.run, self.settings, read_comments(self.run))

    def write_checkpoint(self, position: Position, state: Arrays, *, pace: Pace | None = None) -> None:
        """Write everything that training needs to go on from a position. Raises RunError if it cannot be written."""
        facts = self.facts() | ({"pace": pace.facts()} if pace else {})
        with self.checkpoint_timer.writing(position.step), self.explained_failure("a checkpoint"):
            if self._leads:
                write_checkpoint(self.run.checkpoints, Checkpoint(position, state, facts))

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint stores of the epochs."""
        return {
            "settings": self.settings.to_mapping(),
            "corpus": self.plan.corpus.sha256,
            "results": [result.facts() for result in self.results],
            "progress": self.progress.facts(),
        }

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Restore what `facts` returned."""
        self.results = [self.restored_result(fields) for fields in facts["results"]]
        self.progress.restore(facts["progress"])

    @contextmanager
    def explained_failure(self, what: str) -> Iterator[None]:
        """Turn an OSError within into a RunError."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"cannot write {what} of {self.run.path}: {error.strerror}",
                hint="the last checkpoint is whole; make room, then chargen train --resume",
            ) from error
