"""`chargen novelty` and `chargen sample --novel`: what is copied, and texts in which nothing is."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.results import assert_one_line, text_of

Invoke = Callable[..., Result]
TrainOn = Callable[..., Path]

PROSE = "It was late, and Harvey had not slept.\nHe said so.\n"
NAMES = sorted("".join(letters) for length in (1, 2, 3) for letters in product("ab", repeat=length))


@pytest.fixture
def train_on(in_folder: Path, write_trained: Callable[..., Path]) -> Callable[..., Path]:
    """Write a corpus and the run of an untrained network for it."""

    def write(text: str, *, reading: str = "document") -> Path:
        (in_folder / "corpus.txt").write_text(text, encoding="utf-8")
        characters = sorted(set(text) - ({"\n"} if reading == "line" else set()))
        return write_trained(files=("corpus.txt",), reading=reading, characters="".join(characters))

    return write


def test_a_given_text_is_judged(invoke: Invoke, train_on: TrainOn) -> None:
    train_on(PROSE)
    given = "He said so.\nHarvey had not slept?\nHe sad so.\n"
    assert text_of(invoke("novelty", "--file", "-", input=given)).splitlines() == [
        "1 text, 45 characters, compared with corpus.txt (51 characters)",
        "longest copy: 20 characters, line 1 of corpus.txt",
        "  'Harvey had not slept'",
        "within copies of 20 characters or more: 44.4% of the text",
        "lines in the corpus: 1 of 3",
        "  He said so.",
        "lines one letter off: 1 of 3",
        "  He sad so.  (He said so.)",
        "lines two letters off: 0 of 3",
    ]
    told = json.loads(text_of(invoke("novelty", "noise", "--file", "-", "--copy-length", 8, "--json", input=given)))
    assert told["texts"] == [given]
    assert told["longest"] == {
        "text": "Harvey had not slept",
        "length": 20,
        "in_text": 0,
        "at": 12,
        "source": "corpus.txt",
        "line": 1,
    }
    assert [one["text"] for one in told["copies"]] == ["He said so.\n", "Harvey had not slept"]
    assert told["copied_share"] == 32 / 45
    assert (told["lines"], told["exact"]) == (3, ["He said so."])
    assert told["near"] == [{"line": "He sad so.", "nearest": "He said so.", "edits": 1}]


def test_drawn_texts_are_judged(invoke: Invoke, train_on: TrainOn) -> None:
    train_on(PROSE)
    told = json.loads(text_of(invoke("novelty", "--json", "--count", 3, "--length", 50, "--random-seed", 1)))
    assert [len(text) for text in told["texts"]] == [50, 50, 50]
    longest = told["longest"]
    assert longest["text"] in PROSE
    assert told["texts"][longest["in_text"]][longest["at"] :].startswith(longest["text"])
    assert len(json.loads(text_of(invoke("novelty", "--json")))["texts"]) == 10


def test_drawn_lines_are_judged(invoke: Invoke, train_on: TrainOn) -> None:
    train_on("\n".join(NAMES), reading="line")
    told = json.loads(text_of(invoke("novelty", "--json")))
    assert len(told["texts"]) == told["lines"] == 100
    assert told["exact"] == [text for text in told["texts"] if text in NAMES]
    assert len(json.loads(text_of(invoke("novelty", "--json", "--file", "corpus.txt")))["texts"]) == len(NAMES)


def test_new_names_alone(invoke: Invoke, train_on: TrainOn) -> None:
    train_on("\n".join(NAMES), reading="line")
    lines = text_of(invoke("sample", "--novel", "--count", 30, "--random-seed", 1)).splitlines()
    assert len(lines) == 30
    assert not set(lines) & set(NAMES)
    assert set(text_of(invoke("sample", "--count", 30, "--random-seed", 1)).splitlines()) & set(NAMES)
    assert len(text_of(invoke("sample", "--novel", "--count", 1, "--seed", "ab")).strip()) > 3
    result = invoke("sample", "--novel", "--max-length", 3, "--tries", 500)
    assert_one_line(result, "0 of 500 drawn texts satisfy the conditions, expected 10", code=1)


def test_prose_without_copies(invoke: Invoke, train_on: TrainOn) -> None:
    train_on(PROSE)
    text = text_of(invoke("sample", "--novel", "--copy-length", 4, "--random-seed", 2, "--length", 60)).removesuffix("\n")
    assert len(text) == 60
    assert not any(text[start : start + 4] in PROSE for start in range(57))
    result = invoke("sample", "--novel", "--copy-length", 1)
    assert_one_line(result, "0 of 1,000 drawn texts satisfy the conditions, expected 1", code=1)


def test_what_cannot_be_judged_is_one_line(invoke: Invoke, train_on: TrainOn, in_folder: Path) -> None:
    train_on(PROSE)
    assert_one_line(invoke("novelty", "--file", "missing.txt"), "no such file: missing.txt")
    assert_one_line(invoke("novelty", "--file", "corpus.txt", "--count", 3), "--file checks a given text")
    assert_one_line(invoke("novelty", "missing"), "no such run: missing")
    assert_one_line(invoke("novelty", "--copy-length", 0), "--copy-length")
    assert_one_line(invoke("sample", "--novel", "--beam", 3), "--beam draws nothing, which excludes --novel")
    (in_folder / "corpus.txt").write_text("Another text.\n", encoding="utf-8")
    for command in (["novelty"], ["sample", "--novel"]):
        assert_one_line(invoke(*command), "runs/noise was trained on cannot be used: it has changed")
    (in_folder / "corpus.txt").unlink()
    assert_one_line(invoke("novelty"), "cannot be used: no such file: corpus.txt")
