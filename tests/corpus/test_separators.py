"""Documents are cut at separators, which are found only where they are clear."""

import doctest
import random
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chargen.corpus import separators
from chargen.corpus.corpus import Corpus, load_corpus
from chargen.corpus.large_text import LargeText
from chargen.corpus.separators import cut_at, find_blank_separator, find_separator, separator_name, separator_pattern
from chargen.errors import ConfigError
from chargen.settings.schema import CorpusConfig
from chargen.shipped import shipped_folder
from tests.corpus.layouts.blind import ALL
from tests.corpus.layouts.table import PASSAGES, WORDS

RNG = random.Random(7)
JOKES = [f"Why did the {one} cross the road?\nTo meet the {RNG.choice(WORDS['words'])}." for one in WORDS["words"]]
LINES = re.sub("\n+", "\n", PASSAGES["poem"]).split("\n")
STANZAS = ["\n".join(RNG.sample(LINES, 4)) for _ in range(40)]
POEMS = [f"{title}\n\n{one}\n\n{two}" for title, one, two in zip(WORDS["films"], STANZAS, STANZAS[20:], strict=False)]
NOVEL = "\n\n\n".join(f"CHAPTER {number}\n\n" + "\n\n".join([PASSAGES["english"]] * 9) for number in range(1, 13))


@pytest.mark.parametrize(
    ("between", "pieces", "separator"),
    [
        ("\n%\n", JOKES, "%"),
        ("\n%%\n", JOKES, "%%"),
        ("\n***\n", JOKES, "***"),
        ("\n\n* * *\n\n", JOKES, "* * *"),
        ("\n---\n", JOKES, "---"),
        ("\n#\n", JOKES, "#"),
        ("\n~~~~~~~~\n", JOKES, "~~~~~~~~"),
        ("\n<|endoftext|>\n", JOKES, "<|endoftext|>"),
        ("<|endoftext|>", JOKES, "<|endoftext|>"),
        (" </s> ", JOKES, "</s>"),
        ("\n\n", [joke.replace("Why", "Q: Why").replace("To", "A: To") for joke in JOKES], "blank"),
        ("\n\n\n", POEMS, r"\n\n\n"),
        ("\n\n\n\n\n", POEMS, r"\n\n\n"),
    ],
)
def test_what_stands_between_documents_is_found_and_cut_at(between: str, pieces: list[str], separator: str) -> None:
    text = between.join(pieces) + "\n"
    assert (find_separator(text) or find_blank_separator(text)) == separator
    assert list(cut_at(text, separator_pattern(separator))) == pieces


@pytest.mark.parametrize("text", [one.text for one in ALL], ids=[one.name for one in ALL])
def test_small_texts_are_one_document(text: str) -> None:
    assert find_separator(text) is None
    assert find_blank_separator(text) is None


SCENES = "\n\n* * *\n\n".join("\n\n".join([PASSAGES["english"]] * 8) for _ in range(9))
HEADINGS = "\n\n".join(f"Boats\n-----\n\n{joke}" for joke in JOKES)
COMMENTED = "\n".join(f"#\n# {joke.splitlines()[0]}\n#\nprint({number})" for number, joke in enumerate(JOKES))
SECTIONS = "\n\n\n".join(f"{number}. ABOUT BOATS\n\n{PASSAGES['english']}" for number in range(20))
DIFF = "\n".join(["--- a/boats.txt", "+++ b/boats.txt", "@@ -1,3 +1,3 @@", "-red", "+blue", "-"] * 9)


@pytest.mark.parametrize(
    "text",
    [NOVEL, SCENES, HEADINGS, COMMENTED, SECTIONS, DIFF, PASSAGES["play"] * 9, "", "\n\n\n", "50%\n%\n50%"],
    ids=["novel", "scenes", "headings", "comments", "sections", "diff", "play", "empty", "blank", "one line"],
)
def test_parts_of_one_document_are_not_cut(text: str) -> None:
    assert find_separator(text) is None
    assert find_blank_separator(text) is None


def test_the_shipped_texts_are_one_document() -> None:
    for path in shipped_folder("corpora").iterdir():
        text = path.read_text(encoding="utf-8")
        assert find_separator(text) is find_blank_separator(text) is None


def cut(text: str, separator: str) -> list[str]:
    return [str(piece) for piece in cut_at(text, separator_pattern(separator))]


def test_a_separator_is_a_line_of_its_own_unless_it_says_otherwise() -> None:
    assert cut("50% off\n%\n100%\n", "%") == ["50% off", "100%"]
    assert cut("a\n %\t\n%\nb", "%") == ["a", "b"]
    assert cut("a\r\n%\r\nb\r\n", "%") == ["a", "b"]
    assert cut("a<eos>b\n<eos>\nc", "<eos>") == ["a", "b", "c"]
    assert cut("a;\nb;\nc", r";\n") == ["a", "b", "c"]
    assert cut("a\n \nb\n\n\nc\nd", "blank") == ["a", "b", "c\nd"]
    assert cut("a\n\nb\n\n\n\nc", r"\n\n\n") == ["a\n\nb", "c"]
    assert cut("  a\n%\n  b", "%") == ["  a", "  b"]


PIECES = st.lists(st.text("ab \n%", max_size=40), min_size=1, max_size=20)


@given(PIECES, st.sampled_from(["blank", "%", "<eos>", r"\n\n\n", r"a\nb"]), st.integers(1, 9))
def test_a_text_in_a_file_is_cut_as_one_in_memory(pieces: list[str], separator: str, size: int) -> None:
    text = {"blank": "\n\n", r"\n\n\n": "\n\n\n", r"a\nb": "a\nb"}.get(separator, f"\n{separator}\n").join(pieces)
    blocks = [text[start : start + size] for start in range(0, len(text), size)]
    assume(max(map(len, re.findall(r"\s+", text)), default=0) < 30)  # a longer separator may be cut in two
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chargen.corpus.large_text.BLOCK", size)
        patch.setattr(separators, "MARGIN", 40)
        large = [str(piece) for piece in cut_at(LargeText(blocks), separator_pattern(separator))]
    assert large == cut(text, separator)


def load(folder: Path, *texts: str, **options: object) -> Corpus:
    names = [f"{number}.txt" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    return load_corpus(CorpusConfig(files=tuple(names), **options))  # type: ignore[arg-type]


FORTUNES = "\n%\n".join(JOKES)


def test_separated_documents_are_told_and_recorded(in_folder: Path) -> None:
    corpus = load(in_folder, FORTUNES)
    assert tuple(corpus.texts) == tuple(JOKES)
    assert (corpus.reading, corpus.entries) == ("document", True)
    assert corpus.notes == (
        "25 documents with % between them, the first begins 'Why did the apple cross the road?' "
        "(--document reads the text as a whole)",
    )
    assert corpus.recorded == {"reading": "document", "separator": "%", "file_readings": ()}
    assert load(in_folder, FORTUNES, **corpus.recorded).documents == corpus.documents


def test_a_separator_can_be_chosen_or_refused(in_folder: Path) -> None:
    assert tuple(load(in_folder, FORTUNES, reading="document").texts) == (FORTUNES,)
    assert tuple(load(in_folder, "\n\n".join(STANZAS), separator="blank").texts) == tuple(STANZAS)
    assert tuple(load(in_folder, "|".join(JOKES), separator="|").texts) == tuple(JOKES)
    assert tuple(load(in_folder, "50|%\n|\n100%", separator="|").texts) == ("50|%", "100%")
    assert tuple(load(in_folder, "\n%\n".join(STANZAS), separator="none").texts) == ("\n%\n".join(STANZAS),)
    with pytest.raises(ConfigError, match="there is no separator '@@' in the text"):
        load(in_folder, FORTUNES, separator="@@")
    with pytest.raises(ConfigError, match="the separator is '', expected blank, none or a text"):
        load(in_folder, FORTUNES, separator="")


def test_a_run_without_a_separator_is_read_as_before(in_folder: Path) -> None:
    """Runs from before separators existed have only `reading` in their settings."""
    assert tuple(load(in_folder, FORTUNES, reading="document").texts) == (FORTUNES,)


def test_files_with_other_separators_are_recorded_one_by_one(in_folder: Path) -> None:
    corpus = load(in_folder, FORTUNES, PASSAGES["english"], "\n***\n".join(JOKES), "\n".join(WORDS["english"]))
    assert corpus.file_readings == ("%", "document", "***", "line")
    assert len(corpus.documents) == 25 + 1 + 25 + 20
    assert [note.partition(":")[0] for note in corpus.notes] == ["3.txt", "0.txt", "2.txt", "1.txt"]
    again = load_corpus(CorpusConfig(files=("0.txt", "1.txt", "2.txt", "3.txt"), **corpus.recorded))
    assert again.documents == corpus.documents


def test_blocks_that_may_be_documents_are_told_of(in_folder: Path) -> None:
    (note,) = load(in_folder, "\n\n".join(STANZAS)).notes
    hint = "--separator blank makes each block a document"
    assert note == f"40 blocks between empty lines, read as one document ({hint}), such as {STANZAS[0].splitlines()[1]!r}"
    assert load(in_folder, PASSAGES["play"] * 9).notes == ()


def test_the_examples_of_the_code_work() -> None:
    assert doctest.testmod(separators).failed == 0 < doctest.testmod(separators).attempted


@pytest.mark.parametrize(
    ("separator", "name"),
    [("blank", "empty lines"), ("%", "%"), (r"\n\n", "1 or more empty lines"), (r"\n\n\n", "2 or more empty lines")],
)
def test_separators_have_names(separator: str, name: str) -> None:
    assert separator_name(separator) == name
