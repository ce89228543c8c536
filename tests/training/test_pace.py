"""A training that has to end in time does, and its learning rate comes down all the way."""

import math
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from chargen.corpus.corpus import load_corpus
from chargen.runs.directory import started_run
from chargen.settings.layers import resolve
from chargen.settings.schema import Settings
from chargen.training.numpy_trainer import NumpyTrainer
from chargen.training.planning.pace import Pace
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.session import run_session
from chargen.training.speed import seconds_per_epoch
from chargen.training.text_task import TextTask


class Clock:
    """A clock that a test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def steps_left_out(seconds_per_step: list[float], *, ends_by: float) -> tuple[int, float]:
    """Take as many steps as there are times, as far as the pace allows; return those left out, and the time at the end."""
    clock, left_out, number = Clock(), 0, 0
    pace = Pace(ends_by, clock=clock)
    while number < len(seconds_per_step):
        clock.now += seconds_per_step[number]
        pace.did(1)
        too_much = pace.too_much(len(seconds_per_step) - number - 1)
        left_out, number = left_out + too_much, number + 1 + too_much
    return left_out, clock.now


def test_nothing_is_left_out_in_time() -> None:
    assert steps_left_out([1.0] * 100, ends_by=101) == (0, 100.0)


@pytest.mark.parametrize(("slow", "most"), [(2.0, 52), (4.0, 77)])
def test_a_slow_machine_ends_in_time(slow: float, most: int) -> None:
    left_out, ended = steps_left_out([slow] * 100, ends_by=100)
    assert ended <= 100 + slow
    assert left_out <= most


def test_a_machine_that_slows_down_ends_in_time() -> None:
    left_out, ended = steps_left_out([1.0] * 500 + [3.0] * 500, ends_by=1000)
    assert ended <= 1003
    assert left_out < 400


def test_a_slow_moment_at_the_start_costs_no_more_than_itself() -> None:
    left_out, ended = steps_left_out([1.0, 30.0, *[1.0] * 998], ends_by=1000)
    assert ended <= 1001
    assert left_out < 450  # of which half would fit, had the first moments not been taken for the rest


def test_compiling_is_not_taken_for_a_slow_machine() -> None:
    assert steps_left_out([50.0, *[1.0] * 99], ends_by=150)[0] == 0


def small_plan(text: Path, *, backend: str, epochs: int = 1) -> TextPlan:
    settings: Settings = resolve(
        (
            "test",
            {
                "corpus": {"files": [str(text)]},
                "network": {"hidden_size": 5, "embedding_size": 3},
                "training": {"backend": backend, "epochs": epochs, "batch_size": 1, "context_length": 4, "schedule": "cosine"},
                "samples": {"sample_every": 0},
            },
        )
    ).settings
    return make_plan(settings, load_corpus(settings.corpus, stateful=False))


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_a_training_without_time_takes_a_few_steps_of_each_epoch(
    prose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr("chargen.training.planning.memory.WORK_PER_EXECUTION", 1e5)  # or an epoch would be one execution
    plan = small_plan(prose, backend=backend, epochs=3)
    with started_run(tmp_path / "runs", corpus="prose", cell="lstm", now=datetime.now()) as run:
        late = replace(plan, ends_by=time.perf_counter())
        results = run_session(TextTask(late), run, verbosity=0).results
    assert [result.epoch for result in results] == [1, 2, 3]
    assert 0 < results[-1].num_targets < plan.training.num_targets
    assert results[-1].learning_rate == pytest.approx(0, abs=1e-9)
    assert results[0].learning_rate == pytest.approx(plan.settings.training.learning_rate * 0.75)  # of a cosine, after a third


def test_the_speed_is_measured_by_one_execution_at_least(prose: Path) -> None:
    """A busy machine may let no time be left for it."""
    plan = small_plan(prose, backend="numpy")
    assert 0 < seconds_per_epoch(NumpyTrainer(plan), plan, seconds=0) < math.inf
