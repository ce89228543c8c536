"""Choose which part of a corpus is held out of training, to validate on.

"spread" holds out stretches of a text, of a few thousand characters each, spread over all of it, so that a network is not
judged by a licence, an index or notes at the end. "tail" holds out the end of each text, as published benchmarks do. Of many
documents some are held out whole either way.

Each stretch, and each piece of text between two of them, becomes a document: no window holds parts of both. Where a document
is cut, its end is not predicted, so a network does not learn that texts end there. The choice depends on the texts, the share
and the seed alone.
"""

import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from chargen.config import CorpusConfig
from chargen.corpus.documents import Corpus, Document
from chargen.corpus.large_text import Text

MIN_DOCUMENTS_TO_SPLIT = 10  # with fewer, a part of each is held out
MIN_ENTRIES_TO_SPLIT = 3  # the same for lines and rows: part of a name is no name
SHORT_DOCUMENT = 1000  # characters: of many, none that is shorter is cut
LONGEST_STRETCH = 4000  # characters, about
SHORTEST_STRETCH = 64  # characters, about; a document with less to hold out gives its tail
NUM_STRETCHES = 8  # of a document that is too short for more of the longest ones
SMALLEST_GAP = 0.5  # of the mean distance between stretches, about
REACH = 0.25  # of the shortest piece: how far a cut may move to the end of a paragraph, a line, a sentence or a word

# Where a cut moves to, the best first: after a paragraph, a line, a sentence, a word.
BREAKS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n|\r(?!\n)"),
    re.compile("[.!?][\"'\u201d\u2019\u00bb)]*\\s+|[\u3002\uff01\uff1f\u0964][\u201d\u2019\u300d\u300f]*\\s*"),
    re.compile(r"\s+"),
)
JOINER = "\u200d"

Piece = tuple[Document, bool]  # and whether it is held out


def split_documents(corpus: Corpus, config: CorpusConfig, *, seed: int) -> tuple[list[Document], list[Document]]:
    """Hold out a share of the corpus, as `config` says, and return (training, validation) documents in text order.

    There is at least one on both sides unless the share is 0. Together the pieces of a document make up all of it.
    """
    if config.validation_split == 0:
        return list(corpus.documents), []
    pieces = list(_pieces(corpus, config, random.Random(seed)))
    training, held_out = ([piece for piece, held in pieces if held == side] for side in (False, True))
    if not held_out:  # documents of one character each
        held_out.append(training.pop())
    return training, held_out


def _pieces(corpus: Corpus, config: CorpusConfig, rng: random.Random) -> Iterator[Piece]:
    """Yield every document, whole or in pieces."""
    share, whole = config.validation_split, _uncut(corpus, config)
    count = min(max(1, round(share * len(whole))), len(whole) - 1)
    chosen = set(rng.sample(whole, count)) if whole else set()
    uncut = set(whole)
    for number, document in enumerate(corpus.documents):
        if number in uncut:
            yield document, number in chosen
        elif config.validation == "tail":
            yield from _cut_tail(document, share)
        else:
            yield from _cut_stretches(document, share, rng)


def _uncut(corpus: Corpus, config: CorpusConfig) -> list[int]:
    """Return the numbers of the documents that are held out whole or not at all; none where they are too few to choose from.

    A long one is cut: one longer than all that is to be held out, and more than twice as long as the mean.
    """
    numbers, entries = list(range(len(corpus.documents))), corpus.reading == "line" or corpus.entries
    if config.validation == "tail":
        return numbers if len(numbers) >= MIN_DOCUMENTS_TO_SPLIT else []
    longest = max(SHORT_DOCUMENT, max(config.validation_split, 2 / len(numbers)) * corpus.num_characters)
    whole = [number for number in numbers if len(corpus.documents[number].text) <= longest]
    return whole if len(whole) >= (MIN_ENTRIES_TO_SPLIT if entries else MIN_DOCUMENTS_TO_SPLIT) else []


def _cut_tail(document: Document, share: float) -> list[Piece]:
    length = len(document.text)
    return _cut_at(document, [length - min(max(1, round(share * length)), length - 1)])


def _cut_stretches(document: Document, share: float, rng: random.Random) -> list[Piece]:
    """Cut a document into pieces that are trained on and held out in turn; the first and the last are trained on."""
    length = len(document.text)
    held_out = round(share * length)
    count = min(held_out, length - held_out) // SHORTEST_STRETCH
    if count == 0:
        return _cut_tail(document, share)
    count = max(min(count, NUM_STRETCHES), round(held_out / LONGEST_STRETCH))
    weights = [SMALLEST_GAP + rng.random() for _ in range(count + 1)]
    stretch, scale = held_out / count, (length - held_out) / sum(weights)
    reach = int(REACH * min(stretch, scale * min(weights)))
    cuts, place = [], 0.0
    for weight in weights[:-1]:
        start = place + scale * weight
        place = start + stretch
        cuts += [round(start), round(place)]
    return _cut_at(document, [_nearest_break(document.text, cut, reach) for cut in cuts])


def _cut_at(document: Document, cuts: Sequence[int]) -> list[Piece]:
    """Cut a document at some places, and hold out every second piece."""
    length = len(document.text)
    return [
        (document._replace(text=document.text[start:stop], ends=document.ends and stop == length), number % 2 == 1)
        for number, (start, stop) in enumerate(pairwise([0, *cuts, length]))
        if start < stop
    ]


def _nearest_break(text: Text, cut: int, reach: int) -> int:
    """Return the best place for a cut that is at most `reach` characters away; of equally good ones the nearest."""
    first = cut - reach
    around = str(text[first : cut + reach + 1])
    for pattern in BREAKS:
        places = [found.end() for found in pattern.finditer(around, 0, 2 * reach)]
        if places:
            return first + min(places, key=lambda place: abs(place - reach))
    places = [place for place in range(1, len(around)) if not _joins(around[place - 1], around[place])]
    return first + min(places, key=lambda place: abs(place - reach), default=reach)


def _joins(before: str, after: str) -> bool:
    """Tell whether two code points are parts of one character that a reader sees."""
    mark = unicodedata.category(after)[0] == "M" or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
    return mark or JOINER in (before, after)
