"""A classifier's run is evaluated and compared by its accuracy."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]

OPTIONS = ("--task", "classify", "--tokens", "word", "--hidden-size", 4, "--embedding", 3, "--batch-size", 4, "-q")


@pytest.fixture
def train(invoke: Invoke, in_folder: Path) -> Callable[..., str]:
    """Train a small classifier on 24 reviews, tested on 3 others, and return its name."""
    words = (("good", "fine"), ("bad", "dull"))
    rows = [f"the {noun} was {word},{words.index(pair)}" for noun in ("film", "end") for pair in words for word in pair]
    (in_folder / "reviews.csv").write_text("review,sentiment\n" + "\n".join(rows * 3) + "\n", encoding="utf-8")
    (in_folder / "unseen.csv").write_text("review,sentiment\na good one,1\na bad one,1\na dull one,0\n", encoding="utf-8")

    def run(*arguments: object) -> str:
        result = invoke("train", "reviews.csv", *OPTIONS, "--epochs", 1, *arguments)
        assert result.exit_code == 0, result.output
        return Path(result.stdout.strip()).name

    return run


def test_evaluate_measures_the_held_out_texts_and_repeats_those_of_the_test(train: Callable[..., str], invoke: Invoke) -> None:
    name = train("--test", "unseen.csv")
    told = json.loads(invoke("evaluate", name, "--json").stdout)
    parts = [(row["name"], row["kind"], row["part"]) for row in told["results"]]
    baselines = [(one, "baseline", "held out") for one in ("majority", "ngram")]
    assert parts == [("network", "model", "held out"), *baselines, ("network, --test", "model", "test")]
    listed = json.loads(invoke("runs", "--json").stdout)[0]
    assert told["results"][0]["accuracy"] == told["confusion"]["accuracy"] == pytest.approx(listed["accuracy"], abs=1e-6)
    assert told["confusion"]["labelled"] == 2
    unseen = json.loads(invoke("evaluate", name, "unseen.csv", "--no-baselines", "--json").stdout)
    assert [row["part"] for row in unseen["results"]] == ["file"]
    assert unseen["results"][0]["accuracy"] == told["results"][-1]["accuracy"]


def test_evaluate_prints_a_table(train: Callable[..., str], invoke: Invoke) -> None:
    name = train()
    lines = invoke("evaluate", name, "unseen.csv").stdout.splitlines()
    assert lines[0].split() == ["accuracy"]
    assert [line.split()[0] for line in lines[1:] if line] == ["network", "majority", "ngram", "accuracy", "true", "0", "1"]
    assert lines[4:6] == ["", lines[5]]
    assert "of 3 texts" in lines[5]


def test_evaluate_refuses_other_labels_and_changed_texts(train: Callable[..., str], invoke: Invoke, in_folder: Path) -> None:
    name = train()
    (in_folder / "other.csv").write_text("review,sentiment\na good one,2\n", encoding="utf-8")
    with (in_folder / "reviews.csv").open("a", encoding="utf-8") as table:
        table.write("one more,1\n")
    for files, told in ((["other.csv"], "has the label '2', which the model does not know"), ([], "it has changed")):
        result = invoke("evaluate", name, *files)
        assert (result.exit_code, result.stdout) == (2, "")
        assert told in result.stderr
    assert "no baselines: the text that" in invoke("evaluate", name, "unseen.csv").stderr


def test_compare_shows_accuracies(train: Callable[..., str], invoke: Invoke) -> None:
    names = train("--test", "unseen.csv"), train("--cell", "gru")
    result = invoke("compare", *names, "--evaluate")
    heading, *lines = result.stdout.splitlines()
    first = heading.index(names[0])
    table = {line[:first].strip(): line[first:].split() for line in lines}
    assert table["cell"] == ["lstm", "gru"]
    assert table["validation accuracy"] == table["held-out accuracy"]
    assert table["test accuracy"][1] == "-"
    assert not any("char" in name for name in table)
    one, two = json.loads(invoke("compare", *names, "--evaluate", "--json").stdout)["runs"]
    assert (one["task"], two["test_accuracy"]) == ("classify", None)
    assert one["evaluation"][0]["accuracy"] == pytest.approx(one["validation_accuracy"], abs=1e-6)
    assert "validation_bits_per_character" not in one
    refused = invoke("compare", *names, "--carry")
    assert (refused.exit_code, "--carry is for runs that write text" in refused.stderr) == (2, True)
