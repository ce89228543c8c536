"""How well a model predicts a text that it was not trained on, in nats a character; every character counts, and each end.

A text of whole documents is read in two ways. As a stream: from the zero state once, the state carried from the first character
to the last. In blocks: cut into pieces of so many tokens, each from the zero state. A block reads the token before its first
target first, so all of its positions count, also those where the network knows next to nothing yet; that is how windows of
training begin, and the protocol of nanoGPT. Of lines each is read by itself, from what generation begins a line with.

The same tokens are predicted in each way, and the same as in training's validation: all but the boundary before a document.
Several models are measured by the mean of their probabilities.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.corpus.documents import Document
from chargen.corpus.large_text import text_blocks
from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.windows import SlidingWindows, TokenStream, tokenize
from chargen.network.prediction import AnyModel
from chargen.network.scorer import Scorer

STREAM_PIECE = 4096  # tokens between two reports
ROWS_AT_ONCE = 256  # blocks or lines that are read side by side
TOKENS_AT_ONCE = 1 << 18  # in all of these blocks

LARGEST_EXPONENT = 700.0  # whose power is still a number

Report = Callable[[int], None]  # is told how many more tokens were read


def ignore(count: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a text costs. nats: all of it together. characters: those predicted, the end of each document counted as one."""

    nats: float
    characters: int

    @property
    def cross_entropy(self) -> float:
        """Nats a character."""
        return self.nats / self.characters

    @property
    def bits_per_character(self) -> float:
        """Bits a character."""
        return self.cross_entropy / math.log(2)

    @property
    def perplexity(self) -> float:
        """How many equally probable characters would be as hard to tell."""
        return math.exp(min(self.cross_entropy, LARGEST_EXPONENT))

    def row(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "characters": self.characters,
            "cross_entropy": self.cross_entropy,
            "bits_per_character": self.bits_per_character,
            "perplexity": self.perplexity,
        }


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A text to be measured, as a model's tokens. spelling_nats: what it would cost to spell unknown words."""

    stream: TokenStream
    characters: int
    spelling_nats: float

    @classmethod
    def of(cls, documents: Sequence[Document], vocabulary: Vocabulary) -> "Passage":
        """Encode documents. Raises UnknownTokenError for characters that the vocabulary does not hold."""
        blocks = (block for document in documents for block in text_blocks(document.text))
        return cls(
            stream=tokenize(documents, vocabulary),
            characters=count_characters(documents),
            spelling_nats=sum(map(vocabulary.spelling_nats, blocks)),
        )

    @property
    def num_targets(self) -> int:
        """Tokens that are predicted."""
        return self.stream.num_targets

    def quality(self, nats: float) -> Quality:
        """Return what the tokens' nats together mean for the text."""
        return Quality(nats=nats + self.spelling_nats, characters=self.characters)


def count_characters(documents: Sequence[Document]) -> int:
    """Count the characters that are predicted, the end of each document as one."""
    return sum(len(document.text) + 1 for document in documents)


def evaluate_stream(model: AnyModel, passage: Passage, report: Report = ignore) -> Quality:
    """Read a passage from end to end, the state carried."""
    scorer, stream, nats = Scorer(model), passage.stream, 0.0
    states = scorer.zero_states(1)
    for first in range(0, stream.num_targets, STREAM_PIECE):
        ids = stream.ids[first : first + STREAM_PIECE + 1].astype(np.int32)
        costs, states = scorer.nats(ids[None, :-1], stream.as_targets(ids[None, 1:]), states)
        nats += float(costs.sum())
        report(costs.size)
    return passage.quality(nats)


def evaluate_blocks(model: AnyModel, passage: Passage, block_length: int, report: Report = ignore) -> Quality:
    """Read a passage in blocks of so many tokens, 2 or more, each from the zero state and within one document.

    In a labelled text the label stands in the place of a block's first token, as in training; blocks then overlap by it.
    """
    scorer, stream, nats = Scorer(model), passage.stream, 0.0
    stride = block_length - 1 if stream.labelled else block_length
    at_most = stream.num_targets // stride + len(stream.starts)
    rows = max(1, min(ROWS_AT_ONCE, at_most, TOKENS_AT_ONCE // block_length))
    blocks = SlidingWindows(
        stream, context_length=block_length, stride=stride, batch_size=rows, last=False, seed=0, shuffle=False
    )
    for step in range(blocks.num_steps):
        inputs, targets, weights = blocks.batch(0, step)
        costs, _ = scorer.nats(inputs, targets, scorer.zero_states(rows))
        nats += float((costs * weights).sum())
        report(int(weights.sum()))
    return passage.quality(nats)


def evaluate_lines(model: AnyModel, passage: Passage, report: Report = ignore) -> Quality:
    """Read each document of a passage by itself, from the zero state and what a line begins with."""
    scorer, stream, nats = Scorer(model), passage.stream, 0.0
    lengths = np.diff(stream.starts)  # predicted tokens of each
    order = np.argsort(lengths, kind="stable")
    for first in range(0, len(order), ROWS_AT_ONCE):
        chosen = order[first : first + ROWS_AT_ONCE]
        inputs, targets, counted = _line_rows(stream, chosen, lengths[chosen])
        costs, _ = scorer.nats(inputs, targets, scorer.line_states(inputs[:, 0]))
        nats += float(costs[counted].sum())
        report(int(counted.sum()))
    return passage.quality(nats)


def _line_rows(
    stream: TokenStream, chosen: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Return inputs and targets of some documents, and which places are theirs: (B, T) each, T being the longest."""
    steps = np.arange(lengths.max() + 1)
    starts = stream.starts[chosen][:, None]
    ids = stream.ids[starts + np.minimum(steps, lengths[:, None])].astype(np.int32)
    return ids[:, :-1], stream.as_targets(ids[:, 1:]), steps[:-1] < lengths[:, None]


@dataclass(frozen=True)
class Protocol:
    """A way to read a passage, by its name."""

    name: str
    evaluate: Callable[[AnyModel, Passage, Report], Quality]


def protocols(model: AnyModel, *, block_length: int) -> list[Protocol]:
    """Return the ways in which a model's texts are read: line by line, or as a stream and in blocks."""
    if model.reading == "line":
        return [Protocol("lines", evaluate_lines)]
    blocks = Protocol(
        f"blocks of {block_length}",
        lambda model, passage, report: evaluate_blocks(model, passage, block_length, report),
    )
    return [Protocol("stream", evaluate_stream), blocks]
