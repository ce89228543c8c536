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
from chargen.network.model_file import TextModel
from chargen.runs.checkpoints import Arrays, Position
from chargen.runs.directory import RunDirectory
from chargen.settings.layers import resolve
from chargen.tracking.tracker import Trackers
from chargen.training.forecast import SECONDS_TO_END, Forecast, forecast, spoken
from chargen.training.numpy_trainer import NumpyTrainer
from chargen.training.planning.plan import TrainingPlan, make_plan
from chargen.training.planning.validation import Validation
from chargen.training.recording.display import Display
from chargen.training.recording.recorder import Figures, TextRecorder
from chargen.training.recording.results import time_left
from chargen.training.signals import RequestedSignal
from chargen.training.trainer import train as train_network
from chargen.training.trainer import validation_work

Train = Callable[..., Any]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class SlowTrainer(NumpyTrainer):
    """Takes 7 s to compile, 2 s for each step and 4 s to validate, by its own clock."""

    def __init__(self, plan: TrainingPlan, clock: Clock) -> None:
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


class SlowRecorder(TextRecorder):
    """Takes 10 s for sample text and 3 s for a checkpoint."""

    def __init__(self, *given: Any, clock: Clock) -> None:
        super().__init__(*given)
        self._clock = clock
        self.sampled: list[int] = []

    def _write_sample(self, model: TextModel, epoch: int) -> None:
        self.sampled.append(epoch)
        self._clock.now += 10

    def keep_checkpoint(self, position: Position, state: Arrays) -> None:
        super().keep_checkpoint(position, state)
        self._clock.now += 3


def plan_of(text: Path, **sections: dict[str, Any]) -> TrainingPlan:
    small = {
        "corpus": {"files": [str(text)]},
        "network": {"hidden_size": 5, "embedding_size": 3},
        "training": {"backend": "numpy", "batch_size": 4, "context_length": 8, "epochs": 12, "checkpoint_seconds": 1e9},
        "samples": {"sample_every": 5, "sample_length": 9},
    }
    settings = resolve(("test", small), ("more", sections)).settings
    return make_plan(settings, load_corpus(settings.corpus))


@pytest.mark.parametrize("measured", [0.0, math.inf])
def test_a_forecast_adds_the_start_the_steps_and_what_comes_after_an_epoch(
    measured: float, prose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, plan = Clock(), plan_of(prose)
    for module in ("forecast", "trainer"):
        monkeypatch.setattr(f"chargen.training.{module}.time.perf_counter", clock)
    quiet = Display(verbosity=0)
    monkeypatch.setattr("chargen.training.forecast.MEASURED_VALIDATION", measured)
    recorders: list[SlowRecorder] = []

    def make_recorder(run: RunDirectory) -> SlowRecorder:
        recorders.append(SlowRecorder(plan, run, quiet, Trackers({}), clock=clock))
        return recorders[-1]

    found = forecast(SlowTrainer(plan, clock), plan, make_recorder, began=95.0)
    assert found.start == 12
    assert found.step == pytest.approx(2)
    assert set(recorders[0].sampled) == {5}
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


def test_compiling_is_no_part_of_the_first_epoch(prose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, plan = Clock(), plan_of(prose, training={"epochs": 2}, samples={"sample_every": 1})
    for module in ("trainer", "recording.recorder", "recording.display"):
        monkeypatch.setattr(f"chargen.training.{module}.time.perf_counter", clock)
    lines: list[str] = []
    display = Display(verbosity=0)
    monkeypatch.setattr(display, "note", lines.append)
    left: list[float] = []
    monkeypatch.setattr(display, "epoch_ends", lambda result, **given: left.append(given["seconds_left"]))
    run = RunDirectory(tmp_path)
    recorder = SlowRecorder(plan, run, display, Trackers({}), clock=clock)
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
        from chargen.training.planning.plan import make_plan
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
