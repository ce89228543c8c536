import re
from collections.abc import Sequence
from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.corpus import Corpus, count_characters
from chargen.corpus.documents import Document, Documents
from chargen.corpus.holdout import LONGEST_SPAN, SHORTEST_SPAN, _nearest_break, split_documents
from chargen.corpus.large_text import LargeText, Text
from chargen.settings.schema import CorpusConfig

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def prose(length: int, *, line: int = 11, paragraph: int = 5) -> str:
    """Return words in lines and paragraphs, so different that a piece of them can be found again."""
    words = [f"{WORDS[number % len(WORDS)]}{number}" for number in range(length // 4)]
    lines = [" ".join(words[first : first + line]) for first in range(0, len(words), line)]
    blocks = ["\n".join(lines[first : first + paragraph]) for first in range(0, len(lines), paragraph)]
    return "\n\n".join(blocks)[:length]


def corpus(*texts: Text, reading: str = "document", labels: Sequence[str | None] = ()) -> Corpus:
    labelled = zip(texts, [*labels, *[None] * len(texts)], strict=False)
    return Corpus("text", Documents.of(Document(text, label) for text, label in labelled), reading, "")


def split(
    *texts: Text, share: float = 0.1, seed: int = 1, way: str = "spread", reading: str = "document", labels: Sequence[str] = ()
) -> tuple[Documents, Documents]:
    config = CorpusConfig(validation_split=share, validation=way)
    return split_documents(corpus(*texts, reading=reading, labels=labels), config, seed=seed)


def texts(documents: Sequence[Document]) -> list[str]:
    return [str(document.text) for document in documents]


def in_order(text: str, training: Sequence[Document], held_out: Sequence[Document]) -> list[Document]:
    """Return the pieces of a text in order, for training and validation in turn; fail if they are not the whole text."""
    pieces = [piece for pair in zip_longest(training, held_out) for piece in pair if piece]
    assert "".join(texts(pieces)) == text
    assert [piece.ends for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    return pieces


@given(st.integers(10, 200), st.floats(0.01, 0.9), st.integers(0, 5), st.sampled_from(["spread", "tail"]))
def test_many_documents_are_held_out_whole(count: int, share: float, seed: int, way: str) -> None:
    documents = [f"document {number}" for number in range(count)]
    training, held_out = split(*documents, share=share, seed=seed, way=way)
    assert sorted(texts(training + held_out)) == sorted(documents)
    assert len(held_out) == max(1, round(share * count))
    assert training
    assert split(*documents, share=share, seed=seed, way=way) == (training, held_out)


def test_the_choice_depends_on_the_seed() -> None:
    documents = [str(number) for number in range(100, 200)]
    assert split(*documents, seed=1) != split(*documents, seed=2)
    assert split(prose(9000), seed=1) != split(prose(9000), seed=2)


def test_many_documents_are_split_alike_either_way() -> None:
    """The validation split of a list of names, or of a folder of similar files, is the same with both methods."""
    documents = [str(number) for number in range(100, 200)]
    assert split(*documents, way="spread") == split(*documents, way="tail")
    assert split(*documents, way="spread", reading="line") == split(*documents, way="tail", reading="line")


@pytest.mark.parametrize("way", ["spread", "tail"])
@given(documents=st.lists(st.text("ab \n", min_size=2, max_size=50), min_size=1, max_size=9), share=st.floats(0.01, 0.9))
def test_of_a_few_short_documents_the_tails_are_held_out(way: str, documents: list[str], share: float) -> None:
    training, held_out = split(*documents, share=share, way=way)
    for document, head, tail in zip(documents, training, held_out, strict=True):
        assert head.text + tail.text == document
        assert head.text
        assert tail.text
        assert (head.ends, tail.ends) == (False, True)


def test_nothing_is_held_out_on_request() -> None:
    assert split("abc", "d", share=0) == ([Document("abc"), Document("d")], [])


@pytest.mark.parametrize("way", ["spread", "tail"])
def test_documents_of_one_character(way: str) -> None:
    assert split("a", "b", way=way) == ([Document("a")], [Document("b")])


@given(length=st.integers(640, 200_000), share=st.floats(0.02, 0.9), seed=st.integers(0, 99))
def test_the_pieces_of_a_text_make_up_all_of_it(length: int, share: float, seed: int) -> None:
    text = prose(length)
    training, held_out = split(text, share=share, seed=seed)
    assert all(texts(in_order(text, training, held_out)))
    assert 0.5 * share <= sum(len(one.text) for one in held_out) / len(text) <= 1.5 * share + 0.01
    assert count_characters(training) + count_characters(held_out) == len(text) + 1


@pytest.mark.parametrize(
    ("length", "spans"), [(300, 1), (700, 1), (2000, 3), (6000, 8), (63_000, 8), (330_000, 8), (1_100_000, 28)]
)
def test_stretches_of_a_few_thousand_characters(length: int, spans: int) -> None:
    training, held_out = split("x" * length)
    assert len(held_out) == spans
    lengths = [len(one.text) for one in held_out]
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= 1.2 * LONGEST_SPAN
    assert sum(lengths) == pytest.approx(0.1 * length, rel=0.01)
    gaps = [len(one.text) for one in training]
    assert min(gaps) >= max(SHORTEST_SPAN, 0.3 * sum(gaps) / len(gaps))


def test_stretches_lie_in_all_parts_of_a_text() -> None:
    """The end is never held out, with any seed: a licence there is then a small part of the training text."""
    text = "a" * 90_000 + "z" * 10_000
    for seed in range(20):
        _, held_out = split(text, seed=seed)
        places = [text.find(str(one.text)[0]) for one in held_out]
        assert sum(str(one.text).count("z") for one in held_out) <= 3000
        assert places.count(0) >= 6


@pytest.mark.parametrize(
    ("text", "before"),
    [
        (prose(20_000, paragraph=1), r"\n\n$"),
        (prose(20_000, paragraph=10**6), r"\n$"),
        ("It was so. " * 2000, r"\. $"),
        (prose(20_000, line=10**6), r" $"),
        ("多少人家。" * 4000, "。$"),
        ("\r\n".join(["some words in a line"] * 1000), r"\r\n$"),
        ("n\u0303e\u0301" * 5000, "[\u0303\u0301]$"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467" * 4000, "\U0001f467$"),
    ],
    ids=["paragraphs", "lines", "sentences", "words", "no spaces", "line ends of Windows", "combining marks", "joiners"],
)
def test_cuts_are_where_a_reader_would_cut(text: str, before: str) -> None:
    pieces = in_order(text, *split(text))
    assert len(pieces) == 17
    for piece in pieces[:-1]:
        assert re.search(before, str(piece.text)), str(piece.text)[-20:]


def test_a_text_in_a_file_is_cut_as_one_in_memory() -> None:
    text = prose(50_000)
    large = LargeText([text[:30_000], text[30_000:]])
    assert [list(map(str, texts(side))) for side in split(large)] == [texts(side) for side in split(text)]
    assert all(isinstance(group.text, LargeText) for side in split(large) for group in side.groups)


def test_of_a_few_documents_each_is_cut_by_itself() -> None:
    documents = [prose(9000), prose(200), prose(30_000)[9:]]
    training, held_out = split(*documents, labels=["x", "y", "z"])
    for document, label in zip(documents, "xyz", strict=True):
        sides = [[one for one in side if one.label == label] for side in (training, held_out)]
        assert in_order(document, *sides)


def test_a_long_document_among_many_is_cut_and_the_others_are_held_out_whole() -> None:
    notes = [f"a note, the {number}th" for number in range(20)]
    training, held_out = split(prose(40_000), *notes)
    assert len([one for one in held_out if str(one.text) in notes]) == 2
    assert 3000 < sum(len(one.text) for one in held_out) < 5000
    assert sum(one.ends for one in training + held_out) == 21


def test_lines_are_never_cut() -> None:
    training, held_out = split("Ada", "Grace", "Ida", reading="line")
    assert sorted(texts(training + held_out)) == ["Ada", "Grace", "Ida"]
    assert len(held_out) == 1
    assert all(one.ends for one in training + held_out)
    assert texts(split("Ada Lovelace, the first", "Grace Hopper", reading="line")[0]) == [
        "Ada Lovelace, the fir",
        "Grace Hoppe",
    ]


@pytest.mark.parametrize(
    ("text", "cut", "place"),
    [
        ("one two\n\nthree four\nfive", 12, 9),  # after the empty line, although the end of a line is as near
        ("one two three\nfour five", 11, 14),
        ("One. Two three four", 7, 5),
        ("one two three", 7, 8),
        ("one two three", 9, 8),
        ("abcdefghijkl", 6, 6),
        ("abcdee\u0301fghij", 6, 5),  # not between a letter and its accent
    ],
)
def test_a_cut_moves_to_the_best_place_nearby(text: str, cut: int, place: int) -> None:
    assert _nearest_break(text, cut, 4) == place
