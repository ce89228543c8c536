"""How long a training will take, and what is left of it, are told from steps that are compiled."""

import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from chargen.corpus.corpus import load_corpus
from chargen.runs import checkpoints
from chargen.runs.directory import RunDirectory
from chargen.settings.layers import resolve
from chargen.tracking.tracker import Trackers
from chargen.training.forecast import SECONDS_TO_END, Forecast, forecast, spoken
from chargen.training.loop import train as train_network
from chargen.training.numpy_trainer import NumpyTrainer
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.training.planning.validation import Validation
from chargen.training.recording.display import Display
from chargen.training.recording.results import Figures, TextEpoch, time_left
from chargen.training.recording.samples import SampleLog
from chargen.training.recording.text_recorder import TextRecorder
from chargen.training.signals import RequestedSignal
from chargen.training.speed import validation_work

Train = Callable[..., Any]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class SlowTrainer(NumpyTrainer):
    """Takes 7 s to compile, 2 s for each step and 4 s to validate, by its own clock."""

    def __init__(self, plan: TextPlan, clock: Clock) -> None:
        super().__init__(plan)
        self._clock, self.compiled = clock, 0

    def prepare(self) -> None:
        self._clock.now += 7 if not self.compiled else 0
        self.compiled += 1

    def train(self, epoch: int, first: int) -> int:
        assert self.compiled
        taken = super().train(epoch, first)
        self._clock.now += 2 * taken
        return taken

    def measure(self, validation: Validation, requested: RequestedSignal) -> Figures:
        self._clock.now += 4
        return super().measure(validation, requested)

    def figures(self) -> Figures:
        self._clock.now += 1e-9  # no speed is measured over no time
        return super().figures()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of training; by it, sample text takes 10 s and a checkpoint 3 s."""
    clock, write_checkpoint, write_sample = Clock(), checkpoints.write_checkpoint, SampleLog.write

    def slow_checkpoint(*given: Any) -> None:
        clock.now += 3
        write_checkpoint(*given)

    def slow_sample(*given: Any) -> Any:
        clock.now += 10
        return write_sample(*given)

    for module in ("forecast", "speed", "loop", "recording.clock", "recording.display"):
        monkeypatch.setattr(f"chargen.training.{module}.time.perf_counter", clock)
    monkeypatch.setattr("chargen.training.recording.recorder.write_checkpoint", slow_checkpoint)
    monkeypatch.setattr(SampleLog, "write", slow_sample)
    return clock


def plan_of(text: Path, **sections: dict[str, Any]) -> TextPlan:
    small = {
        "corpus": {"files": [str(text)]},
        "network": {"hidden_size": 5, "embedding_size": 3},
        "training": {
            "backend": "numpy",
            "batch_size": 4,
            "context_length": 8,
            "epochs": 12,
            "checkpoint_seconds": 1e9,
            "memory": False,
        },
        "samples": {"sample_every": 5, "sample_length": 9},
    }
    settings = resolve(("test", small), ("more", sections)).settings
    return make_plan(settings, load_corpus(settings.corpus))


@pytest.mark.parametrize("measured", [0.0, math.inf])
def test_a_forecast_adds_the_start_the_steps_and_what_comes_after_an_epoch(
    measured: float, prose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    plan, quiet = plan_of(prose), Display(verbosity=0)
    monkeypatch.setattr("chargen.training.forecast.MEASURED_VALIDATION", measured)

    def make_recorder(run: RunDirectory) -> TextRecorder:
        return TextRecorder(plan, run, quiet, Trackers({}))

    found = forecast(SlowTrainer(plan, clock), plan, make_recorder, began=95.0)
    assert found.start == 12
    assert found.step == pytest.approx(2)
    validation = 4 if measured else 2 * validation_work(plan)
    epoch = 2 * plan.training.num_steps + validation
    recording = 12 * 3 + 2 * 10  # sample text after the epochs 5 and 10
    assert found.epoch == pytest.approx(epoch + recording / 12)
    assert found.total == pytest.approx(12 + 12 * epoch + recording + SECONDS_TO_END)
    assert not list(tmp_path.glob("runs"))


@pytest.mark.parametrize(("at_most", "told"), [(False, "about 9 s: 6 s to start, 3 s to train"), (True, "at most 9 s")])
def test_a_forecast_is_one_sentence(at_most: bool, told: str) -> None:
    found = Forecast(start=6.2, step=0.1, epoch=1.0, total=9.2)
    assert found.describe(at_most=at_most).startswith(told)
    assert found.figures() == {"seconds_to_start": 6.2, "seconds_per_epoch": 1.0, "seconds_at_most": 9.2}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (59.6, "60 s"), (119.4, "119 s"), (120, "2 min"), (3570, "1 h 0 min"), (5400, "1 h 30 min")],
)
def test_lengths_of_time(seconds: float, told: str) -> None:
    assert spoken(seconds) == told


def test_what_is_left_is_at_most_so_much_where_training_may_end_early(train: Train, prose: Path) -> None:
    options = ("--backend", "numpy", "--epochs", 2)
    patient, not_patient = (train(prose, *options, "--patience", patience).stderr for patience in (1, 0))
    assert re.search(r"chars/s  at most \d:\d\d:\d\d left$", patient, re.MULTILINE)
    assert re.search(r"chars/s  \d:\d\d:\d\d left$", not_patient, re.MULTILINE)
    assert time_left(75, at_most=False) == "0:01:15 left"


def test_compiling_is_no_part_of_the_first_epoch(
    prose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    plan = plan_of(prose, training={"epochs": 2}, samples={"sample_every": 1})
    lines: list[str] = []
    display = Display(verbosity=0)
    monkeypatch.setattr(display, "note", lines.append)
    left: list[float] = []
    monkeypatch.setattr(TextEpoch, "line", lambda result, **given: left.append(given["seconds_left"]))
    monkeypatch.setattr(display, "epoch", lambda line: None)
    recorder = TextRecorder(plan, RunDirectory(tmp_path), display, Trackers({}))
    train_network(SlowTrainer(plan, clock), plan, recorder)
    epoch = 2 * plan.training.num_steps
    assert lines == ["ready after 10.0 s, 7.0 s of it to compile"]  # the first checkpoint among them
    assert left == pytest.approx([epoch + 4 + 10 + 3, 0])
    assert [result.seconds for result in recorder.results] == pytest.approx([epoch, epoch])


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_compiling_changes_nothing(prose: Path, backend: str, tmp_path: Path) -> None:
    """Weights, optimizer, carried states, seeds and figures are as they were, at the start and in the middle of an epoch."""
    code = f"""
        import numpy as np
        from chargen.corpus.corpus import load_corpus
        from chargen.settings.layers import resolve
        from chargen.training.planning.text_plan import make_plan
        from chargen.training.devices.backend import load_backend
        load_backend({backend!r})
        from chargen.training.keras_trainer import text_trainer
        sections = {{
            "corpus": {{"files": [{str(prose)!r}]}},
            "network": {{"hidden_size": 5, "embedding_size": 3, "embedding_norm": "batch", "recurrent_dropout": 0.3}},
            "training": {{"stateful": True, "batch_size": 4, "context_length": 8, "backend": {backend!r}}},
        }}
        settings = resolve(("test", sections)).settings
        trainer = text_trainer(make_plan(settings, load_corpus(settings.corpus)))
        trainer.begin_epoch()
        for _ in range(2):
            before = trainer.state()
            trainer.prepare()
            after = trainer.state()
            assert before.keys() == after.keys()
            assert all(np.array_equal(after[name], array) for name, array in before.items())
            trainer.train(0, 0)
            assert not all(np.array_equal(array, before[name]) for name, array in trainer.state().items())
    """
    pytest.importorskip(backend)
    subprocess.run([sys.executable, "-c", dedent(code)], check=True, cwd=tmp_path, capture_output=True)
