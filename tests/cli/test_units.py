"""`chargen units`: which unit follows what, on a pipe, on a terminal and in a page."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.results import assert_one_line, text_of

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]

TEXT = 'ab "Hc" b\nHab "bb cc" a\nb\n'
CHARACTERS = 'abcH "\n'


@pytest.fixture
def text_file(in_folder: Path, write_run: WriteRun) -> Path:
    """A text, and the run of a model that knows its characters."""
    write_run(characters=CHARACTERS)
    path = in_folder / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_the_best_unit_for_each_property(invoke: Invoke, text_file: Path) -> None:
    heading, *rows = text_of(invoke("units", text_file)).splitlines()
    assert heading == "26 characters, 10 states of units"
    found = json.loads(text_of(invoke("units", "noise", text_file, "--json")))["found"]
    assert list(found) == ["quotes", "line-position", "words"]
    for name, row in zip(("quotes", "line-position", "brackets", "indent", "words"), rows, strict=True):
        if name in found:
            best = found[name][0]
            unit = f"layer 1, unit {best['unit']}, {best['state']} state"
            assert row.split(maxsplit=2) == [name, f"{best['correlation']:+.3f}", unit]
        else:
            assert row.split(maxsplit=2) == [name, "-", "constant in this text"]


def test_units_are_ranked_and_the_best_is_shown(invoke: Invoke, text_file: Path) -> None:
    told = json.loads(text_of(invoke("units", text_file, "--find", "quotes", "--json")))
    figures = [abs(one["correlation"]) for one in told["found"]["quotes"]]
    assert len(figures) == 10
    assert figures == sorted(figures, reverse=True)
    best = told["found"]["quotes"][0]
    assert told["unit"] == {name: best[name] for name in ("layer", "unit", "state")}
    assert "".join(told["tokens"]) == TEXT
    assert len(told["values"]) == len(TEXT)
    assert max(map(abs, told["values"])) <= 1
    shown = text_of(invoke("units", text_file, "--find", "quotes", "--top", 3)).splitlines()
    assert len([line for line in shown if re.match(r"  [+-]0\.\d{3}  layer 1, unit", line)]) == 3
    assert TEXT.splitlines()[1] in shown


def test_one_unit_is_shown_with_marks(invoke: Invoke, text_file: Path) -> None:
    values = json.loads(text_of(invoke("units", text_file, "--unit", 3, "--state", "hidden", "--json")))["values"]
    shown = text_of(invoke("units", text_file, "--unit", 3, "--state", "hidden"))
    assert "layer 1, unit 3, hidden state; below the text, from -1 to 1: '=- .:+#'" in shown
    rows = shown.split("\n\n")[-1].splitlines()
    marks = "".join("=- .:+#"[min(6, int((one + 1) / 2 * 7))] for one in values)
    assert rows[0] == TEXT.splitlines()[0]
    assert rows[1] == marks[:10].rstrip()
    cell = json.loads(text_of(invoke("units", text_file, "--unit", 3, "--json")))
    assert cell["unit"]["state"] == "cell"
    assert cell["values"] != values


def test_only_so_much_is_read(invoke: Invoke, text_file: Path) -> None:
    assert json.loads(text_of(invoke("units", text_file, "--unit", 1, "--length", 5, "--json")))["tokens"] == list(TEXT[:5])


def test_a_page_is_written(invoke: Invoke, text_file: Path, in_folder: Path) -> None:
    assert text_of(invoke("units", text_file, "--find", "quotes", "--html", "page.html")) == ""
    page = (in_folder / "page.html").read_text(encoding="utf-8")
    assert "26 characters" in page
    best = json.loads(text_of(invoke("units", text_file, "--find", "quotes", "--json")))["unit"]
    first = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])["units"][0]
    assert first == list(best.values())
    (in_folder / "flat.txt").write_text("\n\n\n a", encoding="utf-8")
    assert text_of(invoke("units", "flat.txt", "--html", "page.html")) == ""


def test_colours_are_for_terminals(invoke: Invoke, text_file: Path) -> None:
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "60"}
    shown = invoke("units", text_file, "--unit", 1, env=terminal, color=True).stdout
    assert "blue is -1, red is 1" in shown
    assert "\x1b[30;48;5;" in shown
    assert "\x1b[" not in invoke("units", text_file, "--unit", 1, env=terminal | {"NO_COLOR": "1"}, color=True).stdout


def test_what_there_is_not_is_one_line(invoke: Invoke, text_file: Path, write_classifier: WriteRun) -> None:
    assert_one_line(invoke("units", text_file, "--unit", 6), "--unit is 6, a layer has 5")
    assert_one_line(invoke("units", text_file, "--unit", 1, "--layer", 2), "--layer is 2, the network has 1")
    assert_one_line(invoke("units", text_file, "--layer", 2), "--layer is 2, the network has 1")
    assert_one_line(invoke("units", text_file, "--find", "brackets"), "brackets is constant in the text")
    assert_one_line(invoke("units", text_file, "--find", "verbs"), "verbs")
    assert_one_line(invoke("units", text_file, "--find", "quotes", "--unit", 1), "exclude each other")
    assert_one_line(invoke("units", text_file, "--unit", 0), "--unit")
    assert_one_line(invoke("units"), "expected [RUN] FILE")
    assert_one_line(invoke("units", "-", input="xyz"), "never seen 'x'")
    write_classifier()
    assert_one_line(invoke("units", "critic", text_file), "holds a classifier, which writes no text")


def test_the_embedding_of_tokens(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    found = json.loads(invoke("units", "--embedding", "--json", "--top", 2).stdout)
    assert set(found["neighbours"]) == set(found["points"])
    assert all(len(one) == 2 for one in found["neighbours"].values())
    token = next(iter(found["neighbours"]))
    lines = invoke("units", "--embedding", "noise", "--token", token, "--top", 2).stdout.splitlines()
    nearest = found["neighbours"][token][0]
    assert lines[0] == f"{nearest['similarity']:+.3f}  {nearest['token']!r}"
    table = invoke("units", "--embedding").stdout
    assert table.startswith(repr(token))
    assert_one_line(invoke("units", "--embedding", "--token", "xyz"), "no such token: 'xyz'")
    assert_one_line(invoke("units", "a.txt", "--token", "a"), "--token needs --embedding")
    assert_one_line(invoke("units", "--embedding", "noise", "a.txt"), "got 2 names, expected [RUN] with --embedding")
