"""Know the lines of a training text, so that a model of lines repeats them only as often as its held-out lines do.

A network that has read a list many times expects its lines again: where a line of the text is complete, it is too certain that
the line ends. The probability of the end is multiplied there by a factor that is chosen by held-out lines,

    p(end | a line of the text) ~ factor p(end | a line of the text),

one for lines that the text has once, and one for those that it has more often. Lines are known by 31 bits of their FNV-1a hash
over token ids (Fowler, Noll and Vo 1991); one of 70,000 other lines is taken for one of 30,000 known ones.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

BASIS, PRIME = np.uint32(2166136261), np.uint32(16777619)
INSIDE = 0  # in place of a hash: reading began within a line
ONCE, MORE = 0, 1  # the lowest bit of a key: whether the line occurs more than once

Hashes = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint32]
Singles = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.integer]


@final
class KnownLines:
    """The lines of a text, and the factors of the probability that another line ends as one of them.

    keys: (L,) the hashes of the lines in ascending order, with ONCE or MORE as their lowest bits. factors: of lines that occur
    once and of those that occur more often, above 0 and up to 1.
    """

    def __init__(self, keys: Keys, factors: Sequence[float]) -> None:
        """Raise ValueError for keys that are not in order and for other factors."""
        self.keys, self.factors = keys, tuple(factors)
        self._hashes = keys >> 1
        if len(keys) == 0 or (self._hashes[1:] <= self._hashes[:-1]).any() or self._hashes[0] == INSIDE:
            raise ValueError("the lines of its memory are not in order")
        if len(self.factors) != len((ONCE, MORE)) or not all(0 < one <= 1 for one in self.factors):
            raise ValueError(f"the lines of its memory have the factors {self.factors}, expected two above 0 and up to 1")

    @cached_property
    def logarithms(self) -> Singles:
        """The logarithms of the factors, (2,)."""
        return np.log(np.array(self.factors)).astype(np.float32)

    def find(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        """Return ONCE, MORE or, for lines that are not known, -1, (N,)."""
        wanted = np.ascontiguousarray(hashes).view(np.uint32) >> 1
        places = np.minimum(np.searchsorted(self._hashes, wanted), len(self.keys) - 1)
        return np.where(self._hashes[places] == wanted, (self.keys[places] & 1).astype(np.int64), -1)

    def log_factors(self, hashes: Hashes) -> Singles:
        """Return what is added to the logit of the end after lines so far, (N,)."""
        found = self.find(hashes)
        return np.where(found >= 0, self.logarithms[found], np.float32(0))


def read_lines(ids: TokenIds, begins: npt.NDArray[np.bool_], before: Hashes) -> Hashes:
    """Return the hash of the line so far after each id, (B, S).

    begins: (B, S), the ids that begin a line. before: (B,), the hashes before the first ids.
    """
    hashes = np.concatenate([np.ascontiguousarray(before)[:, None], np.zeros(ids.shape, np.int32)], axis=1).view(np.uint32)
    tokens = ids.astype(np.uint32)
    for rows, steps in _by_distance(begins):
        last = np.where(begins[rows, steps], BASIS, hashes[rows, steps])  # column s + 1 holds the hash after step s
        hashes[rows, steps + 1] = np.where(last == INSIDE, INSIDE, (last ^ tokens[rows, steps]) * PRIME)
    return hashes[:, 1:].view(np.int32)


def _by_distance(begins: npt.NDArray[np.bool_]) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield (rows, steps) of all ids at the same distance from the begin of their line, the nearest first."""
    steps = np.arange(begins.shape[1])
    distances = (steps - np.maximum.accumulate(np.where(begins, steps, -1), axis=1)).ravel()
    order = np.argsort(distances, kind="stable")
    for some in np.split(order, np.cumsum(np.bincount(distances))[:-1]):
        yield some // begins.shape[1], some % begins.shape[1]


def count_lines(hashes: Hashes) -> Keys:
    """Return the keys of lines, given the hash of each, (N,)."""
    found, counts = np.unique(np.ascontiguousarray(hashes).view(np.uint32) >> 1, return_counts=True)
    keys: Keys = (found << 1 | np.where(counts > 1, MORE, ONCE).astype(np.uint32)).astype(np.uint32)
    return keys[found != INSIDE]
