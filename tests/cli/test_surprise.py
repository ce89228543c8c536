"""`chargen surprise`: what stands out of a text, on a pipe, on a terminal and in a page."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.results import assert_one_line, text_of

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]

TEXT = "abcabc\n\nHHHH\nab\u00e9\n"


@pytest.fixture
def text_file(in_folder: Path) -> Path:
    path = in_folder / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_bits_are_those_that_next_tells(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abcH")
    told = json.loads(text_of(invoke("surprise", "-", "--json", input="Hab\n")))
    read = json.loads(text_of(invoke("next", "Hab", "--json")))["read"]
    at_first = next(one for one in told["worst"] if one["token"] == "H")
    assert told["bits"][0] == pytest.approx(at_first["bits"], abs=1e-3)
    ends = 1 - sum(one["probability"] for one in at_first["alternatives"])  # all tokens are among them but the end
    assert 2 ** -told["bits"][0] / (1 - ends) == pytest.approx(read[0]["probability"], rel=1e-3)
    assert told["tokens"] == [*"Hab", "\n"]
    assert told["characters"] == 4
    assert told["bits_per_character"] == pytest.approx(sum(told["bits"]) / 4, abs=1e-3)


@pytest.mark.parametrize("reading", ["document", "line"])
def test_with_a_cache_the_figure_is_that_of_evaluate(
    reading: str, invoke: Invoke, write_run: WriteRun, text_file: Path
) -> None:
    write_run("noise", reading=reading)
    text_file.write_text(TEXT * 5, encoding="utf-8")
    told = json.loads(text_of(invoke("surprise", "noise", text_file, "--cache", "--json")))
    rows = json.loads(text_of(invoke("evaluate", "noise", text_file, "--cache", "--json", "-q")))["results"]
    (row,) = (one for one in rows if one["kind"] == "cache")
    assert told["bits_per_character"] == pytest.approx(row["bits_per_character"], rel=1e-4)
    assert told["bits_per_character"] != pytest.approx(rows[0]["bits_per_character"], rel=1e-4)


def test_the_most_surprising_lines_come_first(invoke: Invoke, write_run: WriteRun, text_file: Path) -> None:
    write_run()
    told = json.loads(text_of(invoke("surprise", text_file, "--json")))
    figures = [line["bits_per_character"] for line in told["lines"]]
    assert figures == sorted(figures, reverse=True)
    assert {line["line"]: line["text"] for line in told["lines"]} == {1: "abcabc", 3: "HHHH", 4: "ab\u00e9"}
    shown = text_of(invoke("surprise", text_file))
    assert [int(one) for one in re.findall(r"^line (\d+), ", shown, re.MULTILINE)] == [line["line"] for line in told["lines"]]
    assert shown.startswith(f"{told['bits_per_character']:.3f} bits a character, 18 characters with the text's end\n")
    one = text_of(invoke("surprise", text_file, "--lines", 1))
    assert len(re.findall(r"^line ", one, re.MULTILINE)) == 1
    in_order = text_of(invoke("surprise", "noise", text_file, "--order", "text"))
    assert re.findall(r"^line (\d+), ", in_order, re.MULTILINE) == ["1", "2", "3", "4"]


def test_the_worst_characters_have_alternatives(invoke: Invoke, write_run: WriteRun, text_file: Path) -> None:
    write_run()
    told = json.loads(text_of(invoke("surprise", text_file, "--json")))
    worst = told["worst"]
    assert [one["bits"] for one in worst] == pytest.approx(sorted(told["bits"], reverse=True), abs=1e-3)
    lines = TEXT.split("\n")
    for one in worst:
        assert (lines[one["line"] - 1] + "\n")[one["column"] - 1] == one["token"]
        assert len(one["alternatives"]) == 5
    shown = text_of(invoke("surprise", text_file))
    first = worst[0]
    assert first["bits"] > 4
    rather = "  ".join(f"{one['token']!r} {one['probability']:.1%}" for one in first["alternatives"])
    assert f"    column {first['column']}: {first['token']!r} {first['bits']:.1f} bits, expected {rather}\n" in shown
    assert re.search(r"^ +\^+", shown, re.MULTILINE)


def test_a_page_is_written(invoke: Invoke, write_run: WriteRun, text_file: Path, in_folder: Path) -> None:
    write_run()
    assert text_of(invoke("surprise", text_file, "--html", "page.html")) == ""
    page = (in_folder / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>\n")
    assert "text.txt" in page
    assert json.loads(text_of(invoke("surprise", text_file, "--html", "page.html", "--json")))["characters"] == 18


def test_colours_are_for_terminals(invoke: Invoke, write_run: WriteRun, text_file: Path) -> None:
    write_run()
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "60"}
    shown = invoke("surprise", text_file, env=terminal, color=True).stdout
    assert "\x1b[30;48;5;" in shown
    assert "\x1b[" not in invoke("surprise", text_file, env=terminal | {"NO_COLOR": "1"}, color=True).stdout
    assert "\x1b[" not in text_of(invoke("surprise", text_file))


def test_what_cannot_be_read_is_one_line(invoke: Invoke, write_run: WriteRun, text_file: Path, in_folder: Path) -> None:
    assert_one_line(invoke("surprise", text_file), "no trained run")
    write_run()
    assert_one_line(invoke("surprise"), "got 0 names, expected [RUN] FILE")
    assert_one_line(invoke("surprise", "a", "b", "c"), "got 3 names, expected [RUN] FILE")
    assert_one_line(invoke("surprise", "missing.txt"), "no such file: missing.txt")
    assert_one_line(invoke("surprise", "missing", text_file), "no such run: missing")
    assert_one_line(invoke("surprise", "-", input="axb"), "never seen 'x'", "--on-unknown skip")
    assert_one_line(invoke("surprise", text_file, "--html", "missing/page.html"), "cannot write missing/page.html", "--html")
    assert_one_line(invoke("surprise", "-", "--html", "page.html", input="a" * 1_000_001), "1,000,001 characters", "1,000,000")
    for name in ("one.txt", "two.txt"):
        (in_folder / "texts").mkdir(exist_ok=True)
        (in_folder / "texts" / name).write_text(TEXT, encoding="utf-8")
    assert_one_line(invoke("surprise", "texts"), "texts is a folder, expected a file")
    (in_folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    for command in ("surprise", "units", "evaluate"):  # which have no --encoding and no --tokens
        refused = invoke(command, "picture.png")
        assert_one_line(refused, "picture.png is a PNG picture, not text; give a text file, if possible in UTF-8")
    write_run("labelled", labels=("x", "y"))
    assert_one_line(invoke("surprise", "labelled", text_file), "choose --label from x, y")
