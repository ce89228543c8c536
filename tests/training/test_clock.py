"""The clocks of a training, by a time that the tests set."""

from types import SimpleNamespace
from typing import Any

import pytest

from chargen.settings.schema import TrainingConfig
from chargen.training.recording.clock import CheckpointTimer, EpochClock


class Time:
    """A time in seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("chargen.training.recording.clock.time.perf_counter", time)
    return time


@pytest.fixture
def clock(time: Time) -> EpochClock:
    plan: Any = SimpleNamespace(
        training=SimpleNamespace(num_steps=10, num_targets=70), settings=SimpleNamespace(training=TrainingConfig(epochs=5))
    )
    return EpochClock(plan)


def test_validation_is_not_counted(clock: EpochClock, time: Time) -> None:
    clock.begin_epoch()
    time.now += 7
    clock.end_steps()
    time.now += 4
    assert clock.fields(3) == {"epoch": 3, "step": 30, "seconds": 7, "num_targets": 70}


def test_steps_that_were_taken_before_or_left_out_are_not_counted(clock: EpochClock) -> None:
    clock.begin_epoch(4)
    clock.leave_out(3)
    assert clock.fields(1)["num_targets"] == 21
    clock.begin_epoch()
    assert clock.fields(2)["num_targets"] == 70


def test_the_time_left_is_that_of_the_epochs_since_the_start(clock: EpochClock, time: Time) -> None:
    time.now += 100  # to compile
    clock.start(1)
    time.now += 8
    assert clock.seconds_left(2, checkpoint=2) == 30
    time.now += 6
    assert clock.seconds_left(3, checkpoint=2) == 16
    assert clock.seconds_left(5, checkpoint=2) == 0


def test_a_checkpoint_is_due_after_steps(time: Time) -> None:
    timer = CheckpointTimer(TrainingConfig(checkpoint_steps=4, checkpoint_seconds=1e9))
    timer.begin_epoch(2)
    assert [timer.is_due(step) for step in (5, 6, 7)] == [False, True, True]
    with timer.writing(6):
        time.now += 3
    assert (timer.seconds, timer.is_due(9), timer.is_due(10)) == (3, False, True)


def test_a_checkpoint_is_due_after_seconds(time: Time) -> None:
    timer = CheckpointTimer(TrainingConfig(checkpoint_steps=0, checkpoint_seconds=60))
    time.now += 59
    assert not timer.is_due(999)
    time.now += 1
    assert timer.is_due(0)
    with timer.writing(0):
        pass
    assert not timer.is_due(999)
