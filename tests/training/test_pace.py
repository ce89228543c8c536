"""A training that has to end in time does, and its learning rate comes down all the way."""

import csv
import math
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.corpus import load_corpus
from chargen.runs.config import write_config
from chargen.runs.directory import RunDirectory, started_run
from chargen.settings.layers import read_run_config, resolve
from chargen.settings.schema import Settings
from chargen.training.numpy_trainer import NumpyTrainer
from chargen.training.planning.pace import Deadline, Pace, even_parts
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.session import run_session
from chargen.training.speed import seconds_per_epoch
from chargen.training.text_task import TextTask

UNLIMITED = 10**9


class Clock:
    """A clock that a test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pretended_pace(planned: int, deadline: Deadline, clock: Clock, *, steps_per_epoch: int = UNLIMITED) -> Pace:
    return Pace(even_parts(planned), deadline=deadline, steps_per_epoch=steps_per_epoch, clock=clock, cpu_clock=clock)


class Machine:
    """Takes the steps of a training on a pretended clock. step_seconds: of a step at a time."""

    def __init__(
        self, planned: int, step_seconds: Callable[[float], float], *, ends_by: float, at_once: int = 1, most: int = UNLIMITED
    ) -> None:
        self.clock, self.step_seconds, self.at_once = Clock(), step_seconds, at_once
        deadline = Deadline(ends_by, most)
        self.pace = pretended_pace(planned, deadline, self.clock)
        self.num_steps, self.position = 0, 0

    def train(self) -> "Machine":
        while not self.pace.ended:
            self.clock.now += self.at_once * self.step_seconds(self.clock.now)
            self.num_steps, self.position = self.num_steps + self.at_once, self.position + self.at_once
            self.position += self.pace.did(self.at_once)
        return self


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.0, 1.1, 2.0, 5.0])
def test_training_ends_in_time_at_any_speed(factor: float) -> None:
    machine = Machine(2000, lambda now: factor, ends_by=2000).train()
    assert 1980 <= machine.clock.now <= 2000 + factor
    assert machine.num_steps == pytest.approx(2000 / factor, rel=0.02)


@pytest.mark.parametrize("changes", [(500, 1.0, 3.0), (1000, 1.0, 3.0), (1800, 1.0, 2.0), (1000, 3.0, 1.0), (1900, 2.0, 1.0)])
def test_training_ends_in_time_when_the_speed_changes(changes: tuple[float, float, float]) -> None:
    moment, before, after = changes
    machine = Machine(2000, lambda now: before if now < moment else after, ends_by=2000).train()
    assert 1975 <= machine.clock.now <= 2010


def test_one_slow_moment_costs_no_more_than_itself() -> None:
    machine = Machine(2000, lambda now: 300.0 if 500 <= now < 501 else 1.0, ends_by=2000).train()
    assert machine.clock.now <= 2001
    assert machine.num_steps > 1650


@given(st.lists(st.floats(0.01, 30.0), min_size=1, max_size=20), st.integers(1, 500), st.integers(1, 40))
def test_the_schedule_always_comes_to_its_end(speeds: list[float], planned: int, at_once: int) -> None:
    """Its position is that of its end, give or take the last execution, and the recorded parts have as many steps."""
    machine = Machine(planned, lambda now: speeds[int(now) % len(speeds)], ends_by=planned, at_once=at_once).train()
    parts = machine.pace.parts
    assert machine.position - len(parts) * parts[0] == machine.num_steps - sum(parts)
    assert 0 <= machine.num_steps - sum(parts) < at_once


@given(st.lists(st.floats(0.01, 30.0), min_size=1, max_size=20), st.integers(1, 500), st.integers(1, 40), st.data())
def test_recorded_parts_repeat_the_schedule(speeds: list[float], planned: int, at_once: int, data: st.DataObject) -> None:
    machine = Machine(planned, lambda now: speeds[int(now) % len(speeds)], ends_by=planned, at_once=at_once)
    moves = []
    while not machine.pace.ended:
        machine.clock.now += at_once * machine.step_seconds(machine.clock.now)
        moves.append(machine.pace.did(at_once))
    again = Pace(machine.pace.parts, deadline=None, steps_per_epoch=UNLIMITED)
    stop = data.draw(st.integers(0, len(moves) - 1))
    assert [again.did(at_once) for _ in moves[:stop]] == moves[:stop]
    resumed = Pace(machine.pace.parts, deadline=None, steps_per_epoch=UNLIMITED)
    resumed.restore(again.facts())
    assert [resumed.did(at_once) for _ in moves[stop:]] == moves[stop:]
    assert resumed.ended


def test_no_more_steps_are_taken_than_are_useful() -> None:
    machine = Machine(500, lambda now: 0.5, ends_by=2000, most=500).train()
    assert machine.num_steps == 500


def test_the_ends_of_epochs_and_what_follows_have_their_time() -> None:
    clock = Clock()
    pace = pretended_pace(1000, Deadline(1000, UNLIMITED), clock, steps_per_epoch=100)
    pace.reserve(30)
    num_steps = 0
    while not pace.ended:
        pace.begin_epoch()
        for _ in range(100):
            clock.now += 1
            num_steps += 1
            pace.did(1)
            if pace.ended:
                break
        clock.now += 20
    assert 950 <= clock.now <= 972


def test_what_follows_gets_more_time_beside_other_work() -> None:
    clock, cpu = Clock(), Clock()
    pace = Pace(even_parts(1000), deadline=Deadline(1000, UNLIMITED), steps_per_epoch=UNLIMITED, clock=clock, cpu_clock=cpu)
    pace.reserve(30)
    while not pace.ended:
        clock.now, cpu.now = clock.now + 1, cpu.now + 0.5
        pace.did(1)
    assert 930 <= clock.now <= 941


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


def trained(plan: TextPlan, folder: Path) -> RunDirectory:
    with started_run(folder, corpus="prose", cell="lstm", now=datetime.now()) as run:
        write_config(run, plan.settings)
        run_session(TextTask(plan), run, verbosity=0)
    return run


@pytest.fixture
def short_executions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargen.training.planning.memory.WORK_PER_EXECUTION", 1e5)  # or an epoch would be one execution
    monkeypatch.setattr("chargen.training.numpy_trainer.STEPS_AT_ONCE", 2)


@pytest.mark.usefixtures("short_executions")
@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_a_training_without_time_takes_a_few_steps_to_the_end_of_its_schedule(
    prose: Path, tmp_path: Path, backend: str
) -> None:
    plan = small_plan(prose, backend=backend, epochs=3)
    steps = 3 * plan.training.num_steps
    late = plan.within(Deadline(time.perf_counter(), steps), steps)
    (row,) = csv.DictReader(trained(late, tmp_path / "runs").metrics.read_text().splitlines())
    assert 0 < int(row["step"]) < plan.training.num_steps
    assert float(row["learning_rate"]) == pytest.approx(0, abs=1e-9)


@pytest.mark.usefixtures("short_executions")
@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_the_config_repeats_a_training_that_ended_in_time(prose: Path, tmp_path: Path, backend: str) -> None:
    plan = small_plan(prose, backend=backend, epochs=3)
    steps = 3 * plan.training.num_steps
    run = trained(plan.within(Deadline(time.perf_counter() + 0.2, UNLIMITED), steps), tmp_path / "timed")
    settings = resolve(read_run_config(run.config)).settings
    assert settings.training.schedule_steps != even_parts(steps)
    again = trained(make_plan(settings, plan.corpus), tmp_path / "again")
    assert again.last_model.read_bytes() == run.last_model.read_bytes()
    assert again.config.read_text() == run.config.read_text()


def test_the_speed_is_measured_by_one_execution_at_least(prose: Path) -> None:
    """A busy machine may let no time be left for it."""
    plan = small_plan(prose, backend="numpy")
    assert 0 < seconds_per_epoch(NumpyTrainer(plan), plan, seconds=0) < math.inf
