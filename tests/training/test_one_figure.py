"""A network has one figure: training, evaluate, surprise, compare, plot and the report show the same bits for the same text."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chargen.cli.program import program
from chargen.insight.comparison import read_facts
from chargen.insight.report import read_record
from chargen.network.model_file import load_model, save_model
from chargen.runs.trained_text import read_trained_text

Train = Callable[..., Any]
SETTINGS = (
    *("--backend", "numpy", "--validation-split", 0.3, "--validation", "tail", "--epochs", 2, "--learning-rate", 0.01),
    "--no-memory",
)


def run_json(*arguments: object) -> Any:
    result = CliRunner().invoke(program, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def first_bits(*arguments: object) -> float:
    return float(run_json("evaluate", *arguments, "--no-baselines")["results"][0]["bits_per_character"])


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize(
    "form",
    [
        (),
        ("--tokens", "byte", "--cell", "gru"),
        ("--tokens", "word", "--vocab-size", 8),
        ("--targets", "last", "--context-length", 5),
        ("--context-length", 7, "--batch-size", 2),
    ],
    ids=lambda form: " ".join(map(str, form)),
)
def test_all_commands_agree(form: tuple[object, ...], lines: bool, train: Train, prose: Path, names: Path) -> None:
    trained = train(names if lines else prose, *SETTINGS, *form)
    run, model = trained.run, load_model(trained.run.model)
    told = float(re.findall(r"best ([\d.]+) bits/char", trained.stderr)[-1])
    bits = first_bits(run.path)
    assert told == pytest.approx(bits, abs=1e-3)
    assert model.provenance["bits_per_character"] == pytest.approx(bits, abs=1e-5)
    (facts,) = read_facts([run])
    assert (facts.bits_per_character, facts.cross_entropy) == pytest.approx((bits, bits * math.log(2)), abs=1e-5)
    assert read_record(run.model).best["bits_per_character"] == pytest.approx(bits, abs=1e-5)
    plotted = CliRunner().invoke(program, ["plot", str(run.path)]).stdout
    assert f"validation: lowest {bits:.4g} after epoch" in plotted
    held_out = Path("held-out.txt")
    held_out.write_text("\n".join(str(one.text) for one in read_trained_text(run, model).held_out), encoding="utf-8")
    measured = first_bits(run.path, held_out)
    read = run_json("surprise", run.path, held_out)
    assert read["bits_per_character"] == pytest.approx(measured, abs=1e-5)
    total = sum(read["bits"]) + (read["end_bits"] or 0)
    assert total / read["characters"] == pytest.approx(measured, abs=1e-3)
    if lines:  # of a document, training held out a part that has no end
        assert read["bits_per_character"] == pytest.approx(bits, abs=1e-5)


def test_models_together(train: Train, prose: Path) -> None:
    runs = [train(prose, *SETTINGS, *form).run for form in (("--targets", "last", "--context-length", 5), ("--cell", "gru"))]
    rows = run_json("evaluate", *[run.path for run in runs], "--no-baselines")["results"]
    assert [row["name"] for row in rows][:2] == ["each as trained", "stream"]
    assert rows[0]["bits_per_character"] < max(first_bits(run.path) for run in runs)


def test_labels(train: Train, prose: Path, names: Path) -> None:
    trained = train(prose, names, "--label-by", "file", "--document", *SETTINGS, "--context-length", 9)
    assert float(re.findall(r"([\d.]+) bits/char", trained.stderr)[-1]) == pytest.approx(first_bits(trained.run.path), abs=1e-3)
    read = run_json("surprise", trained.run.path, prose, "--label", "prose")["bits_per_character"]
    assert read == pytest.approx(first_bits(trained.run.path, prose, "--label", "prose"), abs=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_epochs_cut_short_measure_a_part_and_the_end_all(backend: str, train: Train, prose: Path) -> None:
    trained = train(prose, *SETTINGS, "--backend", backend, "--batch-size", 2, "--context-length", 9, "--epoch-steps", 30)
    assert re.search(r"validation [\d.]+ on \d\d%  [\d.]+ bits/char", trained.stderr)
    bits = first_bits(trained.run.path)
    assert f"of the held-out text, {bits:.3f} on all of it" in trained.stderr
    assert load_model(trained.run.model).provenance["bits_per_character"] == pytest.approx(bits, abs=1e-4)
    assert read_facts([trained.run])[0].bits_per_character == pytest.approx(bits, abs=1e-4)


def test_a_drifted_state_is_told_when_it_writes(train: Train, prose: Path) -> None:
    run = train(prose, *SETTINGS).run
    model = load_model(run.model)
    save_model(run.model, replace(model, provenance={**model.provenance, "drift": 3.25}))
    told = "worse with a carried state, by 3.25 bits a character"
    invoke = CliRunner().invoke
    sampled = invoke(program, ["sample", "--run", str(run.path), "--length", "5"])
    assert (sampled.exit_code, sampled.stderr.count(told)) == (0, 1)
    for quiet in (["--no-carry"], ["-q"]):
        assert told not in invoke(program, ["sample", "--run", str(run.path), "--length", "5", *quiet]).stderr
