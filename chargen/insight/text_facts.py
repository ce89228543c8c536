"""Describe texts before training: their characters, scripts, lengths of documents, and copies."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.large_text import NUM_CODE_POINTS, LargeText, Text, batched_texts, code_points, text_blocks

RARE_COUNT = 3  # a character with at most so many occurrences is rare
MAX_RARE = 20  # rare characters listed
AROUND = 20  # characters shown on each side of a rare one
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
MAX_BARS = 10  # of the histogram of lengths
# The scripts whose usual name differs from the first word of their characters' Unicode names.
SCRIPT_NAMES = {"CJK": "Han", "IDEOGRAPHIC": "Han", "FULLWIDTH": "Latin", "HALFWIDTH": "Katakana", "MICRO": "Greek"}


class Position(NamedTuple):
    """The position of a character.

    text: the index of the text. line and column count from 1. around: the characters around it.
    """

    text: int
    line: int
    column: int
    around: str


class RareCharacter(NamedTuple):
    """A rare character, and where it first occurs; None if unknown."""

    character: str
    occurrences: int
    first: Position | None


class Bar(NamedTuple):
    """A bar of a histogram: the number of documents with `low` to `high` characters, inclusive."""

    low: int
    high: int
    documents: int


@dataclass(frozen=True)
class CharacterCounts:
    """The number of occurrences of each character in some texts."""

    counts: dict[str, int]

    @classmethod
    def of(cls, texts: Iterable[Text]) -> "CharacterCounts":
        """Count the characters of texts."""
        total = np.zeros(NUM_CODE_POINTS, np.int64)
        for batch in batched_texts(texts):
            found = batch.count_codes() if isinstance(batch, LargeText) else _count_codes("".join(batch))
            total[: len(found)] += found
        (present,) = np.nonzero(total)
        return cls({chr(code): int(total[code]) for code in present.tolist()})

    @property
    def total(self) -> int:
        """The number of all characters."""
        return sum(self.counts.values())

    def most_common(self) -> list[tuple[str, int]]:
        """Return the characters and their counts, the most frequent first."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))

    def scripts(self) -> dict[str, float]:
        """Return the share of each script among the letters, the largest first; empty without letters."""
        letters: Counter[str] = Counter()
        for character, count in self.counts.items():
            if character.isalpha():
                letters[script_of(character)] += count
        total = sum(letters.values())
        return {script: count / total for script, count in letters.most_common()}

    def rare(self, texts: Sequence[Text]) -> list[RareCharacter]:
        """Return the characters with at most `RARE_COUNT` occurrences, the rarest first, and where they first occur."""
        found = sorted((count, character) for character, count in self.counts.items() if count <= RARE_COUNT)
        return [RareCharacter(one, count, _first_position(one, texts)) for count, one in found[:MAX_RARE]]

    @property
    def num_rare(self) -> int:
        """The number of distinct characters with at most `RARE_COUNT` occurrences."""
        return sum(count <= RARE_COUNT for count in self.counts.values())


def script_of(letter: str) -> str:
    """Return the script of a letter, by the first word of its Unicode name.

    >>> script_of("a"), script_of("ж"), script_of("漢")
    ('Latin', 'Cyrillic', 'Han')
    """
    word = unicodedata.name(letter, "UNNAMED").split()[0].split("-")[0]
    return SCRIPT_NAMES.get(word, word.capitalize())


def _count_codes(text: str) -> npt.NDArray[np.intp]:
    return np.bincount(code_points(text))


def _first_position(character: str, texts: Sequence[Text]) -> Position | None:
    """Return where a character first occurs in some texts."""
    for number, text in enumerate(texts):
        line, column = 1, 1
        for block in text_blocks(text):
            position = block.find(character)
            before = block if position < 0 else block[:position]
            line += before.count("\n")
            column = len(before) - before.rfind("\n") if "\n" in before else column + len(before)
            if position >= 0:
                return Position(number, line, column, block[max(0, position - AROUND) : position + AROUND + 1])
    return None


@dataclass(frozen=True)
class Lengths:
    """The lengths of documents in characters, (documents,), at least one."""

    values: npt.NDArray[np.int64]

    def quantiles(self) -> dict[str, int]:
        """Return the shortest, the longest and some quantiles of the lengths."""
        names = {0.0: "min", 0.5: "median", 1.0: "max"}
        return {names.get(one, f"{one:.0%}"): int(np.quantile(self.values, one, method="inverted_cdf")) for one in QUANTILES}

    def histogram(self) -> list[Bar]:
        """Return a histogram of the lengths: bars of equal width for similar lengths, else each twice as wide as the last."""
        low, high = int(self.values.min()), int(self.values.max())
        edges = _even_edges(low, high) if high <= max(20, 8 * low) else _doubling_edges(low, high)
        counts, _ = np.histogram(self.values, np.array(edges))
        return [
            Bar(first, min(last - 1, high), int(count))
            for first, last, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        ]


def _even_edges(low: int, high: int) -> list[int]:
    width = -(-(high - low + 1) // MAX_BARS)
    return [*range(low, high + 1, width), low + width * -(-(high - low + 1) // width)]


def _doubling_edges(low: int, high: int) -> list[int]:
    edges = [low]
    width = max(1, (high - low) >> (MAX_BARS - 1))
    while edges[-1] <= high:
        edges.append(edges[-1] + width)
        width *= 2
    return edges


def count_copies(texts: Iterable[Text]) -> int:
    """Count the texts that are equal to an earlier one, by hashes of 64 bits."""
    hashes = np.fromiter((hash(text if isinstance(text, str) else text.sha256()) for text in texts), np.int64)
    hashes.sort()
    return int((hashes[1:] == hashes[:-1]).sum())


def shown_character(character: str) -> dict[str, Any]:
    """Return a character with its code point and Unicode name."""
    return {"character": character, "code_point": f"U+{ord(character):04X}", "name": unicodedata.name(character, "")}
