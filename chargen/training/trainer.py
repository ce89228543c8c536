"""Train a network as planned, into a run directory, with any trainer."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

import numpy as np

from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.runs.checkpoints import Arrays, Checkpoint, Position
from chargen.settings.schema import TrainingConfig
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.planning.pace import Pace
from chargen.training.planning.validation import Validation
from chargen.training.recording.recorder import EpochRecorder, Figures, PlannedRun
from chargen.training.recording.versions import trained_by
from chargen.training.signals import RequestedSignal, TrainingInterrupted, deferred_signals

PROBE_SECONDS = 1.0
AFRESH_SHARE = 0.15  # of the steps
FORWARD_SHARE = 3  # a training step costs three times its forward pass
WHOLE_SECONDS = 2.0  # that all of the held-out text may take at the end in any case
WHOLE_SHARE, PACED_WHOLE_SHARE = 0.1, 0.02  # of the time of training, the latter where it has to end in time


class Trainer(Protocol):
    """A network of a plan, freshly initialised, and what takes its optimizer steps."""

    def network(self) -> Network:
        """Return the network as it is now, its weights copied."""

    def set_weights(self, weights: Mapping[str, Floats]) -> None:
        """Replace all weights, named as `weight_shapes` names them."""

    def prepare(self) -> None:
        """Compile what takes and measures steps; the network and all that is carried from step to step stay as they are."""

    def begin_epoch(self) -> None:
        """Forget the losses so far, and carry no state on."""

    def train(self, epoch: int, first: int) -> int:
        """Take the optimizer steps from `first` on, as many as belong together, and return how many they were."""

    def leave_out(self, steps: int) -> None:
        """Have the learning rate go on as if so many steps had been taken."""

    def figures(self) -> Figures:
        """Return the means since the epoch began: "cross_entropy", in nats a token or text, and what else is measured."""

    def measure(self, validation: Validation, requested: RequestedSignal) -> Figures:
        """Return the same of held-out text; between two steps look whether a signal came. Training is not disturbed."""

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""

    def set_rate(self, rate: float) -> None:
        """Change the learning rate."""

    def state(self) -> Arrays:
        """Return all that is carried from step to step, copied."""

    def restore(self, state: Arrays) -> None:
        """Take back what `state` returned."""


class TrainedPlan(PlannedRun, Protocol):
    """What the loop has to know of a plan."""

    @property
    def validation(self) -> Validation | None:
        """How held-out text is measured after each epoch."""

    @property
    def whole_validation(self) -> Validation | None:
        """How all of it is measured at the end, where only a part is after each epoch."""


def begins_afresh(training: TrainingConfig, epoch: int, first: int, steps: int) -> bool:
    """Tell whether some steps together, from `first` on, begin from the zero state.

    Only of jittered streams, and of a small share of the steps: a network that never begins in the middle of a text never
    learns to.
    """
    if not training.jitter:
        return False
    drawn = np.random.default_rng([training.random_seed, epoch, first]).random()
    return bool(drawn < 1 - (1 - AFRESH_SHARE) ** steps)


def train(
    trainer: Trainer,
    plan: TrainedPlan,
    recorder: EpochRecorder,
    *,
    checkpoint: Checkpoint | None = None,
    pace: Pace | None = None,
    ranks: Ranks = ALONE,
) -> int | None:
    """Train until the planned epochs are over, or patience is, or a signal comes; go on from a checkpoint if there is one.

    The run directory holds a checkpoint at any moment, and the best and the last model after the first epoch and after a
    signal, whose number is returned. With a pace, steps for which there is no time are left out. Several ranks take every
    decision together. Raises TrainingError if the loss is no longer finite.
    """
    display, tracker = recorder.display, recorder.tracker
    run, versions = recorder.run, trained_by(plan.settings.training.backend)
    if ranks.leads:
        run.write_versions(versions)
    facts = {"corpus_sha256": plan.corpus.sha256, "versions": versions}
    tracker.start(run.name, run.path, plan.settings.to_mapping(), facts)
    interrupted_by, finished = None, False
    try:
        with display.running(), deferred_signals(ranks) as requested:
            loop = _Loop(trainer, plan, recorder, requested, pace, ranks)
            loop.run(checkpoint)
            loop.measure_whole()
        finished = True
    except TrainingInterrupted as interruption:
        interrupted_by = interruption.signal_number
        recorder.interrupted(trainer.network())
    finally:
        files = {"best": run.model, "latest": run.last_model}
        tracker.finish(failed=not finished, models={alias: path for alias, path in files.items() if path.exists()})
    return interrupted_by


class _Loop:
    """Epochs of steps, validation after each, checkpoints in between."""

    def __init__(
        self,
        trainer: Trainer,
        plan: TrainedPlan,
        recorder: EpochRecorder,
        requested: RequestedSignal,
        pace: Pace | None,
        ranks: Ranks,
    ) -> None:
        self._trainer, self._plan, self._recorder, self._requested, self._pace = trainer, plan, recorder, requested, pace
        self._ranks = ranks
        self._began, self._validation_seconds = time.perf_counter(), math.inf

    def run(self, checkpoint: Checkpoint | None) -> None:
        """Train from a checkpoint, or from the beginning, to the end."""
        position = Position(0, 0)
        if checkpoint:
            position = checkpoint.position
            self._trainer.restore(checkpoint.arrays)
            self._recorder.restore(checkpoint.facts)
        else:
            self._recorder.write_checkpoint(position, self._trainer.state())
        before = time.perf_counter()
        self._trainer.prepare()
        self._recorder.begins(position.epoch, compiled_in=time.perf_counter() - before)
        for epoch in range(position.epoch, self._plan.settings.training.epochs):
            if self._recorder.progress.stop:
                return
            self._run_epoch(epoch, position.step if epoch == position.epoch else 0)

    def _run_epoch(self, epoch: int, step: int) -> None:
        trainer, recorder, plan = self._trainer, self._recorder, self._plan
        recorder.epoch_begins(epoch + 1, first_step=step)
        if step == 0:
            trainer.begin_epoch()
        while step < plan.training.num_steps:
            self._check(Position(epoch, step))
            taken = trainer.train(epoch, step)
            step += taken
            if self._pace:
                self._pace.did(taken)
                step += self._left_out(self._pace, epoch, step)
            if recorder.wants_loss:
                recorder.step(step, trainer.figures()["cross_entropy"])
            if self._ranks.highest(recorder.wants_checkpoint(step)) and step < plan.training.num_steps:
                recorder.check_finite(epoch + 1, trainer.figures()["cross_entropy"])
                recorder.write_checkpoint(Position(epoch, step), trainer.state())
        self._finish_epoch(epoch)

    def _left_out(self, pace: Pace, epoch: int, step: int) -> int:
        """Leave out steps of this epoch if training would end too late, and return how many."""
        epochs, per_epoch = self._plan.settings.training.epochs - epoch, self._plan.training.num_steps
        left = epochs * (per_epoch + validation_work(self._plan)) - step
        steps = min(pace.too_much(left), per_epoch - step)
        if steps:
            self._trainer.leave_out(steps)
            self._recorder.steps_left_out(steps)
        return steps

    def _finish_epoch(self, epoch: int) -> None:
        trainer, recorder, plan = self._trainer, self._recorder, self._plan
        figures, before_validation = trainer.figures(), Position(epoch, plan.training.num_steps)
        recorder.validation_begins()
        began = time.perf_counter()
        try:
            validation = trainer.measure(plan.validation, self._requested) if plan.validation else None
            self._validation_seconds = time.perf_counter() - began
        except TrainingInterrupted:
            recorder.write_checkpoint(before_validation, trainer.state())
            raise
        if self._pace:
            self._pace.did(validation_work(plan))
        recorder.epoch_ends(epoch + 1, figures, validation, rate=trainer.rate, network=trainer.network())
        training, factor = plan.settings.training, recorder.progress.rate_factor
        if training.schedule == "plateau":
            trainer.set_rate(training.learning_rate * factor)
        recorder.write_checkpoint(Position(epoch + 1, 0), trainer.state())

    def measure_whole(self) -> None:
        """Measure the best model on all of the held-out text, if each epoch measured a part and it takes little time."""
        whole, part = self._plan.whole_validation, self._plan.validation
        if not (whole and part) or self._ranks.num_devices is not None:
            return
        share = PACED_WHOLE_SHARE if self._pace else WHOLE_SHARE
        if self._validation_seconds / part.share > max(WHOLE_SECONDS, share * (time.perf_counter() - self._began)):
            return
        self._trainer.set_weights(self._recorder.best_weights())
        with suppress(TrainingInterrupted):  # training is over, and all of it is saved
            self._recorder.measured_whole(self._trainer.measure(whole, self._requested))

    def _check(self, position: Position) -> None:
        """Write a checkpoint and let training end if a signal came."""
        try:
            self._requested.check()
        except TrainingInterrupted:
            self._recorder.write_checkpoint(position, self._trainer.state())
            raise


def validation_work(plan: TrainedPlan) -> float:
    """Return how many optimizer steps take as long as the validation after an epoch."""
    if not plan.validation:
        return 0.0
    tokens = plan.training.batch_size * plan.training.context_length
    return plan.validation.num_positions / tokens / FORWARD_SHARE


def seconds_per_step(
    trainer: Trainer, plan: TrainedPlan, *, seconds: float = PROBE_SECONDS, choose: Callable[[list[float]], float] = min
) -> float:
    """Return how long a compiled optimizer step takes, in seconds, chosen among the executions of some seconds.

    By default it is the fastest: what is slower was held up by something else.
    """
    trainer.prepare()
    trainer.begin_epoch()
    found: list[float] = []
    step, ends = 0, time.perf_counter() + seconds
    while not found or time.perf_counter() < ends:  # once at least, however busy the machine
        before = time.perf_counter()
        taken = trainer.train(0, step)
        trainer.figures()  # waits until the steps are done
        found.append((time.perf_counter() - before) / taken)
        step = (step + taken) % plan.training.num_steps
    return choose(found)


def seconds_per_epoch(trainer: Trainer, plan: TrainedPlan, *, seconds: float) -> float:
    """Return how long an epoch with its validation would take at best, in seconds, measured for some seconds."""
    return seconds_per_step(trainer, plan, seconds=seconds) * (plan.training.num_steps + validation_work(plan))
