"""`chargen plot`: what it draws, where, and what it refuses."""

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]
WriteMetrics = Callable[..., Path]

HEADER = "epoch,step,cross_entropy,validation_cross_entropy,bits_per_character,learning_rate"
ROWS = ("1,36,3.5,3.0,4.33,0.003", "2,72,2.5,2.75,3.97,0.003", "3,108,2.0,2.8,4.04,0.003")
DECAYING = ("1,36,3.5,,5.05,0.003", "2,72,2.5,,3.61,0.002", "3,108,2.25,,3.25,0.001")


@pytest.fixture
def write_metrics(write_run: WriteRun) -> WriteMetrics:
    """Write a run with a metrics.csv, and return that file."""

    def write(name: str = "noise", rows: tuple[str, ...] = ROWS, header: str = HEADER) -> Path:
        path = write_run(name).with_name("metrics.csv")
        path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
        return path

    return write


def assert_refused(result: Result, *parts: str) -> None:
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    for part in parts:
        assert part in line


def test_the_newest_run_is_drawn_in_ascii_on_a_pipe(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    os.utime(write_metrics("older").with_name("model.safetensors"), (1, 1))
    write_metrics("newer", rows=("1,9,1.0,,1.44,0.003", "2,18,0.5,,0.72,0.003"))
    shown = invoke("plot", "--unit", "nats", env={"COLUMNS": "60"}).stdout
    assert shown.isascii()
    assert max(map(len, shown.splitlines())) == 60
    assert "training: lowest 0.5 after epoch 2" in shown
    assert "validation" not in shown
    assert "learning rate" not in shown


def test_curves_go_from_their_first_value_down_to_their_last(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    write_metrics(rows=("1,9,3.0,,4.33,0.003", "2,18,1.0,,1.44,0.003"))
    title, *lines = invoke("plot", "--unit", "nats", env={"COLUMNS": "16", "LINES": "13"}).stdout.splitlines()
    assert title == "cross-entropy, nats a character"
    assert lines == [
        "3 |**",
        "  |  ***",
        "2 |     ***",
        "  |        ***",
        "1 |           **",
        "  +-------------",
        "   1   epoch   2",
        "   * training: lowest 1 after epoch 2",
    ]


def test_bits_are_the_unit_unless_nats_are_asked_for(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    write_metrics()
    bits, nats = invoke("plot").stdout, invoke("plot", "--unit", "nats").stdout
    assert "bits a character" in bits
    assert f"validation: lowest {2.75 / math.log(2):.4g} after epoch 2" in bits
    assert "validation: lowest 2.75 after epoch 2" in nats


def test_classifiers_are_shown_in_the_unit_that_their_training_prints(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    header = "epoch,step,cross_entropy,validation_cross_entropy,accuracy,validation_accuracy,learning_rate"
    write_metrics(header=header, rows=("1,9,0.7,0.69,0.5,0.5,0.003",))
    nats, bits = invoke("plot").stdout, invoke("plot", "--unit", "bits").stdout
    assert "nats a text" in nats
    assert "validation: lowest 0.69 after epoch 1" in nats
    assert f"validation: lowest {0.69 / math.log(2):.4g} after epoch 1" in bits


def test_a_learning_rate_that_varies_is_drawn_too(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    write_metrics(rows=DECAYING)
    assert "* learning rate: lowest 0.001 after epoch 3" in invoke("plot").stdout


def test_several_runs_by_name_path_and_file(invoke: Invoke, write_metrics: WriteMetrics, in_folder: Path) -> None:
    for name in ("one", "two", "three"):
        write_metrics(name)
    shown = invoke("plot", "one", "runs/two", in_folder / "runs" / "three" / "model.safetensors").stdout
    for mark, name in zip("*+#", ("one", "two", "three"), strict=True):
        assert f"{mark} training, {name}: " in shown
    assert "@ validation, three: " in shown


def test_runs_of_the_same_name_are_told_apart(invoke: Invoke, write_metrics: WriteMetrics, in_folder: Path) -> None:
    write_metrics("same")
    (in_folder / "runs").rename(in_folder / "other")
    write_metrics("same")
    shown = invoke("plot", "runs/same", "other/same").stdout
    assert "training, runs/same: " in shown
    assert "training, other/same: " in shown


def test_a_single_epoch_is_drawn(invoke: Invoke, write_metrics: WriteMetrics, in_folder: Path) -> None:
    write_metrics(rows=ROWS[:1])
    assert "epoch 1\n" in invoke("plot").stdout
    assert invoke("plot", "--output", "loss.svg").exit_code == 0


def test_colours_and_braille_are_for_terminals(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    write_metrics()
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "60"}
    shown = invoke("plot", env=terminal, color=True).stdout
    assert "\x1b[" in shown
    assert any("\u2800" < character <= "\u28ff" for character in shown)
    plain = invoke("plot", env=terminal | {"NO_COLOR": "1"}, color=True).stdout
    assert plain.isascii()
    assert "\x1b[" not in plain


def test_rows_as_json(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    write_metrics(rows=DECAYING)
    (run,) = json.loads(invoke("plot", "--json").stdout)
    assert run["run"] == "noise"
    assert [row["epoch"] for row in run["epochs"]] == [1, 2, 3]
    assert run["epochs"][1] == {
        "epoch": 2,
        "step": 72,
        "cross_entropy": 2.5,
        "validation_cross_entropy": None,
        "bits_per_character": 3.61,
        "learning_rate": 0.002,
    }


@pytest.mark.parametrize(("name", "begins"), [("loss.png", b"\x89PNG"), ("loss.svg", b"<?xml"), ("loss.PDF", b"%PDF")])
def test_a_file_is_drawn_with_the_same_bytes_each_time(
    name: str, begins: bytes, invoke: Invoke, write_metrics: WriteMetrics, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_metrics("$a_b$ 日本", rows=DECAYING)
    write_metrics("_two")
    drawn = []
    for day in ("0", "86400"):  # SOURCE_DATE_EPOCH is the date that matplotlib writes, where it writes one
        monkeypatch.setenv("SOURCE_DATE_EPOCH", day)
        result = invoke("plot", "$a_b$ 日本", "_two", "--output", name)
        assert (result.exit_code, result.output) == (0, "")
        drawn.append((in_folder / name).read_bytes())
    assert drawn[0].startswith(begins)
    assert drawn[0] == drawn[1]


def test_a_file_and_json_at_once(invoke: Invoke, write_metrics: WriteMetrics, in_folder: Path) -> None:
    write_metrics()
    assert len(json.loads(invoke("plot", "--json", "--output", "loss.svg").stdout)) == 1
    assert (in_folder / "loss.svg").exists()


def test_what_cannot_be_drawn_into_is_refused(invoke: Invoke, write_metrics: WriteMetrics, in_folder: Path) -> None:
    write_metrics()
    assert_refused(invoke("plot", "--output", "loss.jpg"), "loss.jpg", ".png, .svg, .pdf")
    assert_refused(invoke("plot", "--output", "no/such/folder/loss.svg"), "cannot write no/such/folder/loss.svg", "--output")
    assert_refused(invoke("plot", "--output", "runs"), "runs")


def test_without_matplotlib_one_line_says_how_to_get_it(
    invoke: Invoke, write_metrics: WriteMetrics, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_metrics()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert_refused(invoke("plot", "--output", "loss.svg"), "matplotlib", "pip install")
    assert not (in_folder / "loss.svg").exists()
    assert invoke("plot").exit_code == 0


def test_a_run_that_is_not_there_is_refused(invoke: Invoke, write_run: WriteRun) -> None:
    assert_refused(invoke("plot"), "no trained run", "chargen train")
    write_run()
    assert_refused(invoke("plot", "missing"), "no such run: missing", "chargen runs")
    assert_refused(invoke("plot"), "metrics.csv does not exist")


DAMAGED: list[tuple[str, str, str]] = [
    ("", "", "line 1: there is no column epoch"),
    (HEADER, "", "line 1: it has no epoch"),
    (HEADER.replace("learning_rate", "rate"), ROWS[0], "line 1: there is no column learning_rate"),
    (f"{HEADER},epoch", f"{ROWS[0]},2", "line 1: two columns have the same name"),
    (HEADER, "1,36,3.5", "line 2: 3 cells, expected 6"),
    (HEADER, "1,36,3.5,3.0,4.33,0.003,7", "line 2: 7 cells, expected 6"),
    (HEADER, "1,36,high,3.0,4.33,0.003", "line 2: cross_entropy is 'high', expected a number"),
    (HEADER, "1,36,nan,3.0,4.33,0.003", "line 2: cross_entropy is nan, expected a finite number"),
    (HEADER, "1,36,,3.0,4.33,0.003", "line 2: cross_entropy is empty"),
    (HEADER, "1,36,3.5,-3.0,4.33,0.003", "line 2: validation_cross_entropy is -3.0, expected 0 or more"),
    (HEADER, f"{'9' * 400},36,3.5,3.0,4.33,0.003", "line 2: epoch is 999"),
    (HEADER, "1.5,36,3.5,3.0,4.33,0.003", "line 2: epoch is 1.5, expected a whole number above 0"),
    (HEADER, f"{ROWS[1]}\n{ROWS[0]}", "line 3: epoch is 1, expected a whole number above 2"),
    (HEADER, '1,36,3.5,"3.0', "not a table of numbers"),
]


@pytest.mark.parametrize(("header", "row", "told"), DAMAGED, ids=[told for _, _, told in DAMAGED])
def test_a_damaged_file_is_refused(header: str, row: str, told: str, invoke: Invoke, write_metrics: WriteMetrics) -> None:
    write_metrics(header=header).write_text(f"{header}\n{row}\n" if row else header, encoding="utf-8")
    assert_refused(invoke("plot"), "noise/metrics.csv is damaged", told)


def test_a_file_that_is_not_text_is_refused(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    write_metrics().write_bytes(b"epoch\xff\xfe\x00")
    assert_refused(invoke("plot"), "not a table of numbers")


def test_a_loss_of_longer_tokens_is_drawn_for_a_character(invoke: Invoke, write_metrics: WriteMetrics) -> None:
    """Four characters a token: 4 nats a token are 1 nat a character."""
    rows = ("1,9,6.0,4.0,0.003,4.0", "2,18,5.0,2.0,0.003,4.0")
    write_metrics(rows=rows, header="epoch,step,cross_entropy,validation_cross_entropy,learning_rate,characters_per_token")
    shown = invoke("plot", "--unit", "nats").stdout
    assert "validation: lowest 0.5 after epoch 2" in shown
    assert "training: lowest 1.25 after epoch 2" in shown
