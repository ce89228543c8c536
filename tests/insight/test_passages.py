from collections.abc import Callable

import pytest

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.errors import CorpusError, UnknownTokenError
from chargen.insight.passages import Line, lines_of, read_passages, token_pieces
from chargen.network.model_file import TextModel

MakeModel = Callable[..., TextModel]


def test_a_model_of_documents_reads_a_text_as_one(random_model: MakeModel) -> None:
    (passage,) = read_passages(random_model(), "aH\n\nbc")
    assert (passage.line, passage.pieces, passage.ids.tolist()) == (1, list("aH\n\nbc"), [1, 4, 6, 6, 2, 3])


def test_a_model_of_lines_reads_lines(random_model: MakeModel) -> None:
    passages = read_passages(random_model(reading="line", characters="abH "), "aH\n\n  \nbb\n")
    assert [(one.line, "".join(one.pieces)) for one in passages] == [(1, "aH"), (4, "bb")]


def test_unknown_characters_and_empty_texts(random_model: MakeModel) -> None:
    with pytest.raises(UnknownTokenError):
        read_passages(random_model(), "axb")
    (passage,) = read_passages(random_model(), "axb", on_unknown="skip")
    assert passage.pieces == ["a", "b"]
    for text in ("", " \n", "xyz"):
        with pytest.raises(CorpusError, match="no text is left to read"):
            read_passages(random_model(), text, on_unknown="skip")


def test_pieces_of_every_kind_of_token_are_the_text() -> None:
    text = "é du, Ida!"
    merges = [("d", "u"), ("I", "d")]
    for vocabulary in (
        CharacterVocabulary(sorted(set(text))),
        ByteVocabulary(),
        BpeVocabulary("".join(sorted(set(text))), merges),
    ):
        assert "".join(token_pieces(vocabulary, vocabulary.encode(text), text)) == text
    vocabulary = ByteVocabulary()
    assert token_pieces(vocabulary, vocabulary.encode("aé\udcff\udce2"), "")[:5] == ["a", "", "é", "\ufffd", "\ufffd"]
    words = WordVocabulary([" du", ","], num_characters=9)
    assert token_pieces(words, words.encode(text), text) == ["é", " du", ",", " Ida", "!"]  # most of them unknown


def test_lines_of_pieces() -> None:
    assert list(lines_of(["a", "\n", "\n", "b\n", "c"])) == [Line(1, 0, 2), Line(2, 2, 3), Line(3, 3, 4), Line(4, 4, 5)]
    assert list(lines_of(["a\nb\n", "c"], 5, start=7)) == [Line(5, 7, 8), Line(7, 8, 9)]
    assert list(lines_of(["a", "\n"])) == [Line(1, 0, 2)]
