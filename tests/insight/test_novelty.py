from collections.abc import Callable
from pathlib import Path

import pytest

from chargen.corpus.reading import SourceText
from chargen.errors import CorpusError, RunError
from chargen.insight.novelty import CopiedSpan, NoveltyJudge
from chargen.runs.trained_text import training_texts

WriteTrained = Callable[..., Path]


def judge(*texts: str, reading: str = "document") -> NoveltyJudge:
    return NoveltyJudge([SourceText(f"{number}.txt", text) for number, text in enumerate(texts)], reading)


def test_a_text_half_of_which_is_copied() -> None:
    result = judge("first\nsecond line here\n", "another text").judge(["?? second line", "nothing ??"], 10)
    assert result.longest == CopiedSpan("second line", number=0, start=3, source="0.txt", line=2)
    assert result.copies == (result.longest,)
    assert (result.characters, result.copied) == (24, 11)
    assert result.copied_share == 11 / 24


def test_copies_that_overlap_count_once() -> None:
    result = judge("abcdef", "defghi").judge(["abcdefghi"], 4)
    assert [one.text for one in result.copies] == ["abcdef", "defghi"]
    assert result.copied_share == 1


def test_lines_that_are_or_nearly_are_of_the_corpus() -> None:
    result = judge("Harold\nHarvey\n\nIda\n").judge(["Harold\nHarald\n", "", "Xerxes\nHarold"], 20)
    assert result.lines == ("Harold", "Harald", "Xerxes", "Harold")
    assert result.exact == ("Harold", "Harold")
    assert [(one.line, one.nearest, one.edits) for one in result.near] == [("Harald", "Harold", 1)]


def test_a_text_of_other_characters_alone() -> None:
    result = judge("abc").judge(["xyz", ""], 1)
    assert (result.longest, result.copies, result.copied_share) == (None, (), 0)
    assert judge("abc").judge([""], 1).copied_share == 0


def test_new_lines_and_new_texts() -> None:
    lines, prose = judge("Harold\nIda\n", reading="line"), judge("It was late, and dark.")
    assert not lines.is_new("Har", "old", 1)
    assert lines.is_new("Har", "o", 1)
    assert prose.is_new("It was late,", " and xyz", 6)  # the network did not write the prompt
    assert not prose.is_new("", "x late, y", 6)
    assert prose.is_new("", "late", 6)


def test_a_corpus_is_found_again(in_folder: Path, write_trained: WriteTrained) -> None:
    (in_folder / "one.txt").write_text("It was late.\r\n" * 3, encoding="utf-8")
    (in_folder / "other.txt").write_text("He slept.\n" * 3, encoding="utf-8")
    found = training_texts([write_trained("both", files=("one.txt", "other.txt")), write_trained("one", files=("one.txt",))])
    assert [(one.name, one.text[:12]) for one in found] == [
        ("one.txt", "It was late."),
        ("other.txt", "He slept.\nHe"),
        ("one.txt", "It was late."),
    ]
    assert len(training_texts([in_folder / "runs/one/model.safetensors"] * 2)) == 1


@pytest.mark.parametrize("corpus", [{"files": ("one.txt",)}, {"mix": ("one.txt:2", "tiny.txt:1")}], ids=["files", "mix"])
def test_a_corpus_is_found_from_another_folder(
    corpus: dict[str, object], in_folder: Path, write_trained: WriteTrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_folder / "one.txt").write_text("It was late.\n" * 3, encoding="utf-8")
    path = write_trained(**corpus)
    (in_folder / "elsewhere").mkdir()
    monkeypatch.chdir(in_folder / "elsewhere")
    assert training_texts([path])[0].name == "one.txt"


def test_bytes_are_read_as_they_are(in_folder: Path, write_trained: WriteTrained) -> None:
    (in_folder / "one.bin").write_bytes(b"\xff\x00\r\n" * 9)
    (found,) = training_texts([write_trained(files=("one.bin",), tokens="byte")])
    assert found.text == "\udcff\0\r\n" * 9


def test_a_corpus_that_cannot_be_used_is_told_of(in_folder: Path, write_trained: WriteTrained) -> None:
    (in_folder / "one.txt").write_text("It was late.\n" * 3, encoding="utf-8")
    path = write_trained(files=("one.txt",))
    (in_folder / "one.txt").write_text("It was later.\n" * 3, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"runs/noise was trained on cannot be used: it has changed"):
        training_texts([path])
    (in_folder / "one.txt").unlink()
    with pytest.raises(CorpusError, match=r"cannot be used: no such file: one\.txt"):
        training_texts([path])
    config = path.parent / "config.toml"
    config.write_text('[corpus]\nfiles = ["-"]\n', encoding="utf-8")
    with pytest.raises(CorpusError, match="trained on standard input"):
        training_texts([path])
    config.unlink()
    with pytest.raises(RunError, match=r"has no config\.toml"):
        training_texts([path])
