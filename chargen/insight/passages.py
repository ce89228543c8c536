"""Prepare a given text as a model reads it, line by line or as a whole, with the text of each token."""

from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chargen.corpus.vocabulary import Ids, Vocabulary
from chargen.corpus.words import split_words
from chargen.errors import CorpusError
from chargen.writing.ensemble import AnyModel


class Passage(NamedTuple):
    """A span of text that a model reads from its initial state.

    line: the number of its first line, from 1. pieces: the text of each id; for a character of several byte tokens the last one
    has the character, the others "".
    """

    line: int
    ids: Ids
    pieces: list[str]


class Line(NamedTuple):
    """A line of a text, numbered from 1: pieces[start:stop]."""

    number: int
    start: int
    stop: int


def read_passages(model: AnyModel, text: str, *, on_unknown: str = "error") -> list[Passage]:
    """Return the non-blank lines of a text for a model of lines, else the whole text as one passage.

    Raises UnknownTokenError for characters that are not in the vocabulary, unless they are left out or replaced, and
    CorpusError if no text is left.
    """
    whole = [(1, text)]
    parts = enumerate(text.split("\n"), start=1) if model.reading == "line" else whole
    passages = []
    for number, part in parts:
        ids = model.vocabulary.encode(part if part.strip() else "", on_unknown=on_unknown)
        if len(ids):
            passages.append(Passage(number, ids, token_pieces(model.vocabulary, ids, part)))
    if not passages:
        raise CorpusError("no text is left to read", hint="give a file with characters that the model knows")
    return passages


def token_pieces(vocabulary: Vocabulary, ids: Ids, text: str) -> list[str]:
    """Return the text of each id."""
    if vocabulary.kind == "byte":
        decoder = getincrementaldecoder("utf-8")("replace")
        pieces = [decoder.decode(bytes([token - 1])) for token in ids.tolist()]
        return [*pieces[:-1], pieces[-1] + decoder.decode(b"", final=True)]
    if vocabulary.kind == "word" and len(words := split_words(text)) == len(ids):
        return words  # an unknown word is looked up in the text
    return [vocabulary.texts[token] for token in ids.tolist()]


def lines_of(pieces: Sequence[str], first: int = 1, *, start: int = 0) -> Iterator[Line]:
    """Yield the lines of some pieces; the first line has the number `first` and begins at piece `start`."""
    number = first
    for position, piece in enumerate(pieces, start=start):
        if "\n" in piece:
            yield Line(number, start, position + 1)
            number, start = number + piece.count("\n"), position + 1
    if start < position + 1:
        yield Line(number, start, position + 1)
