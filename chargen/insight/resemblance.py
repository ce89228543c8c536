"""Find lines that are one or two edits away from a line of a corpus."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAX_EDITS = 2
LONGEST = 80  # characters; longer lines are not compared
BAGS = 32  # character counts per line; several characters share a bag
LINES_AT_ONCE = 1 << 14


class Resemblance(NamedTuple):
    """A line, the nearest line of the corpus, and the edits between them: 1 or 2."""

    line: str
    nearest: str
    edits: int


class LineFinder:
    """Finds the line of a corpus that is one or two edits away from another line.

    An edit (insert, delete or replace a character) changes a line's length by at most one, and its character counts by at most
    two in total; lines that differ by more are skipped at once.

    >>> LineFinder(["Harold", "Ida"]).nearest("Harald")
    Resemblance(line='Harald', nearest='Harold', edits=1)
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = sorted({line for line in lines if len(line) <= LONGEST}, key=lambda line: (len(line), line))
        self._ends = np.searchsorted([len(line) for line in self._lines], range(LONGEST + 2), side="right")
        blocks = range(0, len(self._lines), LINES_AT_ONCE)
        counted = [_counts(self._lines[first : first + LINES_AT_ONCE]) for first in blocks]
        self._counts = np.concatenate([np.zeros((0, BAGS), np.int8), *counted])

    def nearest(self, line: str) -> Resemblance | None:
        """Return the first corpus line that a line resembles; None for a line of the corpus, and without a similar one.

        Two edits are allowed only in a line of five characters or more, one in a line of three or more.
        """
        most = min(MAX_EDITS, (len(line) - 1) // 2)
        if most < 1 or len(line) > LONGEST:
            return None
        low = self._ends[len(line) - most - 1]
        high = self._ends[min(LONGEST, len(line) + most)]
        apart = np.abs(self._counts[low:high] - _counts([line])).sum(axis=1, dtype=np.int32)
        close = [self._lines[low + number] for number in np.flatnonzero(apart <= 2 * most)]
        edits, nearest = min(((edit_distance(line, one, most), one) for one in close), default=(most + 1, ""))
        return Resemblance(line, nearest, edits) if 0 < edits <= most else None


def edit_distance(one: str, other: str, most: int) -> int:
    """Return the edits between two texts (Levenshtein 1966), or most + 1 if there are more than `most`."""
    previous = list(range(len(other) + 1))
    for row, character in enumerate(one, start=1):
        current = [row]
        for column, wanted in enumerate(other, start=1):
            replaced = previous[column - 1] + (character != wanted)
            current.append(min(replaced, previous[column] + 1, current[-1] + 1))
        if min(current) > most:
            return most + 1
        previous = current
    return min(previous[-1], most + 1)


def _counts(lines: list[str]) -> npt.NDArray[np.int8]:
    """Return the number of characters of each line in each bag, (L, BAGS)."""
    codes = np.frombuffer("".join(lines).encode("utf-32-le", "surrogatepass"), np.uint32)
    owners = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    counts = np.bincount(owners * BAGS + codes % BAGS, minlength=len(lines) * BAGS)
    return counts.reshape(len(lines), BAGS).astype(np.int8)
