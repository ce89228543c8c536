"""Compare a network with a 1-gram model and with uniform guessing."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from chargen.corpus.windows import TokenStream, tokenize
from chargen.insight.assessment import Part, Row, Subject
from chargen.insight.evaluation import EncodedText
from chargen.memory.counting import NOWHERE, Counts, Floats

UNIGRAM, UNIFORM = "1-gram", "uniform"
EXPLAINED = {
    UNIGRAM: "the figure of a 1-gram model, which knows only how frequent each token is",
    UNIFORM: "the figure of guessing all tokens with equal probability",
}
ADVICE: Mapping[Part, str] = {
    "held out": (
        "train longer (--epochs), or choose a more typical validation split (--validation spread, another --random-seed)"
    ),
    "training": "train longer (--epochs)",
    "file": "this text differs from the training text",
}
TOKENS_AT_ONCE = 1 << 22

TokenCounts = npt.NDArray[np.int64]  # (V,)


def unigram_nats(counts: TokenCounts) -> Floats:
    """Return the cost of each token under a 1-gram model with these token counts, in nats, (V,).

    It is the 1-gram model of `NgramModel`: interpolated Kneser-Ney smoothing, so that no token has probability 0.
    """
    found, nothing = np.flatnonzero(counts), np.zeros(len(counts), np.int64)
    grams = np.full(len(counts), NOWHERE)
    grams[found] = np.arange(len(found))
    level = Counts.of(counts[found], nothing[: len(found)], 1)
    return -np.log(level.interpolate(nothing, grams, np.full(len(counts), 1 / len(counts))))


def count_tokens(streams: Iterable[TokenStream], vocab_size: int) -> TokenCounts:
    """Count the predicted tokens of streams, (V,)."""
    counts = np.zeros(vocab_size, np.int64)
    for stream in streams:
        for first in range(1, len(stream.ids), TOKENS_AT_ONCE):
            ids = stream.as_targets(stream.ids[first : first + TOKENS_AT_ONCE].astype(np.int32))
            counts += np.bincount(ids[stream.predicts(first + np.arange(len(ids)))], minlength=vocab_size)
    return counts


def cross_entropies(learnt: Iterable[TokenStream], measured: TokenStream, vocab_size: int) -> dict[str, float]:
    """Return the nats a token of a stream under a 1-gram model of other streams, and under uniform guessing."""
    counts = count_tokens([measured], vocab_size)
    return {name: nats / float(counts.sum()) for name, nats in _nats(learnt, counts).items()}


def _nats(learnt: Iterable[TokenStream], counts: TokenCounts) -> dict[str, float]:
    """Return the total cost of tokens with these counts, (V,), under each model."""
    costs = unigram_nats(count_tokens(learnt, len(counts)))
    return {UNIGRAM: float(counts @ costs), UNIFORM: float(counts.sum()) * math.log(len(counts))}


def warn_if_worse(subject: Subject, rows: Sequence[Row]) -> list[str]:
    """Return a warning if a model, by its worst protocol, does worse than a model that knows almost nothing."""
    measured = [row for row in rows if row.kind == "model" and row.part != "training"]
    if not subject.training or not measured:
        return []
    if not subject.model.carried:
        measured = measured[:1]  # it was not trained for the other protocols
    vocabulary = subject.model.vocabulary
    encoded, learnt = EncodedText.of(subject.documents, vocabulary), tokenize(subject.training, vocabulary)
    nats = _nats([learnt], count_tokens([encoded.stream], len(vocabulary)))
    figures = {name: encoded.quality(cost).bits_per_character for name, cost in nats.items()}
    worst = max(measured, key=lambda row: row.quality.bits_per_character)
    return describe_worse(worst.name, worst.quality.bits_per_character, figures, part=subject.part)


def describe_worse(what: str, bits: float, figures: Mapping[str, float], *, part: Part) -> list[str]:
    """Return a warning with advice if a figure, in bits a character, is worse than the best of `cross_entropies`."""
    name = min(figures, key=lambda name: figures[name])
    if not bits > figures[name]:
        return []
    return [f"warning: {what}: {bits:.3f} bits/char is worse than {figures[name]:.3f}, {EXPLAINED[name]}; {ADVICE[part]}"]
