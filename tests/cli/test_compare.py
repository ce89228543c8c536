import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]

PROSE = "the cat sat on the mat.\nthe dog sat on the log.\n" * 12
SMALL = ("--embedding", 3, "--epochs", 1, "--sample-every", 0, "--context-length", 8, "--backend", "numpy", "--no-memory", "-q")


@pytest.fixture
def train(invoke: Invoke, in_folder: Path) -> Callable[..., str]:
    """Train a small run on prose.txt and return its name."""
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")

    def run(*arguments: object) -> str:
        result = invoke("train", *(arguments if "other.txt" in arguments else ("prose.txt", *arguments)), *SMALL)
        assert result.exit_code == 0, result.output
        return Path(result.stdout.strip()).name

    return run


def test_side_by_side(train: Callable[..., str], invoke: Invoke) -> None:
    first, second = train("--hidden-size", 4), train("--hidden-size", 5, "--cell", "gru", "--learning-rate", 0.01)
    result = invoke("compare", first, second, "--evaluate", "--block-length", 20)
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == [first, second]
    table = {line[: heading.index(first)].strip(): line[heading.index(first) :].split() for line in lines}
    assert table["corpus"] == ["prose", "prose"]
    assert (table["cell"], table["size"]) == (["lstm", "gru"], ["1x4", "1x5"])
    assert table["training.learning_rate"] == ["0.003", "0.01"]
    assert table["epochs"] == ["1", "1"]
    assert all(time.count(":") == 2 for time in table["training time"])
    assert not {"training.epochs", "network.cell", "corpus.files"} & set(table)
    assert {"stream, nats/char", "stream, bits/char", "blocks of 20, nats/char", "blocks of 20, bits/char"} < set(table)
    assert result.stderr == ""


def test_as_json(train: Callable[..., str], invoke: Invoke) -> None:
    names = [train("--hidden-size", 4), train("--hidden-size", 5)]
    told = json.loads(invoke("compare", *names, "--evaluate", "--json").stdout)
    assert told["comparable"] is True
    assert told["differing"] == {}
    for run, name in zip(told["runs"], names, strict=True):
        assert (run["name"], run["best_epoch"], run["epochs"]) == (name, 1, 1)
        assert run["training_seconds"] > 0
        assert run["validation_cross_entropy"] == pytest.approx(run["validation_bits_per_character"] * 0.6931, rel=1e-3)
        assert [row["name"] for row in run["evaluation"]] == ["stream", "blocks of 256"]
    parameters = told["runs"][0]["parameters"]
    listed = json.loads(invoke("evaluate", names[0], "--json", "--no-baselines").stdout)
    assert listed["results"] == told["runs"][0]["evaluation"]
    assert parameters < told["runs"][1]["parameters"]


def test_runs_of_different_corpora_do_not_compare(train: Callable[..., str], invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "other.txt").write_text(PROSE.upper(), encoding="utf-8")
    result = invoke("compare", train("--hidden-size", 4), train("other.txt", "--hidden-size", 4))
    assert result.exit_code == 0
    assert result.stderr.startswith("these runs were trained on different corpora (prose ")
    assert "corpus.files" in result.stdout


def test_nor_do_those_that_hold_out_different_parts(train: Callable[..., str], invoke: Invoke) -> None:
    names = [train("--hidden-size", 4), train("--hidden-size", 4, "--validation-split", 0.3)]
    assert "have different validation splits" in invoke("compare", *names).stderr
    assert json.loads(invoke("compare", *names, "--json").stdout)["comparable"] is False


def test_what_is_not_known_is_a_dash(train: Callable[..., str], invoke: Invoke, in_folder: Path) -> None:
    names = [train("--hidden-size", 4), train("--hidden-size", 4, "--validation-split", 0)]
    for path in (in_folder / "runs" / names[0] / "checkpoints").rglob("facts.json"):
        path.write_bytes(b"damaged")
    lines = invoke("compare", *names).stdout.splitlines()
    table = {line[:24].strip(): line[24:].split() for line in lines}
    assert table["training time"][0] == "-"
    assert table["validation nats/char"][1] == "-"


def test_what_cannot_be_compared(
    train: Callable[..., str], invoke: Invoke, write_classifier: Callable[..., Path], in_folder: Path
) -> None:
    name = train("--hidden-size", 4)
    write_classifier("critic")
    config = (in_folder / "runs" / name / "config.toml").read_bytes()
    (in_folder / "runs/critic/config.toml").write_bytes(config)
    metrics = in_folder / "runs" / name / "metrics.csv"
    (in_folder / "runs/critic/metrics.csv").write_bytes(metrics.read_bytes())
    cases = (
        ([name], "chargen: 1 run was given, expected two or more"),
        ([], "no runs were given"),
        ([name, "missing"], "no such run: missing"),
        ([name, "critic"], f"runs/critic is a classifier, but runs/{name} writes text: they have no figure in common"),
    )
    for runs, told in cases:
        result = invoke("compare", *runs)
        assert (result.exit_code, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert told in line
