"""Lists are distinguished from running text: the labelled table, its confusion matrix, and properties of the judgement."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus import layout
from chargen.corpus.corpus import Corpus, cut_corpus
from chargen.corpus.large_text import LargeText
from chargen.corpus.layout import MIN_LINES, SIGNS, judge_layout
from chargen.corpus.layout_signs import Sign
from chargen.corpus.reading import SourceText
from chargen.settings.schema import CorpusConfig
from chargen.shipped import shipped_folder
from tests.corpus.layouts.blind import ALL, FIRST_BLIND, SECOND_BLIND
from tests.corpus.layouts.table import LISTS, TEXTS, Labelled, held_out

SHARE_RIGHT = 0.95


def confusion(table: list[Labelled]) -> dict[tuple[str, str], list[str]]:
    """Return the names of the texts by true and judged label."""
    matrix: dict[tuple[str, str], list[str]] = {}
    for one in table:
        judged = "list" if judge_layout(one.text).kind == "list" else "text"
        matrix.setdefault((one.kind, judged), []).append(one.name)
    return matrix


SECOND = [one for one in SECOND_BLIND if one.kind in ("list", "text")]


@pytest.mark.parametrize("table", [ALL, held_out(ALL), SECOND], ids=["all", "held out", "second blind set"])
def test_the_table_is_judged_right(table: list[Labelled]) -> None:
    matrix = confusion(table)
    for (is_, judged), names in sorted(matrix.items()):
        print(f"{is_:5} judged {judged:5} {len(names):4}  {', '.join(names) if is_ != judged else ''}")
    right = sum(len(names) for (is_, judged), names in matrix.items() if is_ == judged)
    assert right >= SHARE_RIGHT * len(table)


def test_the_table_is_of_many_kinds() -> None:
    assert len(ALL) >= 530
    assert {one.kind for one in ALL} == {"list", "text"}
    assert len(ALL) == len({one.text for one in ALL})
    assert len(ALL) / 5 < len(held_out(ALL)) < len(ALL) / 2
    assert len(SECOND) >= 75


def read(text: str) -> Corpus:
    return cut_corpus(CorpusConfig(files=("a.txt",)), [(0, SourceText("a.txt", text))])


@pytest.mark.parametrize("one", [one for one in FIRST_BLIND + SECOND_BLIND if one.kind == "either"], ids=lambda one: one.name)
def test_a_note_names_the_option_where_lines_may_be_entries_or_sentences(one: Labelled) -> None:
    corpus = read(one.text)
    (note,) = corpus.notes
    assert ("--document" if corpus.reading == "line" else "--per-line") in note
    assert any(repr(line.strip()[:20])[1:-1] in note for line in one.text.split("\n")[1:3])


@pytest.mark.parametrize(
    "one", [one for one in FIRST_BLIND + SECOND_BLIND if one.kind == "documents"], ids=lambda one: one.name
)
def test_documents_with_separators_between_them_are_cut(one: Labelled) -> None:
    corpus = read(one.text)
    assert corpus.file_readings[0] not in ("line", "document")
    assert len(corpus.documents) > 3


@pytest.mark.parametrize(
    ("name", "kind"), [("male.txt", "list"), ("female.txt", "list"), ("book.txt", "text"), ("tiny.txt", "text")]
)
def test_the_shipped_corpora_are_judged_right(name: str, kind: str) -> None:
    assert judge_layout((shipped_folder("corpora") / name).read_text(encoding="utf-8")).kind == kind


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.name)
def test_every_sign_is_found_in_the_table(sign: Sign) -> None:
    kinds = {one.kind for one in ALL if sign.name in judge_layout(one.text).signs}
    assert ("text" if sign.points > 0 else "list") in kinds


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    judged = judge_layout(text)
    assert judged.kind in ("list", "text", "doubtful", "short")
    assert judged.points == judged.points  # no NaN
    assert judged.lines == sum(bool(line.strip()) for line in text.split("\n"))


def test_a_few_lines_are_no_list() -> None:
    names = LISTS["english names"].split("\n")
    assert judge_layout("\n".join(names[: MIN_LINES - 1])).kind == "short"
    assert judge_layout("\n".join(names[:MIN_LINES])).kind == "list"


@pytest.mark.parametrize("name", ["english names", "thai names"])
def test_a_long_text_is_judged_by_its_middle_too(name: str) -> None:
    entries, prose = LISTS[name] * 400, TEXTS["english prose at 40"] * 400
    for text in (entries, LargeText([entries])):
        assert judge_layout(text).kind == "list"
    assert judge_layout(LISTS[name] * 20 + prose).kind != "list"
    assert judge_layout(LargeText([LISTS[name] * 20, prose])).kind != "list"


def test_the_judgement_shows_lines_of_the_text() -> None:
    judged = judge_layout(LISTS["a comment above"])
    assert judged.examples[0] in LISTS["a comment above"].split("\n")[1:]
    assert not judged.examples[0].startswith("#")


def test_the_examples_of_the_code_work() -> None:
    assert doctest.testmod(layout).failed == 0 < doctest.testmod(layout).attempted
