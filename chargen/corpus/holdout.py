"""Choose the validation split of a corpus.

"spread" holds out spans of a few thousand characters each, spread over the whole text, so that the split is not just the
licence, index or notes at the end. "tail" holds out the end of each text, as published benchmarks do. Of many documents, whole
documents are held out in both cases.

Each span, and each piece of text between two spans, becomes a document: no window contains parts of both. Where a document is
cut, its end is not predicted, so a network does not learn that texts end there. The choice depends only on the texts, the share
and the seed.
"""

import random
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Documents, Flags, Spans
from chargen.corpus.large_text import Text
from chargen.settings.schema import CorpusConfig

MIN_DOCUMENTS_TO_SPLIT = 10  # with fewer documents, a part of each is held out
MIN_ENTRIES_TO_SPLIT = 3  # the same for lines and rows, where a part of a name is useless
SHORT_DOCUMENT = 1000  # characters; of many documents, shorter ones are not cut
LONGEST_SPAN = 4000  # characters, about
SHORTEST_SPAN = 64  # characters, about; if there is less to hold out, the tail of the document is
NUM_SPANS = 8  # spans of a document that is too short for several of the longest spans
SMALLEST_GAP = 0.5  # of the mean distance between spans, about
REACH = 0.25  # share of the shortest piece that a cut may move to reach the end of a paragraph, line, sentence or word

# A cut moves to the end of a paragraph, a line, a sentence or a word, in this order of preference.
BREAKS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n|\r(?!\n)"),
    re.compile("[.!?][\"'\u201d\u2019\u00bb)]*\\s+|[\u3002\uff01\uff1f\u0964][\u201d\u2019\u300d\u300f]*\\s*"),
    re.compile(r"\s+"),
)
JOINER = "\u200d"


class Piece(NamedTuple):
    """A part of a document: the index of its document, its bounds, and whether it is held out."""

    number: int
    start: int
    stop: int
    held_out: bool


def split_documents(corpus: Corpus, config: CorpusConfig, *, seed: int) -> tuple[Documents, Documents]:
    """Hold out a share of the corpus as `config` says; return (training, validation) documents in text order.

    Both sides have at least one document unless the share is 0. The pieces of a document together are the whole document.
    """
    if config.validation_split == 0:
        return corpus.documents, Documents()
    rng, uncut = random.Random(seed), _uncut(corpus, config)
    held_out, (whole,) = np.zeros(len(uncut), bool), np.nonzero(uncut)
    if len(whole):
        count = min(max(1, round(config.validation_split * len(whole))), len(whole) - 1)
        held_out[whole[rng.sample(range(len(whole)), count)]] = True
    sides: tuple[list[Spans], list[Spans]] = [], []
    first = 0
    for group in corpus.documents.groups:
        part = slice(first, first + len(group))
        for side, spans in zip(sides, _split(group, uncut[part], held_out[part], config, rng), strict=True):
            side.append(spans)
        first += len(group)
    training, validation = map(Documents, sides)
    if not len(validation):  # documents of one character each
        return training[:-1], training[-1:]
    return training, validation


def _uncut(corpus: Corpus, config: CorpusConfig) -> Flags:
    """Return which documents are held out whole or not at all, (N,); none if there are too few to choose from.

    A document is cut if it is longer than everything to be held out, and more than twice as long as the mean.
    """
    lengths, entries = corpus.documents.lengths, corpus.reading == "line" or corpus.entries
    if config.validation == "tail":
        return np.full(len(lengths), len(lengths) >= MIN_DOCUMENTS_TO_SPLIT)
    longest = max(SHORT_DOCUMENT, max(config.validation_split, 2 / len(lengths)) * corpus.num_characters)
    whole: Flags = lengths <= longest
    return whole & (whole.sum() >= (MIN_ENTRIES_TO_SPLIT if entries else MIN_DOCUMENTS_TO_SPLIT))


def _split(documents: Spans, uncut: Flags, held_out: Flags, config: CorpusConfig, rng: random.Random) -> tuple[Spans, Spans]:
    """Return the training documents and the held-out documents of a text, whole or in pieces."""
    cut = [piece for number in np.flatnonzero(~uncut).tolist() for piece in _pieces(documents, number, config, rng)]
    if not cut:
        return documents.take(~held_out), documents.take(held_out)
    numbers, starts, stops, held = (np.array(values) for values in zip(*cut, strict=True))
    (whole,) = np.nonzero(uncut)
    numbers, held = np.concatenate([whole, numbers]), np.concatenate([held_out[whole], held])
    order = np.argsort(numbers, kind="stable")  # pieces of a document are in order already
    pieces = documents.take(numbers[order]).narrowed(
        np.concatenate([documents.starts[whole], starts])[order], np.concatenate([documents.stops[whole], stops])[order]
    )
    return pieces.take(~held[order]), pieces.take(held[order])


def _pieces(documents: Spans, number: int, config: CorpusConfig, rng: random.Random) -> Iterator[Piece]:
    """Yield a document in pieces; every second piece is held out."""
    document, start = documents[number], int(documents.starts[number])
    tail = config.validation == "tail"
    cuts = _tail(document.text, config.validation_split) if tail else _spans(document.text, config.validation_split, rng)
    for position, (low, high) in enumerate(pairwise([0, *cuts, len(document.text)])):
        if low < high:
            yield Piece(number, start + low, start + high, position % 2 == 1)


def _tail(text: Text, share: float) -> list[int]:
    """Return where the held-out tail of a text begins."""
    return [len(text) - min(max(1, round(share * len(text))), len(text) - 1)]


def _spans(text: Text, share: float, rng: random.Random) -> list[int]:
    """Return where to cut a text into parts for training and validation in turn; the first and last are for training."""
    length = len(text)
    held_out = round(share * length)
    count = min(held_out, length - held_out) // SHORTEST_SPAN
    if count == 0:
        return _tail(text, share)
    count = max(min(count, NUM_SPANS), round(held_out / LONGEST_SPAN))
    weights = [SMALLEST_GAP + rng.random() for _ in range(count + 1)]
    span, scale = held_out / count, (length - held_out) / sum(weights)
    reach = int(REACH * min(span, scale * min(weights)))
    cuts, position = [], 0.0
    for weight in weights[:-1]:
        start = position + scale * weight
        position = start + span
        cuts += [round(start), round(position)]
    return [_nearest_break(text, cut, reach) for cut in cuts]


def _nearest_break(text: Text, cut: int, reach: int) -> int:
    """Return the best position for a cut within `reach` characters; of equally good ones the nearest."""
    first = cut - reach
    around = str(text[first : cut + reach + 1])
    for pattern in BREAKS:
        positions = [found.end() for found in pattern.finditer(around, 0, 2 * reach)]
        if positions:
            return first + min(positions, key=lambda position: abs(position - reach))
    positions = [position for position in range(1, len(around)) if not _joins(around[position - 1], around[position])]
    return first + min(positions, key=lambda position: abs(position - reach), default=reach)


def _joins(before: str, after: str) -> bool:
    """Return whether two code points are parts of one visible character."""
    mark = unicodedata.category(after)[0] == "M" or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
    return mark or JOINER in (before, after)
