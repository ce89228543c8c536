import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.cli.results import assert_one_line

Invoke = Callable[..., Result]

NAMES = "Ada\nGrace\nAlan\nEdsger\nBarbara\nDonald\nJohn\nDennis\nKen\nLinus\nGuido\nBjarne\nAda\n"
PROSE = "The cat sat on the mat, and the dog sat on the log. It was late.\n" * 60


@pytest.fixture
def report(invoke: Invoke) -> Callable[..., dict[str, Any]]:
    """Inspect texts and return what --json prints."""

    def inspect(*arguments: str) -> dict[str, Any]:
        result = invoke("inspect", *arguments, "--json")
        assert result.exit_code == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return inspect


def test_each_file_of_a_folder_is_described(report: Callable[..., dict[str, Any]], in_folder: Path) -> None:
    folder = in_folder / "texts"
    folder.mkdir()
    (folder / "names.txt").write_text(NAMES, encoding="utf-8")
    (folder / "prose.txt").write_bytes(PROSE.replace("late", "sp\u00e4t").encode("cp1252"))
    found = report("texts")
    names, prose = found["files"]
    assert names == {
        "name": "names.txt", "encoding": "utf-8", "reading": "line", "documents": 13, "characters": len(NAMES) - 13,
    }  # fmt: skip
    assert (prose["name"], prose["reading"], prose["documents"]) == ("prose.txt", "document", 1)
    assert prose["encoding"] in ("cp1252", "cp1250", "cp1254", "iso8859_1")
    assert found["documents"] == 14
    assert found["copies"] == 1
    assert any("read as" in note for note in found["notes"])


def test_a_list_for_people(invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "names.txt").write_text(NAMES, encoding="utf-8")
    result = invoke("inspect", "names.txt")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("a list of names")
    assert ["names.txt", "utf-8", "line", "13", "63"] in [line.split() for line in lines]
    assert "13, of which 1 are copies of earlier ones" in result.stdout
    assert "Latin 100.0%" in result.stdout
    assert any(line.startswith("warning: 63 characters are few") for line in lines)


def test_what_would_be_held_out_is_counted(report: Callable[..., dict[str, Any]], in_folder: Path) -> None:
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    held_out = report("prose.txt")["held_out"]
    assert held_out["documents"] >= 1
    assert held_out["characters"] == pytest.approx(len(PROSE) / 10, rel=0.3)
    assert report("prose.txt", "--validation-split", "0")["held_out"] == {"documents": 0, "characters": 0}


def test_the_settings_that_training_would_choose(report: Callable[..., dict[str, Any]], in_folder: Path) -> None:
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    assert any("lstm 1x" in line for line in report("prose.txt")["training"])


def test_options_of_reading_apply(report: Callable[..., dict[str, Any]], in_folder: Path) -> None:
    (in_folder / "names.txt").write_text(NAMES, encoding="utf-8")
    assert report("names.txt", "--document")["documents"] == 1
    assert report("names.txt", "--per-line")["documents"] == 13


@pytest.mark.parametrize("text", [NAMES, PROSE, f"{PROSE}\n<|endoftext|>\n{PROSE}"])
def test_the_written_text_is_read_as_the_one_inspected(
    text: str, report: Callable[..., dict[str, Any]], invoke: Invoke, in_folder: Path
) -> None:
    (in_folder / "text.txt").write_bytes(text.encode("utf-16"))
    assert invoke("inspect", "text.txt", "--write", "clean.txt", "-q").exit_code == 0
    whole, clean = report("text.txt"), report("clean.txt")
    assert [whole[one] for one in ("reading", "documents", "lengths")] == [
        clean[one] for one in ("reading", "documents", "lengths")
    ]


def test_a_rare_character_is_shown_with_its_place(invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "prose.txt").write_text(PROSE + "one \u0153uvre\n" + PROSE, encoding="utf-8")
    result = invoke("inspect", "prose.txt")
    (line,) = [line for line in result.stdout.splitlines() if "U+0153" in line]
    assert "prose.txt, line 61, column 5" in line


def test_a_missing_file_is_one_line(invoke: Invoke) -> None:
    assert_one_line(invoke("inspect", "missing.txt"), "no such file: missing.txt")


def test_an_unwritable_file_is_one_line(invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "names.txt").write_text(NAMES, encoding="utf-8")
    result = invoke("inspect", "names.txt", "--write", "missing/clean.txt")
    assert_one_line(result, "cannot write missing/clean.txt", "--write")
