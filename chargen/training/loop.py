"""Train a network: steps make an epoch, epochs make a training, and each epoch is recorded in the run directory."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, final

from chargen.errors import TrainingError
from chargen.network.cells import Floats
from chargen.runs.checkpoints import Checkpoint, Position
from chargen.runs.versions import loaded_versions, write_versions
from chargen.training.callbacks import Callbacks
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.planning.pace import Pace
from chargen.training.planning.plan import Plan
from chargen.training.recording.recorder import EpochRecorder
from chargen.training.recording.results import EpochResult, Figures
from chargen.training.signals import RequestedSignal, TrainingInterrupted, deferred_signals
from chargen.training.speed import seconds_after_training
from chargen.training.trainer import Trainer

WHOLE_SECONDS = 2.0  # that measuring all held-out text after training may always take
WHOLE_SHARE, PACED_WHOLE_SHARE = 0.1, 0.02  # of the time of training; the latter where training has to end in time


def train(
    trainer: Trainer,
    plan: Plan,
    recorder: EpochRecorder[EpochResult],
    *,
    checkpoint: Checkpoint | None = None,
    pace: Pace | None = None,
    ranks: Ranks = ALONE,
    callbacks: Sequence[Any] = (),
) -> int | None:
    """Train until the planned epochs are done, early stopping ends them, or a signal comes; return the signal's number.

    Training starts at the checkpoint if one is given. The run directory holds a checkpoint at any moment, and the best and the
    last model after the first epoch or a signal. A pace decides how many steps the schedule takes. Several ranks take every
    decision together. Keras callbacks are called with each epoch. Raises TrainingError if the loss is not finite, or if a
    callback fails.
    """
    run, tracker, versions = recorder.run, recorder.tracker, loaded_versions(plan.settings.training.backend)
    if ranks.leads:
        write_versions(run.versions, versions)
    facts = {"corpus_sha256": plan.corpus.sha256, "versions": versions}
    tracker.start(run.title, run.path, plan.settings.to_mapping(), facts)
    interrupted_by, finished = None, False
    try:
        with recorder.display.running(), deferred_signals(ranks) as requested:
            loop = _Loop(trainer, plan, recorder, requested, pace, ranks, Callbacks(callbacks, plan, trainer))
            loop.run(checkpoint)
            loop.measure_whole()
            recorder.finish()
        finished = True
    except TrainingInterrupted as interruption:
        interrupted_by = interruption.signal_number
        recorder.interrupted(trainer.network())
    finally:
        files = {"best": run.model, "latest": run.last_model}
        tracker.finish(failed=not finished, models={alias: path for alias, path in files.items() if path.exists()})
    return interrupted_by


@final
class _Loop:
    """Runs epochs of steps, with validation after each epoch and checkpoints in between."""

    def __init__(
        self,
        trainer: Trainer,
        plan: Plan,
        recorder: EpochRecorder[EpochResult],
        requested: RequestedSignal,
        pace: Pace | None,
        ranks: Ranks,
        callbacks: Callbacks,
    ) -> None:
        self._trainer, self._plan, self._recorder, self._requested, self._pace = trainer, plan, recorder, requested, pace
        self._ranks, self._callbacks, self._epochs = ranks, callbacks, plan.settings.training.epochs
        self._began, self._validation_seconds = time.perf_counter(), math.inf
        if pace:
            pace.reserve(seconds_after_training(plan))

    def run(self, checkpoint: Checkpoint | None) -> None:
        """Train from the checkpoint, or from the beginning, to the end."""
        position = checkpoint.position if checkpoint else Position(0, 0)
        if checkpoint:
            self._trainer.restore(checkpoint.arrays)
            self._recorder.restore(checkpoint.facts)
            self._set_changed_rate(checkpoint)
        else:
            self._keep(position)
        before = time.perf_counter()
        self._trainer.prepare()
        self._recorder.display.ready(time.perf_counter() - before)
        self._recorder.clock.start(position.epoch)
        self._callbacks.train_begins()
        epoch, step = position
        while not (self._recorder.progress.stop or self._ended(epoch)):
            self._run_epoch(epoch, step)
            epoch, step = epoch + 1, 0
        self._callbacks.train_ends()

    def _ended(self, epoch: int) -> bool:
        """Tell whether there are no more steps, in an epoch that has not begun."""
        return self._pace.ended if self._pace else epoch >= self._epochs

    def _set_changed_rate(self, checkpoint: Checkpoint) -> None:
        """Go on with the planned learning rate where it is not the one that the optimizer has stored."""
        training = self._plan.settings.training
        if (
            training.learning_rate != checkpoint.facts["settings"]["training"]["learning_rate"]
            and not training.rate_is_scheduled
        ):
            self._trainer.set_learning_rate(training.learning_rate * self._recorder.progress.rate_factor)

    def _run_epoch(self, epoch: int, step: int) -> None:
        """Take the steps of an epoch, from `step` on, then measure held-out text and record the epoch."""
        self._recorder.begin_epoch(epoch + 1, first_step=step)
        self._callbacks.epoch_begins(epoch)
        if step == 0:
            self._trainer.begin_epoch()
        if self._pace:
            self._pace.begin_epoch()
        while step < self._plan.training.num_steps:
            self._stop_if_requested(Position(epoch, step))
            step = self._take_steps(epoch, step)
            self._after_steps(Position(epoch, step))
            if self._callbacks.stopped or (self._pace and self._pace.ended):
                self._recorder.clock.leave_out(self._plan.training.num_steps - step)
                break
        figures = self._trainer.figures()
        validation = self._validate(epoch)
        self._record(epoch, figures, validation)

    def _take_steps(self, epoch: int, step: int) -> int:
        """Take the optimizer steps of one execution from `step` on, and return the step after them."""
        with self._kept(Position(epoch, step)):
            self._callbacks.batch_begins(step)
        taken = self._trainer.train(epoch, step)
        if self._pace and (moved := self._pace.did(taken)):
            self._trainer.move_schedule(moved)
        with self._kept(Position(epoch, step + taken)):
            self._callbacks.batch_ends(step + taken - 1, self._trainer.figures)
        return step + taken

    @contextmanager
    def _kept(self, position: Position) -> Iterator[None]:
        """Write a checkpoint if a callback within fails in the middle of an epoch."""
        try:
            yield
        except TrainingError:
            if position.step:
                self._write_checkpoint(position)
            raise

    def _write_checkpoint(self, position: Position) -> None:
        """Write a checkpoint in the middle of an epoch, unless the loss is not finite."""
        self._recorder.check_finite(position.epoch + 1, self._trainer.figures()["cross_entropy"])
        self._keep(position)

    def _keep(self, position: Position) -> None:
        self._recorder.write_checkpoint(position, self._trainer.state(), pace=self._pace)

    def _after_steps(self, position: Position) -> None:
        """Show the loss and write a checkpoint if it is time to."""
        trainer, recorder = self._trainer, self._recorder
        if recorder.display.due():
            recorder.display.step(position.step, cross_entropy=trainer.figures()["cross_entropy"])
        due = self._ranks.highest(recorder.checkpoint_timer.is_due(position.step))
        if due and position.step < self._plan.training.num_steps:
            self._write_checkpoint(position)

    def _validate(self, epoch: int) -> Figures | None:
        """Measure held-out text if there is any; a signal in between writes a checkpoint after the steps of the epoch."""
        self._recorder.clock.end_steps()
        validation, after_steps = self._plan.validation, Position(epoch, self._plan.training.num_steps)
        if validation is None:
            return None
        with self._kept(after_steps):
            self._callbacks.test_begins()
        began = time.perf_counter()
        try:
            figures = self._trainer.measure(validation, self._requested)
            self._validation_seconds = time.perf_counter() - began
        except TrainingInterrupted:
            self._keep(after_steps)
            raise
        if self._pace and self._measures_whole():
            self._pace.reserve(seconds_after_training(self._plan) + self._whole_seconds)
        with self._kept(after_steps):
            self._callbacks.test_ends(figures)
        return figures

    def _record(self, epoch: int, figures: Figures, validation: Figures | None) -> None:
        """Record an epoch, lower the learning rate on a plateau, call the callbacks, and write a checkpoint."""
        trainer, recorder, training = self._trainer, self._recorder, self._plan.settings.training
        left = self._pace.seconds_left if self._pace else None
        rate, network = trainer.learning_rate, trainer.network()
        recorder.epoch_ends(epoch + 1, figures, validation, learning_rate=rate, network=network, seconds_left=left)
        if training.schedule == "plateau":
            trainer.set_learning_rate(training.learning_rate * recorder.progress.rate_factor)
        try:
            self._callbacks.epoch_ends(recorder.results[-1])
            if self._callbacks.stopped:
                recorder.display.note(f"a callback ends training after epoch {epoch + 1}")
                recorder.progress.stop = True
        finally:  # whatever a callback does, the epoch is kept
            if self._pace and (self._pace.ended or recorder.progress.stop):
                recorder.record_pace(self._pace, epochs=epoch + 1)
            self._keep(Position(epoch + 1, 0))

    def _stop_if_requested(self, position: Position) -> None:
        """Write a checkpoint and end training if a signal came."""
        try:
            self._requested.check()
        except TrainingInterrupted:
            self._keep(position)
            raise

    @property
    def _whole_seconds(self) -> float:
        """Seconds that measuring all held-out text takes, about."""
        return self._validation_seconds / self._plan.validation.share if self._plan.validation else 0.0

    def _measures_whole(self) -> bool:
        """Tell whether all held-out text is measured after training: if this takes little of the time of training."""
        if not self._plan.whole_validation or self._ranks.num_devices is not None:
            return False
        share = PACED_WHOLE_SHARE if self._pace else WHOLE_SHARE
        return self._whole_seconds <= max(WHOLE_SECONDS, share * (time.perf_counter() - self._began))

    def measure_whole(self) -> None:
        """Measure the best model on all held-out text, if each epoch measured a part and this takes little time."""
        whole = self._plan.whole_validation
        if not (whole and self._measures_whole()):
            return

        def measure(weights: Mapping[str, Floats]) -> Figures:
            self._trainer.set_weights(weights)
            return self._trainer.measure(whole, self._requested)

        with suppress(TrainingInterrupted):  # training is over, and everything is saved
            self._recorder.measure_whole(measure)
