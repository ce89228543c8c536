"""Estimate the time of a training: measure its start, some of its steps, and the recording of an epoch."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from chargen.runs.checkpoints import Position
from chargen.runs.directory import RunDirectory
from chargen.training.planning.plan import Plan
from chargen.training.recording.recorder import EpochRecorder
from chargen.training.recording.results import EpochResult
from chargen.training.signals import RequestedSignal
from chargen.training.speed import seconds_per_step, validation_work
from chargen.training.trainer import Trainer

SECONDS_TO_END = 0.5  # from the last epoch to the end of the process
MEASURED_VALIDATION = 3.0  # seconds; a longer one is not measured


class Forecast(NamedTuple):
    """Seconds that a training will take.

    start: until the first step. step: of the optimizer. epoch: validation, models and sample text included. total: of the
    command, if training does not end early.
    """

    start: float
    step: float
    epoch: float
    total: float

    def figures(self) -> dict[str, float]:
        """Return the figures that `chargen train --dry-run` prints."""
        return {
            "seconds_to_start": round(self.start, 1),
            "seconds_per_epoch": round(self.epoch, 2),
            "seconds_at_most": round(self.total, 1),
        }

    def describe(self, *, at_most: bool) -> str:
        """Return the forecast as a sentence; at_most: whether training may end earlier."""
        total, start, rest = (spoken(seconds) for seconds in (self.total, self.start, self.total - self.start))
        return f"{'at most' if at_most else 'about'} {total}: {start} to start, {rest} to train"


def spoken(seconds: float) -> str:
    """Return a duration in words.

    >>> spoken(0.34), spoken(9.4), spoken(100), spoken(700), spoken(9000)
    ('0.3 s', '9 s', '100 s', '12 min', '2 h 30 min')
    """
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 1 else f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def forecast(
    trainer: Trainer, plan: Plan, make_recorder: Callable[[RunDirectory], EpochRecorder[EpochResult]], began: float
) -> Forecast:
    """Measure a training in a temporary run directory; began: when the command began, by `time.perf_counter`."""
    trainer.prepare()
    start = time.perf_counter() - began
    step = seconds_per_step(trainer, plan, choose=median)
    validation = _validation_seconds(trainer, plan, step)
    epochs, every = plan.settings.training.epochs, plan.settings.samples.sample_every
    with tempfile.TemporaryDirectory() as folder:
        recorder = make_recorder(RunDirectory(Path(folder)))
        _record(trainer, plan, recorder, max(every, 1))  # the first time also imports modules
        written = _record(trainer, plan, recorder, max(every, 1))
        others = written if every == 1 else _record(trainer, plan, recorder, every + 1)
    samples = epochs // every if every else 0
    recording = samples * written + (epochs - samples) * others
    epoch = step * plan.training.num_steps + validation + recording / epochs
    whole = validation / plan.validation.share if plan.validation and plan.whole_validation else 0.0
    return Forecast(start, step, epoch, start + epochs * epoch + whole + SECONDS_TO_END)


def _validation_seconds(trainer: Trainer, plan: Plan, step: float) -> float:
    """Return the seconds of the validation after an epoch: measured, or estimated from a step if it takes long."""
    expected = step * validation_work(plan)
    if not plan.validation or expected > MEASURED_VALIDATION:
        return expected
    before = time.perf_counter()
    trainer.measure(plan.validation, RequestedSignal())
    return time.perf_counter() - before


def _record(trainer: Trainer, plan: Plan, recorder: EpochRecorder[EpochResult], epoch: int) -> float:
    """Record an epoch, counted from 1, and return the seconds that it took."""
    before = time.perf_counter()
    recorder.begin_epoch(epoch)
    figures = trainer.figures()
    recorder.clock.end_steps()
    validation = figures if plan.validation else None
    recorder.epoch_ends(epoch, figures, validation, learning_rate=trainer.learning_rate, network=trainer.network())
    recorder.write_checkpoint(Position(epoch, 0), trainer.state())
    return time.perf_counter() - before
