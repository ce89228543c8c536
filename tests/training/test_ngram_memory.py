"""Training adds an n-gram memory to the model, and every command can read it or leave it out."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chargen.cli.program import program
from chargen.memory.building import WEIGHT
from chargen.network.model_file import load_model, save_model
from chargen.runs.directory import RunDirectory

Train = Callable[..., Any]
SETTINGS = ("--backend", "numpy", "--epochs", 1, "--sample-every", 0, "--validation-split", 0.3, "--validation", "tail")


def chargen(*arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(program, [*map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    return result


def bits_of(*arguments: object) -> dict[str, float]:
    rows = json.loads(chargen("evaluate", *arguments, "--no-baselines", "--json").stdout)["results"]
    return {row["name"]: row["bits_per_character"] for row in rows}


@pytest.fixture
def run(train: Train, prose: Path) -> RunDirectory:
    directory: RunDirectory = train(prose, *SETTINGS).run
    return directory


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("form", [(), ("--tokens", "word"), ("--targets", "last", "--context-length", 5)], ids=str)
def test_training_reports_what_evaluate_measures(
    form: tuple[object, ...], lines: bool, train: Train, prose: Path, names: Path
) -> None:
    trained = train(names if lines else prose, *SETTINGS, *form)
    told = re.search(
        r"has ([\d.]+) bits a character under the network, ([\d.]+) under the memory and ([\d.]+) under both", trained.stderr
    )
    assert told
    bits = list(bits_of(trained.run.path).items())
    alone = bits_of(trained.run.path, "--memory", 1)
    assert bits[0][0] == f"{bits[1][0]}, memory"
    found = (bits[1][1], alone[bits[0][0]], bits[0][1])
    assert tuple(map(float, told.groups())) == pytest.approx(found, abs=1e-3)
    assert bits[0][1] < bits[1][1]
    memories = [load_model(path).memory for path in (trained.run.model, trained.run.last_model)]
    assert len({one.weight for one in memories if one}) == 1


def test_lines_of_a_list_without_repetitions_are_hardly_repeated(train: Train, tmp_path: Path) -> None:
    """Where a line of the text is complete, the probability of its end is that of the held-out lines."""
    drawn = Random(1)
    every = ("".join(drawn.choices("abc", k=drawn.choice([2, 3, 3, 4, 4, 4, 5, 5, 6, 7]))) for _ in range(5000))
    lines = list(dict.fromkeys(every))[:400]
    text = tmp_path / "lines.txt"
    text.write_text("\n".join(lines), encoding="utf-8")
    trained = train(text, *SETTINGS, "--hidden-size", 16, "--embedding", 8, "--epochs", 20, "--per-line")
    told = re.search(
        r"both, at weight [\d.]+; ([\d.]+) if the ([\d,]+) lines of the training text are repeated ([\d.]+) times",
        trained.stderr,
    )
    assert told
    model = load_model(trained.run.model)
    assert model.memory is not None
    assert model.memory.lines is not None
    assert len(model.memory.lines.keys) == int(told[2]) == 280  # those that are not held out
    assert model.memory.lines.factors[0] == pytest.approx(float(told[3]), rel=0.1)
    assert model.memory.lines.factors[0] < 0.3
    assert float(told[1]) == pytest.approx(bits_of(trained.run.path)["lines, memory"], abs=1e-3)
    unknowing = tmp_path / "unknowing.safetensors"
    save_model(unknowing, replace(model, memory=model.memory.with_lines(None)))
    assert bits_of(trained.run.path, text)["lines, memory"] > bits_of(unknowing, text)["lines, memory"]

    def repeated(path: Path) -> int:
        written = chargen("sample", "--run", path, "--count", 300, "--no-distinct", "--random-seed", 1).stdout.split()
        return len([line for line in written if line in lines[:280]])

    assert 2 * repeated(trained.run.path) < repeated(unknowing)


def test_an_option_leaves_it_out(train: Train, prose: Path) -> None:
    trained = train(prose, *SETTINGS, "--no-memory")
    assert "n-gram memory" not in trained.stderr
    assert load_model(trained.run.model).memory is None
    refused = chargen("sample", "--run", trained.run.path, "--memory", 0.3, exit_code=2)
    assert "n-gram memory" in refused.stderr
    assert "stream, memory" not in bits_of(trained.run.path)


def test_without_held_out_text_the_weight_is_the_usual_one(train: Train, prose: Path) -> None:
    trained = train(prose, *SETTINGS, "--validation-split", 0)
    memory = load_model(trained.run.model).memory
    assert memory is not None
    assert memory.weight == WEIGHT
    assert f"weight {WEIGHT:g}" in trained.stderr


def test_text_is_written_with_it_unless_the_weight_is_0(run: RunDirectory, tmp_path: Path) -> None:
    save_model(tmp_path / "alone.safetensors", replace(load_model(run.model), memory=None))
    options = ("--random-seed", 3, "--length", 300)
    both = chargen("sample", "--run", run.path, *options).stdout
    alone = chargen("sample", "--run", run.path, "--memory", 0, *options).stdout
    assert alone == chargen("sample", "--run", tmp_path / "alone.safetensors", *options).stdout != both


def test_surprise_and_next_read_it(run: RunDirectory, prose: Path) -> None:
    bits = bits_of(run.path, prose)
    for weight, name in ((None, "stream, memory"), (0, "stream")):
        given = () if weight is None else ("--memory", weight)
        surprise = json.loads(chargen("surprise", run.path, prose, "--json", *given).stdout)
        assert surprise["bits_per_character"] == pytest.approx(bits[name], abs=1e-5)
    found = [json.loads(chargen("next", "the c", "--json", *given).stdout) for given in ((), ("--memory", 0))]
    assert found[0] != found[1]


def test_exported_pages_say_that_they_hold_it(run: RunDirectory) -> None:
    assert "(--memory 0 leaves it out)" in chargen("export", run.path, "--output", "page.html").stderr
