"""`chargen evaluate` on what training held out gives the figures that training reported, where both read in the same way."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chargen.cli.program import program
from chargen.corpus.corpus import load_corpus
from chargen.network.model_file import load_model
from chargen.runs.config import read_settings
from chargen.runs.trained_text import read_trained_text
from chargen.settings.layers import resolve
from chargen.training.planning.text_plan import make_plan

Train = Callable[..., Any]


def evaluated(*arguments: object) -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(program, ["evaluate", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return {row["name"]: row for row in json.loads(result.stdout)["results"]}


def best_epoch(trained: Any) -> dict[str, float]:
    with trained.run.metrics.open(encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return min(rows, key=lambda row: row["validation_cross_entropy"])


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_one_stateful_stream(backend: str, train: Train, prose: Path) -> None:
    trained = train(prose, "--stateful", "--batch-size", 1, "--context-length", 16, "--epochs", 2, "--backend", backend)
    found, reported = evaluated()["stream"], best_epoch(trained)
    assert found["cross_entropy"] == pytest.approx(reported["validation_cross_entropy"], abs=1e-5)
    assert found["bits_per_character"] == pytest.approx(reported["bits_per_character"], abs=1e-5)


@pytest.mark.parametrize("extra", [(), ("--tokens", "byte"), ("--tokens", "word", "--vocab-size", 6)])
def test_windows_are_measured_as_one_stream(extra: tuple[str, ...], train: Train, prose: Path) -> None:
    trained = train(prose, "--context-length", 11, "--epochs", 2, "--backend", "numpy", *extra)
    found = evaluated(trained.run.path)["stream"]
    assert found["bits_per_character"] == pytest.approx(best_epoch(trained)["bits_per_character"], abs=1e-5)


def test_lines(train: Train, names: Path) -> None:
    trained = train(names, "--epochs", 2, "--backend", "numpy")
    found = evaluated("--training", "--cache", "--dynamic")
    assert list(found)[:5] == ["lines, memory", "lines", "lines, cache", "lines, dynamic", "lines, training part"]
    assert found["lines"]["cross_entropy"] == pytest.approx(best_epoch(trained)["validation_cross_entropy"], abs=1e-5)


def test_labelled_documents(train: Train, prose: Path, names: Path) -> None:
    trained = train(
        prose, names, "--label-by", "file", "--document", "--context-length", 9, "--epochs", 1, "--backend", "numpy"
    )
    found = evaluated()["stream"]
    assert found["cross_entropy"] == pytest.approx(best_epoch(trained)["validation_cross_entropy"], abs=1e-5)


def test_the_split_is_that_of_the_training_plan(train: Train, names: Path) -> None:
    run = train(names, "--epochs", 1, "--backend", "numpy", "--random-seed", 9, "--validation-split", 0.3).run
    settings = read_settings(run)
    plan = make_plan(settings, load_corpus(settings.corpus))
    text = read_trained_text(run, load_model(run.model))
    assert text.training == plan.documents
    assert len(text.held_out) + len(text.training) == len(plan.corpus.documents)
    assert text.sha256 == plan.corpus.sha256
    assert resolve(("config.toml", settings.to_mapping())).settings == settings
