"""Measure how long epochs take, and when the next checkpoint is due."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

from chargen.settings.schema import TrainingConfig
from chargen.training.planning.plan import Plan


@final
class EpochClock:
    """Measures the time of the epochs, and counts the steps that are taken."""

    def __init__(self, plan: Plan) -> None:
        self._batches, self._epochs = plan.training, plan.settings.training.epochs
        self._first_epoch = self._first_step = self._num_left_out = 0
        self._seconds = 0.0
        self._began = self._epoch_began = time.perf_counter()

    def start(self, epoch: int) -> None:
        """Start the clock of the training with an epoch counted from 0."""
        self._began, self._first_epoch = time.perf_counter(), epoch

    def begin_epoch(self, first_step: int = 0) -> None:
        """Start the clock of an epoch at a step, which is not 0 in an epoch that was interrupted."""
        self._epoch_began, self._first_step, self._num_left_out = time.perf_counter(), first_step, 0

    def leave_out(self, steps: int) -> None:
        """Count steps of the epoch that are not taken."""
        self._num_left_out += steps

    def end_steps(self) -> None:
        """Stop the clock of the epoch: validation is not counted."""
        self._seconds = time.perf_counter() - self._epoch_began

    def fields(self, epoch: int) -> dict[str, Any]:
        """Return the fields of the result of an epoch, counted from 1, that the clock knows."""
        num_steps = self._batches.num_steps
        share = 1 - (self._first_step + self._num_left_out) / num_steps
        return {
            "epoch": epoch,
            "step": epoch * num_steps - self._num_left_out,
            "seconds": self._seconds,
            "num_targets": round(self._batches.num_targets * share),
        }

    def seconds_left(self, epoch: int, *, checkpoint: float) -> float:
        """Return the seconds until training ends, after an epoch counted from 1; its checkpoint will take some seconds."""
        done, seconds = epoch - self._first_epoch, time.perf_counter() - self._began + checkpoint
        return seconds / done * (self._epochs - epoch)


@final
class CheckpointTimer:
    """Tells when a checkpoint is due: after training.checkpoint_steps or training.checkpoint_seconds."""

    def __init__(self, training: TrainingConfig) -> None:
        self._training = training
        self._step, self._written = 0, time.perf_counter()
        self.seconds = 0.0  # that the last checkpoint took

    def begin_epoch(self, first_step: int) -> None:
        """Count the steps from the first step of an epoch."""
        self._step = first_step

    def is_due(self, step: int) -> bool:
        """Tell whether enough steps or seconds have gone by since the last checkpoint."""
        training, steps = self._training, step - self._step
        seconds = time.perf_counter() - self._written
        return bool(training.checkpoint_steps and steps >= training.checkpoint_steps) or seconds >= training.checkpoint_seconds

    @contextmanager
    def writing(self, step: int) -> Iterator[None]:
        """Measure how long it takes to write the checkpoint of a step within."""
        before = time.perf_counter()
        yield
        self._step, self._written = step, time.perf_counter()
        self.seconds = self._written - before
