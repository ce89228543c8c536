from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus import documents as module
from chargen.corpus.documents import Document, Documents, Spans
from chargen.corpus.large_text import LargeText
from chargen.corpus.lines import filled_lines

WHITE_SPACE = [chr(code) for code in range(0x110000) if chr(code).isspace()]
LETTERS = "ab\u3000é😀"

texts = st.text(st.sampled_from([*WHITE_SPACE, *LETTERS, *"\n" * 9]))
listed = st.lists(
    st.builds(
        Document,
        st.text(LETTERS, min_size=1, max_size=5) | st.text(LETTERS, min_size=1, max_size=5).map(lambda text: LargeText([text])),
        st.sampled_from([None, "x", "y"]),
        st.integers(0, 1),
        st.booleans(),
    )
)


def plain(documents: Sequence[Document]) -> list[tuple[object, ...]]:
    return [(str(text), *others) for text, *others in documents]


@given(texts)
def test_lines_are_those_of_split_that_are_not_blank(text: str) -> None:
    expected = [line for line in text.split("\n") if line.strip()]
    for one in (text, LargeText([text])):
        assert list(Spans(one, *filled_lines(one)).texts()) == expected


def test_lines_are_found_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(["Ada", " ", "", "Grace Hopper", "Zoë", "  "] * 3)
    monkeypatch.setattr("chargen.corpus.lines.PIECE", 2)
    assert [text[start:stop] for start, stop in zip(*filled_lines(text), strict=True)] == ["Ada", "Grace Hopper", "Zoë"] * 3


@given(listed)
def test_documents_are_a_sequence_of_what_they_were_made_of(expected: list[Document]) -> None:
    documents = Documents.of(expected)
    assert plain(documents) == plain(expected)
    assert plain([documents[number] for number in range(-len(expected), len(expected))]) == plain(expected) * 2
    assert plain(documents[1::2]) == plain(expected[1::2])
    assert plain(documents + documents[:2]) == plain([*expected, *expected[:2]])
    assert [str(text) for text in documents.texts()] == [str(one.text) for one in expected]
    assert documents.lengths.tolist() == [len(one.text) for one in expected]
    assert documents.ends.tolist() == [one.ends for one in expected]
    assert list(documents.labels) == [one.label for one in expected]
    assert documents.label_names == tuple(sorted({one.label for one in expected} - {None}))
    assert plain(documents.of_part(1)) == plain([one for one in expected if one.part == 1])


@given(listed, st.data())
def test_some_of_them_are_taken_by_their_numbers(expected: list[Document], data: st.DataObject) -> None:
    chosen = sorted(data.draw(st.sets(st.integers(0, len(expected) - 1)))) if expected else []
    assert plain(Documents.of(expected).take(np.array(chosen, np.int64))) == plain([expected[number] for number in chosen])


def test_places_beyond_the_last_are_errors() -> None:
    with pytest.raises(IndexError):
        Documents.of([Document("Ada")])[1]


def test_short_documents_of_a_file_are_read_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_AHEAD", 10)
    monkeypatch.setattr(module, "SHORT", 6)
    text = LargeText(["Ada\nGrace\nKatherine Johnson\nIda\nHedy\n"])
    found = list(Spans(text, *filled_lines(text)).texts())
    assert list(map(str, found)) == ["Ada", "Grace", "Katherine Johnson", "Ida", "Hedy"]
    assert [isinstance(one, str) for one in found] == [True, True, False, True, True]


def test_what_is_cut_off_does_not_end() -> None:
    whole = Spans("Ada Grace", np.array([0, 4]), np.array([3, 9]))
    pieces = whole.narrowed(np.array([0, 4]), np.array([3, 6]))
    assert list(pieces.documents()) == [Document("Ada"), Document("Gr", ends=False)]
    assert list(pieces.narrowed(np.array([0, 4]), np.array([2, 6])).documents()) == [
        Document("Ad", ends=False),
        Document("Gr", ends=False),
    ]
