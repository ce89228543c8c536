"""Count the n-grams of token streams, and smooth the counts.

Kneser-Ney smoothing, interpolated, with one discount for each length (Kneser and Ney 1995; Chen and Goodman 1998, section
4.1.6).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NOWHERE = -1  # the index of a gram that is not in the training text, or that would begin before its document
DISCOUNT = 0.5  # used if no gram occurs exactly once, so that it cannot be estimated


@dataclass(frozen=True)
class Counts:
    """The counts of grams of one length, and the totals for the contexts that they continue."""

    counts: Integers  # (grams,)
    totals: Integers  # (contexts,) sum of the counts of the grams that continue a context
    kinds: Integers  # (contexts,) how many grams continue a context
    discount: float  # subtracted from every count, as probability of tokens not seen after a context

    @classmethod
    def of(cls, counts: Integers, contexts: Integers, num_contexts: int) -> "Counts":
        """Add up the grams that continue each context, and estimate the discount from the grams counted once and twice."""
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        return cls(
            counts=counts,
            totals=np.bincount(contexts, counts, num_contexts).astype(np.int64),
            kinds=np.bincount(contexts[counts > 0], minlength=num_contexts),
            discount=once / (once + 2 * twice) if once else DISCOUNT,
        )

    def interpolate(self, contexts: Integers, grams: Integers, lower: Floats) -> Floats:
        """Return the probabilities of the last tokens of `grams`, given those under a context shorter by one token."""
        totals = np.where(contexts == NOWHERE, 0, self.totals[contexts])
        known = totals > 0
        counts = np.where(grams == NOWHERE, 0, self.counts[grams])
        kept = np.maximum(counts - self.discount, 0.0)
        left = self.discount * self.kinds[contexts]
        return np.where(known, (kept + left * lower) / np.where(known, totals, 1), lower)


@dataclass(frozen=True)
class Level:
    """The grams of one length, sorted by key.

    A gram's key is (index of its prefix among the grams one token shorter) * V + its last token. The longest grams of a model,
    and grams at the start of a document, are counted by occurrence; all others by the number of distinct tokens before them.
    """

    keys: Integers  # (grams,)
    longest: Counts
    below: Counts | None  # None without longer grams


def count_grams(tokens: Integers, starts: Integers, *, order: int, vocab_size: int) -> tuple[Level, ...]:
    """Return the levels from unigrams to n-grams; leave out levels longer than every document.

    tokens: documents end to end, each with the boundary before it. starts: (tokens,) where the document of each begins. The
    unigrams are all V tokens, whether they occur or not, since a document may begin with a token that is never predicted.
    """
    levels: list[Level] = []
    num_contexts = 1  # grams of the level before
    grams = np.zeros(len(tokens), np.int64)
    predicted = np.arange(len(tokens)) > starts
    for length in range(1, order + 1):
        contexts = contexts_of(grams, starts, length)
        positions = np.flatnonzero(predicted & (contexts != NOWHERE))
        if not len(positions):
            break
        if not levels:
            keys, counts = np.arange(vocab_size), np.bincount(tokens[positions], minlength=vocab_size)
            longer = tokens
        else:
            keys, counts, places, numbers = _distinct(contexts[positions] * vocab_size + tokens[positions])
            # Each gram adds a token before a gram of the previous level, which ends at the same position.
            levels[-1] = _below(levels[-1], grams[positions[places]], vocab_size)
            longer = np.full(len(tokens), NOWHERE)
            longer[positions] = numbers
        levels.append(Level(keys, Counts.of(counts, keys // vocab_size, num_contexts), None))
        num_contexts, grams = len(keys), longer
    return tuple(levels)


def _distinct(values: Integers) -> tuple[Integers, Integers, Integers, Integers]:
    """Return the distinct values of `values`, (N,), in order, and three other arrays.

    They are how often each distinct value occurs, (K,), the index of one of its occurrences, (K,), and the number of each value
    among the distinct ones, (N,). `np.unique` takes several times as long, to find the first occurrence of each.
    """
    order = np.argsort(values)
    ordered = values[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    firsts = np.flatnonzero(begins)
    numbers = np.empty_like(values)
    numbers[order] = np.cumsum(begins) - 1
    return ordered[firsts], np.diff(firsts, append=len(values)), order[firsts], numbers


def _below(level: Level, preceded: Integers, vocab_size: int) -> Level:
    """Return the counts of a level below longer grams; `preceded`: the shorter gram within each longer one."""
    met = level.longest
    different = np.bincount(preceded, minlength=len(level.keys))
    counts = np.where(different > 0, different, met.counts)
    return replace(level, below=Counts.of(counts, level.keys // vocab_size, len(met.totals)))


def contexts_of(grams: Integers, starts: Integers, length: int) -> Integers:
    """Return the contexts of all tokens, `length` - 1 long, given the grams of that length that end at each token."""
    if length == 1:
        return grams
    contexts = np.concatenate([[NOWHERE], grams[:-1]])
    contexts[np.arange(len(grams)) - length + 1 < starts] = NOWHERE
    return contexts


def find_grams(keys: Integers, contexts: Integers, tokens: Integers, vocab_size: int) -> Integers:
    """Return the indices of the grams of contexts and tokens; NOWHERE for those not among the keys."""
    wanted = contexts * vocab_size + tokens
    numbers = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((contexts != NOWHERE) & (keys[numbers] == wanted), numbers, NOWHERE)
