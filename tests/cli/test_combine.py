"""One model file of several runs, and what each command does with it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import chargen
from chargen.errors import ConfigError
from chargen.network.model_file import TextModel, load_model, save_model

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]
RandomModel = Callable[..., TextModel]

TEXT = "abcH é abH cab.\n" * 40


@pytest.fixture
def runs(invoke: Invoke, write_trained: WriteRun, in_folder: Path, random_model: RandomModel) -> tuple[Path, Path, Path]:
    """Two runs of one text with different weights, and their combination."""
    (in_folder / "text.txt").write_text(TEXT, encoding="utf-8")
    first, second = (write_trained(name, characters="abcH é.\n", files=("text.txt",)) for name in ("first", "second"))
    other = random_model(characters="abcH é.\n", seed=9)
    save_model(second, replace(load_model(second), network=other.network))
    done = invoke("combine", "first", "second")
    assert (done.exit_code, "2 networks, each lstm 1x5" in done.stderr) == (0, True)
    return first, second, Path(done.stdout.strip()) / "model.safetensors"


def output(done: Result) -> str:
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_evaluate_measures_what_it_measures_of_the_runs_together(invoke: Invoke, runs: tuple[Path, Path, Path]) -> None:
    *apart, together = [
        json.loads(output(invoke("evaluate", *names, "--json")))["results"] for names in (["first", "second"], [runs[2]])
    ]
    assert len(apart[0]) == len(together) > 4
    for one, other in zip(apart[0], together, strict=True):
        assert one["name"] == other["name"]
        assert other["cross_entropy"] == pytest.approx(one["cross_entropy"], rel=1e-6)
    alone = json.loads(output(invoke("evaluate", runs[2], "--member", 2, "--no-baselines", "--json")))["results"][0]
    second = json.loads(output(invoke("evaluate", "second", "--no-baselines", "--json")))["results"][0]
    assert alone == second
    assert output(invoke("evaluate", runs[2], "--positions"))
    dynamic = {
        number: json.loads(output(invoke("evaluate", runs[2], "--dynamic", "--no-baselines", "--json", *number)))["results"]
        for number in ((), ("--member", "1"), ("--member", "2"))
    }
    costs = [row["cross_entropy"] for rows in dynamic.values() for row in rows if row["name"] == "stream, dynamic"]
    assert len(costs) == 3
    assert costs[0] < sum(costs[1:]) / 2


def test_text_is_the_same_as_of_the_runs_together(invoke: Invoke, runs: tuple[Path, Path, Path]) -> None:
    drawn = ["--seed", "ab", "--random-seed", 4, "--length", 30]
    together = output(invoke("sample", "--run", runs[2], *drawn))
    assert together == output(invoke("sample", "--run", "first", "--run", "second", *drawn))
    assert together == chargen.load(runs[2]).generate("ab", random_seed=4, length=30) + "\n"
    beam = output(invoke("sample", "--run", runs[2], "--beam", 3, "--length", 5))
    assert beam == output(invoke("sample", "--run", "first", "--run", "second", "--beam", 3, "--length", 5))


@pytest.mark.parametrize(
    "command",
    [
        "next ab --run RUN",
        "surprise RUN text.txt",
        "novelty RUN --count 2",
        "summary RUN",
        "runs",
        "units RUN text.txt",
        "report RUN --no-evaluation",
    ],
)
def test_a_command_takes_it(command: str, invoke: Invoke, runs: tuple[Path, Path, Path]) -> None:
    done = invoke(*command.replace("RUN", str(runs[2].parent)).split())
    assert output(done)
    if command.startswith("units"):
        assert "the model holds 2 networks; these are the units of the first" in done.stderr
        assert output(invoke("units", "--member", 1, runs[2], "text.txt")) == done.stdout
        assert output(invoke("units", "--member", 2, runs[2], "text.txt")) == output(invoke("units", "second", "text.txt"))
    if command.startswith("summary"):
        assert "network 2 of 2" in done.stdout
    if command == "runs":
        assert "1x5, 2 together" in done.stdout


def test_exports_hold_all_networks_or_the_chosen_one(invoke: Invoke, runs: tuple[Path, Path, Path], in_folder: Path) -> None:
    for name in ("one.html", "one.py"):
        both = output(invoke("export", runs[2], "--output", name)) or (in_folder / name).read_text(encoding="ascii")
        output(invoke("export", runs[2], "--member", 2, "--output", name))
        chosen = (in_folder / name).read_text(encoding="ascii")
        output(invoke("export", "second", "--output", name))
        assert len(both) > len(chosen)
        assert chosen == (in_folder / name).read_text(encoding="ascii")
    refused = invoke("export", runs[2], "--output", "one.onnx")
    assert (refused.exit_code, "choose one with --member" in refused.stderr) == (2, True)


def test_each_network_says_where_it_comes_from(runs: tuple[Path, Path, Path]) -> None:
    sha256 = load_model(runs[0]).provenance["sha256"]
    known = load_model(runs[2]).provenance
    assert known == {"sha256": sha256, "members": [{"run": "first", "sha256": sha256}, {"run": "second", "sha256": sha256}]}
    model = chargen.load(runs[2], member=2)
    assert model.generate(random_seed=1, length=9) == chargen.load(runs[1]).generate(random_seed=1, length=9)
    with pytest.raises(ConfigError, match="numbered 1 to 2"):
        chargen.load(runs[2], member=3)


def test_a_combination_of_combinations_holds_all_networks(invoke: Invoke, runs: tuple[Path, Path, Path]) -> None:
    made = Path(output(invoke("combine", runs[2], "first")).strip()) / "model.safetensors"
    model, first = load_model(made), load_model(runs[0])
    assert [one["run"] for one in model.provenance["members"]] == ["first", "second", "first"]
    ids = np.array([[1, 2]])
    given, expected = (one.step(ids[0], one.zero_state(2))[0] for one in (model.member(3).network, first.network))
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"characters": "abx"}, "different vocabularies"),
        ({"reading": "line"}, "reading is document and line"),
        ({"labels": ("x",)}, "different labels"),
    ],
)
def test_models_that_do_not_fit_are_refused_in_a_line(
    other: dict[str, object], reason: str, invoke: Invoke, write_run: WriteRun, in_folder: Path
) -> None:
    write_run("one")
    write_run("other", **other)
    refused = invoke("combine", "one", "other")
    assert (refused.exit_code, len(refused.stderr.splitlines()), reason in refused.stderr) == (2, 1, True)
    assert sorted(path.name for path in (in_folder / "runs").iterdir()) == ["one", "other"]
    assert invoke("combine", "one").exit_code == 2


def test_runs_that_hold_out_different_text_have_no_held_out_text_together(invoke: Invoke, write_run: WriteRun) -> None:
    write_run("one")
    write_run("other", seed=3)
    done = invoke("combine", "one", "other")
    assert "do not hold out the same text" in done.stderr
    assert not (Path(output(done).strip()) / "config.toml").exists()
