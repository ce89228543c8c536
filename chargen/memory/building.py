"""Build the n-gram memory of a training text, and choose its weight beside a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.windows import TokenStream
from chargen.memory.counting import Integers, Level, count_grams
from chargen.memory.lines import INSIDE, Keys, count_lines, read_lines
from chargen.memory.ngrams import Doubles, pack_grams

ORDER = 8
FEWEST = (0, 0, 1, 1, 1, 1, 2, 2, 2)  # occurrences of an n-gram, by its length, to be kept
MOST_TOKENS = 5_000_000  # to learn from; n-grams of more take gigabytes while they are counted
WEIGHT = 0.25  # where there is no held-out text to choose it
WEIGHTS = np.arange(1, 100) / 100  # to choose from
LONGEST_LINE = 1000  # tokens of a known line, with the boundary before it; longer ones are not repeated by chance
FACTORS = 2.0 ** (-np.arange(0, 40) / 4)  # of the ends of known lines, to choose from


def build_grams(
    streams: Sequence[TokenStream], vocab_size: int, *, order: int = ORDER, fewest: Sequence[int] = FEWEST
) -> dict[str, npt.NDArray[Any]]:
    """Count the n-grams of streams, smooth them by Kneser-Ney, and return those that occur often enough, as a tree's arrays."""
    parts = [_documents(stream, MOST_TOKENS // len(streams)) for stream in streams]
    sizes = np.cumsum([0, *(len(tokens) for tokens, _ in parts)])
    tokens = np.concatenate([tokens for tokens, _ in parts])
    starts = np.concatenate([starts + first for (_, starts), first in zip(parts, sizes, strict=False)])
    levels = count_grams(tokens, starts, order=order, vocab_size=vocab_size)
    numbers = np.zeros(1, np.int64)  # the place of each gram of the level before among those that are kept
    kept: list[tuple[npt.NDArray[Any], ...]] = []
    for length, level in enumerate(levels, start=1):
        chosen = level.longest.counts >= fewest[length]
        parents = level.keys // vocab_size
        kept.append((numbers[parents[chosen]], level.keys[chosen] % vocab_size, _kept(level, parents)[chosen]))
        numbers = np.cumsum(chosen) - 1
    return pack_grams([one for one in kept if len(one[0])], vocab_size)


def _kept(level: Level, parents: Integers) -> Doubles:
    """Return the probability that each gram keeps after the discount, (grams,)."""
    counted = level.below or level.longest
    return np.maximum(counted.counts - counted.discount, 0.0) / np.maximum(counted.totals[parents], 1)


def _documents(stream: TokenStream, most: int) -> tuple[Integers, Integers]:
    """Return at most so many tokens of a stream, with a boundary after each document that was not cut, and their starts."""
    ids = np.asarray(stream.ids[: most + 1]).astype(np.int64)
    starts = stream.starts[stream.starts < len(ids)]
    if starts[-1] == len(ids) - 1 and len(starts) > 1:
        starts = starts[:-1]  # the boundary after the last document
    lengths = np.diff(np.append(starts, len(ids) - 1)) + 1  # with both boundaries
    tokens = np.insert(ids, starts[1:], BOUNDARY)
    begins = np.cumsum(lengths) - lengths
    cut = stream.unended[stream.unended < len(starts)]
    tokens = np.delete(tokens, (begins + lengths - 1)[cut])
    lengths[cut] -= 1
    return tokens, np.repeat(np.cumsum(lengths) - lengths, lengths)


def known_lines(streams: Sequence[TokenStream]) -> Keys:
    """Return the keys of the lines of streams, see `KnownLines`; without those that are empty, very long or cut."""
    return count_lines(np.concatenate([_line_hashes(stream, MOST_TOKENS // len(streams)) for stream in streams]))


def _line_hashes(stream: TokenStream, most: int) -> npt.NDArray[np.int32]:
    """Return the hash of each whole line of up to LONGEST_LINE tokens within so many tokens of a stream."""
    starts = stream.starts[stream.starts <= most]  # the last one ends the last line, or begins one that is cut
    lengths = np.diff(starts)
    chosen = (lengths > 1) & (lengths <= LONGEST_LINE)
    chosen[stream.unended[stream.unended < len(chosen)]] = False
    ids = np.asarray(stream.ids[: starts[-1]])[np.repeat(chosen, lengths)]
    ends = np.cumsum(lengths[chosen])
    begins = np.zeros((1, len(ids)), bool)
    begins[0, ends - lengths[chosen]] = True
    (hashes,) = read_lines(ids[None], begins, np.full(1, INSIDE, np.int32))
    return hashes[ends - 1]


def choose_factor(ends: Doubles, repeated: int) -> tuple[float, float]:
    """Return the factor for the ends of known lines for which a text costs least, and the nats that it then saves.

    ends: the probability of the end where a line so far is a known one, (N,). repeated: how many of these lines end there. One
    more is assumed, so that a few lines without a repetition are not taken for a proof that there is none.
    """
    saved = np.array([repeated * np.log(factor) - np.log1p((factor - 1) * ends).sum() for factor in FACTORS])
    best = int(np.argmax(saved + np.log(FACTORS)))
    return float(FACTORS[best]), float(saved[best])


def choose_weight(network: Doubles, memory: Doubles, overlap: Doubles) -> tuple[float, float]:
    """Return the weight of the memory for which a text costs least, and the nats a token that it saves, or costs if below 0.

    network, memory: the probabilities of its tokens, (N,), under each. overlap: (N,), the sum over all tokens of the square
    root of the product of both.
    """
    costs = [-np.log(mixed(network, memory, overlap, weight)).mean() for weight in WEIGHTS]
    best = int(np.argmin(costs))
    return float(WEIGHTS[best]), float(-np.log(network).mean() - costs[best])


def mixed(network: Doubles, memory: Doubles, overlap: Doubles, weight: float) -> Doubles:
    """Return the probabilities of a mixture, (N,), see chargen/memory/ngrams.py; the arguments are those of `choose_weight`."""
    total = (1 - weight) ** 2 + 2 * weight * (1 - weight) * overlap + weight**2
    probabilities: Doubles = ((1 - weight) * np.sqrt(network) + weight * np.sqrt(memory)) ** 2 / total
    return probabilities
