"""Find spans of a text that are copied from a corpus, with a suffix array of the corpus.

The suffix array (Manber and Myers 1993) is sorted only until few positions share a prefix, which takes a few array operations
even if the corpus repeats itself. The remaining positions are compared one by one, so the result is exact.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.large_text import BLOCK
from chargen.corpus.vocabulary import Ids, narrowest_dtype

Positions = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint64]

FEW = 256  # positions with equal prefixes that are compared one by one instead of sorted further
DEEP = 24  # characters; longer equal prefixes mean that the corpus repeats itself, and sorting further does not help
MANY = 1 << 14  # positions; for more the whole corpus is searched instead
KEY_BITS = 63
CODE_POINTS = 0x110000


class Copy(NamedTuple):
    """A span of a text, text[start:stop], that occurs in the corpus."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """The number of copied characters."""
        return self.stop - self.start


class Origin(NamedTuple):
    """Where a span first occurs in the corpus. source: its index, from 0; line: from 1."""

    source: int
    line: int


class _Codes(dict[int, int]):
    """The codes of the corpus's characters, from 1 on in code-point order; all other characters share the largest code."""

    def __missing__(self, character: int) -> int:
        return len(self) + 1


class CopyFinder:
    """Finds the spans of a text that occur in one of the sources.

    >>> text = "a fat cat sat"
    >>> [text[one.start : one.stop] for one in CopyFinder(["the cat sat", "on the mat"]).copies(text)]
    ['a', ' ', 'at ', ' cat sat']
    """

    def __init__(self, sources: Sequence[str]) -> None:
        """Sort the positions of all sources; N characters need about 40 N bytes meanwhile."""
        characters = sorted(set().union(*sources))
        self._codes = _Codes({ord(one): number for number, one in enumerate(characters, start=1)})
        self._starts = np.cumsum([0, *(len(source) + 1 for source in sources)]).tolist()
        ids = _coded(sources, self._codes)
        self._text = _as_text(ids)
        positions, self._depths = _sorted_positions(ids, max(1, len(characters).bit_length()))
        self._positions = positions.data  # a memoryview, whose items are Python integers

    def __contains__(self, text: object) -> bool:
        """Return whether the whole text occurs in the corpus."""
        return isinstance(text, str) and self._stands(text.translate(self._codes))

    def copies(self, text: str) -> Iterator[Copy]:
        """Yield every maximal copied span, from left to right."""
        codes = text.translate(self._codes)
        start = 0
        while start < len(codes):
            stop = start + self._longest(codes, start)
            if stop > start:
                yield Copy(start, stop)
            # The next span contains the character after this one, and begins as early as possible.
            rest = range(start + 1, stop + 1)
            start += 1 + bisect_left(rest, True, key=lambda first: self._stands(codes[first : stop + 1]))
            if stop == len(codes):
                return

    def origin(self, text: str) -> Origin:
        """Return where a span of the corpus first occurs."""
        position = self._text.index(text.translate(self._codes))
        source = bisect_right(self._starts, position) - 1
        line_end = chr(self._codes[ord("\n")])
        return Origin(source, 1 + self._text.count(line_end, self._starts[source], position))

    def _stands(self, codes: str) -> bool:
        alike, _ = self._alike(codes)
        if len(alike) > MANY:
            return codes in self._text
        return any(self._text.startswith(codes, position) for position in self._positions[alike.start : alike.stop])

    def _longest(self, codes: str, start: int) -> int:
        """Return the length of the longest prefix of codes[start:] that occurs in the corpus."""
        alike, nearest = self._alike(codes[start : start + self._depths[-1]])
        if not alike:  # and the nearest ones in sorted order share the longest prefix
            return max((_common(codes, start, self._text, position) for position in self._positions[nearest]), default=0)
        if len(alike) > MANY:
            return self._longest_anywhere(codes, start)
        length = 0
        for position in self._positions[alike.start : alike.stop]:
            if self._text.startswith(codes[start : start + length + 1], position):
                length = _common(codes, start, self._text, position)
                if start + length == len(codes):
                    break
        return length

    def _longest_anywhere(self, codes: str, start: int) -> int:
        """Do the same in one pass over the corpus: a position that matches less than another is never revisited."""
        length, position = 0, -1
        while start + length < len(codes):
            position = self._text.find(codes[start : start + length + 1], position + 1)
            if position < 0:
                break
            length = _common(codes, start, self._text, position)
        return length

    def _alike(self, codes: str) -> tuple[range, slice]:
        """Return the positions that share the sorted prefix of codes; without any, their neighbours in sorted order."""
        low, high = 0, len(self._positions)
        for depth in self._depths:
            piece = codes[:depth]
            left = bisect_left(self._positions, piece, low, high, key=lambda at: self._text[at : at + len(piece)])
            right = bisect_right(self._positions, piece, left, high, key=lambda at: self._text[at : at + len(piece)])
            if left == right:
                return range(0), slice(max(low, left - 1), min(high, left + 1))
            low, high = left, right
            if len(codes) <= depth or high - low <= FEW:
                break
        return range(low, high), slice(0)


def _common(one: str, start: int, other: str, position: int) -> int:
    """Return the length of the common prefix of two texts, each from its own position."""
    limit, size = len(one) - start, 8
    while size < limit and other.startswith(one[start : start + size], position):
        size *= 2
    lengths = range(1, 1 + min(size, limit))
    return bisect_left(lengths, True, key=lambda length: not other.startswith(one[start : start + length], position))


def _coded(sources: Sequence[str], codes: dict[int, int]) -> Ids:
    """Return the codes of all sources, each followed by a gap."""
    table = np.zeros(CODE_POINTS, narrowest_dtype(len(codes) + 2))
    table[list(codes)] = list(codes.values())
    ids = np.zeros_like(table, shape=sum(len(source) + 1 for source in sources))
    position = 0
    for source in sources:
        for first in range(0, len(source), BLOCK):
            block = np.frombuffer(source[first : first + BLOCK].encode("utf-32-le", "surrogatepass"), np.uint32)
            ids[position + first : position + first + len(block)] = table[block]
        position += len(source) + 1
    return ids


def _as_text(ids: Ids) -> str:
    """Return codes as characters, because Python searches and compares strings fast."""
    if ids.dtype == np.uint8:
        return ids.tobytes().decode("latin-1")
    return ids.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _sorted_positions(ids: Ids, bits: int) -> tuple[Positions, list[int]]:
    """Return the positions of a text in sorted order, and the depths to which they are sorted.

    All are sorted to the first depth. Groups of more than `FEW` equal prefixes are sorted to the next depth, and so on, until
    the depth is `DEEP` or less than half of them could be separated. bits: the width of a code.
    """
    width = KEY_BITS // bits
    keys = _first_keys(ids, width, bits)
    positions = np.argsort(keys).astype(np.int32)
    depths = [width]
    crowded, crowds = _crowded(keys[positions])
    del keys
    while len(crowded) and depths[-1] < DEEP:
        width = (KEY_BITS - int(crowds[-1]).bit_length()) // bits
        keys = _next_keys(ids, positions[crowded], depths[-1], crowds, width, bits)
        order = np.argsort(keys).astype(np.int32)
        keys = keys[order]
        positions[crowded] = positions[crowded[order]]
        depths.append(depths[-1] + width)
        del order, crowds
        still, crowds = _crowded(keys)
        del keys
        if len(still) > len(crowded) / 2:
            break
        crowded = crowded[still]
    return positions, depths


def _first_keys(ids: Ids, width: int, bits: int) -> Keys:
    """Return the first `width` codes from every position as one integer, zeros after the end, (N,)."""
    keys = np.zeros(len(ids), np.uint64)
    for offset in range(width):
        keys <<= np.uint64(bits)
        keys[: max(0, len(ids) - offset)] |= ids[offset:]
    return keys


def _next_keys(ids: Ids, positions: Positions, depth: int, crowds: Positions, width: int, bits: int) -> Keys:
    """Return the index of each position's group and the `width` codes after the first `depth`, as one integer, (P,)."""
    keys = crowds.astype(np.uint64)
    for offset in range(width):
        keys <<= np.uint64(bits)
        keys |= ids[np.minimum(positions + np.int32(depth + offset), np.int32(len(ids) - 1))]  # the last code is a gap
    return keys


def _crowded(keys: Keys) -> tuple[Positions, Positions]:
    """Return which sorted keys occur more than `FEW` times, and the index of their group, in order."""
    edges = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1, [len(keys)]]).astype(np.int32)
    sizes = np.diff(edges)
    large = sizes > FEW
    crowded = np.flatnonzero(np.repeat(large, sizes)).astype(np.int32)
    return crowded, np.repeat(np.arange(large.sum(), dtype=np.int32), sizes[large])
