"""Prepare a given text as a model reads it: line by line or as a whole, and which piece of it each token is."""

from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chargen.corpus.vocabulary import Ids, Vocabulary
from chargen.corpus.words import split_words
from chargen.errors import CorpusError
from chargen.writing.ensemble import AnyModel


class Passage(NamedTuple):
    """A span of text that a model reads from its own beginning.

    line: number of its first line, from 1. pieces: the text of each id; of a character of several bytes, it is the last
    one's, and the others have none.
    """

    line: int
    ids: Ids
    pieces: list[str]


class Line(NamedTuple):
    """A line of a text, from 1 on: the pieces from start to stop."""

    number: int
    start: int
    stop: int


def read_passages(model: AnyModel, text: str, *, on_unknown: str = "error") -> list[Passage]:
    """Return the lines of a text that are not blank, for a model of lines, else the text as one.

    Raises UnknownTokenError for characters that the vocabulary does not hold, unless they are left out or replaced, and
    CorpusError where nothing is left.
    """
    whole = [(1, text)]
    parts = enumerate(text.split("\n"), start=1) if model.reading == "line" else whole
    passages = []
    for number, part in parts:
        ids = model.vocabulary.encode(part if part.strip() else "", on_unknown=on_unknown)
        if len(ids):
            passages.append(Passage(number, ids, token_pieces(model.vocabulary, ids, part)))
    if not passages:
        raise CorpusError("there is no text to read", hint="give a file with text in it that the model knows")
    return passages


def token_pieces(vocabulary: Vocabulary, ids: Ids, text: str) -> list[str]:
    """Return which piece of a text each of its ids is."""
    if vocabulary.kind == "byte":
        decoder = getincrementaldecoder("utf-8")("replace")
        pieces = [decoder.decode(bytes([token - 1])) for token in ids.tolist()]
        return [*pieces[:-1], pieces[-1] + decoder.decode(b"", final=True)]
    if vocabulary.kind == "word" and len(words := split_words(text)) == len(ids):
        return words  # where one is unknown, the text tells what it is
    return [vocabulary.texts[token] for token in ids.tolist()]


def lines_of(pieces: Sequence[str], first: int = 1, *, start: int = 0) -> Iterator[Line]:
    """Yield the lines of some pieces, the first of which is numbered `first` and begins at the piece `start`."""
    number = first
    for place, piece in enumerate(pieces, start=start):
        if "\n" in piece:
            yield Line(number, start, place + 1)
            number, start = number + piece.count("\n"), place + 1
    if start < place + 1:
        yield Line(number, start, place + 1)
