import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.results import text_of

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


def test_the_most_probable_characters_come_first(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    found = json.loads(text_of(invoke("next", "Ha", "--json")))["next"]
    probabilities = [one["probability"] for one in found]
    assert sorted(one["token"] for one in found) == sorted("abcHé\n")
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)
    assert json.loads(text_of(invoke("next", "Ha", "--json", "--top", 2)))["next"] == found[:2]


def test_the_first_is_what_greedy_sampling_writes(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    for prompt in ("", "H", "Habcab"):
        best = json.loads(text_of(invoke("next", prompt, "--json")))["next"][0]["token"]
        assert text_of(invoke("sample", "--seed", prompt, "--greedy", "--length", 1)) == f"{prompt}{best}\n"


def test_what_was_expected_while_reading(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    report = json.loads(text_of(invoke("next", "Hab", "--json")))
    assert report["text"] == "Hab"
    assert [one["token"] for one in report["read"]] == list("Hab")
    for one in report["read"]:
        assert one["right"] is (one["token"] == one["guess"])
        assert one["probability"] <= one["guess_probability"]
    start = json.loads(text_of(invoke("next", "", "--json")))
    first = report["read"][0]
    assert (first["guess"], first["guess_probability"]) == tuple(start["next"][0].values())
    assert start["read"] == []


def test_people_see_tables(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    report = json.loads(text_of(invoke("next", "Hab", "--json")))
    shown = text_of(invoke("next", "Hab"))
    heading, *following = shown.split("\n\n")[0].splitlines()
    assert heading == "after 'Hab':"
    assert [line.split()[0] for line in following] == [
        repr(one["token"]) if one["token"] else "(end)" for one in report["next"]
    ]
    assert "(end)" in shown
    right, columns, *rows = shown.split("\n\n")[1].splitlines()
    assert right == f"while reading, {sum(one['right'] for one in report['read'])} of 3 guessed right:"
    assert columns.split() == ["after", "came", "guessed"]
    assert [row.split()[0] for row in rows] == ["''", "'H'", "'Ha'"]
    assert [row.endswith("right") for row in rows] == [one["right"] for one in report["read"]]


def test_an_end_is_null_in_json(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    assert None in [one["token"] for one in json.loads(text_of(invoke("next", "H", "--json")))["next"]]
    assert None not in [one["token"] for one in json.loads(text_of(invoke("next", "--json")))["next"]]


def test_without_a_text_it_tells_how_texts_begin(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert text_of(invoke("next")).startswith("after '':\n")
    assert "while reading" not in text_of(invoke("next"))


@pytest.mark.parametrize(("choice", "read"), [("skip", "Hb"), ("nearest", "Hab")])
def test_unknown_characters(choice: str, read: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    found = json.loads(text_of(invoke("next", "HAb", "--on-unknown", choice, "--json")))
    assert found["text"] == "HAb"  # as it was typed
    assert [one["token"] for one in found["read"]] == list(read)
    assert found["next"] == json.loads(text_of(invoke("next", read, "--json")))["next"]


def test_a_run_can_be_named(invoke: Invoke, write_run: WriteRun) -> None:
    write_run("one", characters="xy")
    write_run("other", characters="pq")
    assert {one["token"] for one in json.loads(text_of(invoke("next", "--run", "one", "--json")))["next"]} == {"x", "y"}
