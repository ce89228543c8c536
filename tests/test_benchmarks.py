"""The benchmarks: how they share the cores, and their tables."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cost, distribute, dropout, grid, memory, picture, plot, table, train
from benchmarks.commands import Split, Trained, evaluate, side_by_side
from benchmarks.engines import Size
from benchmarks.short_texts import Figures, Text, Trainings
from benchmarks.short_texts import measure as measure_short_texts
from benchmarks.table import markdown
from benchmarks.train import BFLOAT16
from chargen.native.library import Kernels
from chargen.network.model_file import TextModel, save_model
from chargen.training.devices import processor


def test_work_side_by_side_has_a_core_each_and_keeps_its_order() -> None:
    own = os.sched_getaffinity(0)
    script = "import os, sys; print(sys.argv[1], len(os.sched_getaffinity(0)))"

    def work(number: int) -> str:
        command = [sys.executable, "-c", script, str(number)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert side_by_side(work, range(5)) == [f"{number} 1" for number in range(5)]
    assert os.sched_getaffinity(0) == own


def test_short_texts_have_a_table_and_the_best_of_a_grid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each training runs once, and its figure is worse the more its batch differs from 8 windows."""
    trained = []

    def figures(self: Trainings, text: Text, seed: int, options: dict[str, Any]) -> Figures:
        trained.append((text, seed, tuple(options.items())))
        return Figures(abs(options.get("batch_size", 9) - 8) + text.size / 1000 + seed / 100, 2.0)

    monkeypatch.setattr(Trainings, "_trained", figures)
    rows = measure_short_texts(sizes=(500, 700), seeds=2, runs_dir=tmp_path)
    assert len(trained) == len(set(trained))
    shown = markdown({"short-texts": {"machine": "a machine", "rows": rows}}).splitlines()
    assert "| 700 characters | 1.715 | 1.710 to 1.720 | 2.000 |" in shown
    assert "| 500 characters, the best of a grid: --batch-size 8 --context-length 16 | 1.515 | 0.515 |" in shown
    assert any(line.startswith("| 15 names, the best of a grid: --batch-size 8 |") for line in shown)
    measure_short_texts(sizes=(500,), seeds=1, runs_dir=tmp_path)
    assert len(trained) == len(set(trained))


def test_a_part_of_a_text_is_written_from_its_beginning(tmp_path: Path) -> None:
    book, names = Text("book", 300).write(tmp_path), Text("male", 15).write(tmp_path)
    assert len(book.read_text(encoding="utf-8")) == 300
    assert len(names.read_text(encoding="utf-8").split("\n")) == 15


def test_a_picture_of_a_terminal_shows_a_moment_and_loads_nothing() -> None:
    recorded = picture.record(
        f"{sys.executable} -c \"print('a\\x1b[32mb\\x1b[0m'); print('\\r\\x1b[2K1/2', end='\\r\\x1b[2K2/2 -\\n')\""
    )
    lines = picture.screen(recorded, re.compile("1/2"))
    assert lines == "a\x1b[32mb\x1b[0m\n1/2"
    drawn = picture.draw("chargen train", lines)
    assert "chargen&#160;train" in drawn
    assert "font-face" not in drawn
    assert set(re.findall(r"(?:href|src|url)\W+(https?:[^\"')]+)", drawn)) == set()


def test_the_cost_of_a_training_is_measured_and_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cost, "kernels_or_none", lambda products: None)
    monkeypatch.setattr(cost, "_points", lambda: [cost.Point("cores", 1, Size(1, 4, 100, 200), cores=1)])
    monkeypatch.setattr(cost, "SECONDS", 0.01)
    (row,) = cost.measure()
    assert row["what"] == "1,000 characters, LSTM 1x4, windows of 100, 1 core, chargen"
    assert 0 < row["min"] <= row["median"] <= row["max"]
    rows = [row | {"varied": varied, "value": value} for varied, _, _ in plot.LAWS for value in (1, 2)]
    plot.draw_cost({"rows": rows}, tmp_path / "cost.svg")
    assert (tmp_path / "cost.svg").read_text(encoding="utf-8").count("<svg") == 1


class PretendedWorker:
    """Measures 1, 2, ... characters a second; the engine "broken" does not start."""

    def __init__(self, engine: str, *_: object) -> None:
        self._engine, self._rates = engine, count(1)

    def wait_until_ready(self) -> None:
        if self._engine == "broken":
            raise RuntimeError("broken lstm A did not start:\nTraceback\nno such instruction")

    def measure(self) -> float:
        return float(next(self._rates))

    def close(self) -> None:
        """End nothing."""


def test_an_engine_that_does_not_start_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(train, "Worker", PretendedWorker)
    rates = train.rates_in_turns(["chargen", "broken", "torch"], "lstm", "A", turns=3)
    assert rates == {"chargen": [1, 2, 3], "torch": [1, 2, 3]}
    assert capsys.readouterr().err == "broken lstm A is left out: no such instruction\n"
    with pytest.raises(RuntimeError, match="no such instruction"):
        train.rates_in_turns(["broken", "torch"], "lstm", "A")


@pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed: make test-backends installs it")
def test_shared_steps_are_measured_and_have_a_table() -> None:
    rows = distribute.measure_steps(units=4, steps=3, shared=((1, 1), (2, 1)))
    assert [row["what"] for row in rows] == ["a step, 1 process of 1 device", "a step, 2 processes of 1 device"]
    assert all(row["loss_differs_by"] < 1e-5 for row in rows)
    assert rows[0]["collective_share"] < rows[1]["collective_share"] < 1
    rows.append({"what": "one is killed", "median": 2.0, "min": 1.0, "max": 3.0})
    shown = markdown({"distribute": {"machine": "a machine", "rows": rows}}).splitlines()
    assert sum(line.startswith("| a step, ") for line in shown) == 2
    assert "| one is killed | 2.0 | 1.0 to 3.0 |" in shown


def test_a_text_of_words_has_its_size_and_depends_on_its_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        memory.write_words(tmp_path / name, 10_001, seed=seed)
    one, same, other = ((tmp_path / name).read_bytes() for name in ("one", "same", "other"))
    assert (len(one), one == same, one == other) == (10_001, True, False)


def test_shares_of_dropout_are_compared_alone_and_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, random_model: Callable[..., TextModel]
) -> None:
    """The figures are those of the models at their best temperature; each case, share and seed is trained once."""
    text = "cab\nabcH abcH\n" * 30
    monkeypatch.setitem(grid.TEXTS, "verse", lambda: text)
    trained = []

    def train_once(split: Split, options: tuple[Any, ...], folder: Path) -> Trained:
        trained.append(options)
        assert split.training.read_text("utf-8") + split.test.read_text("utf-8") == text[:390]
        save_model(folder / "model.safetensors", random_model(seed=options[options.index("--random-seed") + 1]))
        return Trained(folder, 1.0)

    monkeypatch.setattr(dropout, "trained_once", train_once)
    case = dropout.Case("verse", 320, 390 - text.rindex("\n", 0, 320) - 1, "lstm", 5, 3, ((0.0, 0.1), (0.5, 0.1)))
    rows = dropout.measure(cases=[case], seeds=2, runs_dir=tmp_path)
    assert len(trained) == len(set(trained)) == 4
    models = [tmp_path / "verse-320-3" / f"0-0.1-{seed}" / "model.safetensors" for seed in (1, 2)]
    held_out = models[0].with_name("text-test.txt")
    one, other, both = (dropout.best_nats(some, held_out) for some in (models[:1], models[1:], models))
    assert one <= evaluate(models[0], text=held_out)["stream"] + 1e-6  # at temperature 1
    assert rows[0]["median"] == pytest.approx((one + other) / 2)
    assert rows[0]["together"] == pytest.approx(both)
    assert both < (one + other) / 2
    shown = markdown({"dropout": {"machine": "a machine", "rows": rows}}).splitlines()
    what = "verse, 320 characters, lstm 1x5, 3 passes: none and 10%"
    assert shown[2] == f"| {what} | {(one + other) / 2:.3f} | {min(one, other):.3f} to {max(one, other):.3f} | {both:.3f} |"


@pytest.mark.parametrize(
    ("instructions", "speed", "kind"),
    [
        ("AVX-512", 2.0, "train"),
        ("AVX-512", 0.6, "train-float32"),
        ("AVX-512", None, "train-float32"),
        ("AVX2", None, "train-avx2"),
    ],
)
def test_processors_of_each_kind_have_a_table_of_their_own(
    instructions: str, speed: float | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "kernels_or_none", lambda: Kernels(ctypes.CDLL(None), instructions, Path("kernels.so")))
    monkeypatch.setattr(processor, "bfloat16_speed", lambda: speed)
    monkeypatch.setattr(processor, "may_have_gpu", lambda: False)
    assert train.kind_of_processor() == kind
    assert kind in table.TRAININGS


def test_the_table_of_trainings_compares_equal_precisions() -> None:
    speeds = {"chargen": 4.0, BFLOAT16: 9.0, "torch": 2.0, "torch-bfloat16": 3.0}
    shared = {"cell": "lstm", "size": "A", "what": "training, lstm A (1x128), x"}
    rows = [
        shared | {"engine": engine, "median": speed, "chargen_is_faster_by": (9.0 if "bfloat16" in engine else 4.0) / speed}
        for engine, speed in speeds.items()
    ]
    rows[0]["share_of_products"] = 0.894
    report = {"machine": "a machine", "rows": rows}
    shown = markdown({"train": report, "train-avx2": report}).splitlines()
    heading = "| training | chargen, characters a second | with bfloat16 products | against torch | against torch-bfloat16 |"
    assert shown[0] == heading
    assert shown[2] == "| lstm A, 1x128 | 4.000 (89%) | 9.000 | 2.00 x | 3.00 x |"
    assert shown[4] == heading.replace("training", "training with AVX2 alone")
