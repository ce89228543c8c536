"""Measure how well a model predicts a text, in nats a character; every character and end of a document counts.

The first figure of a model is measured the way it reads and writes (`evaluate_as_read`): a stream, lines, or windows.

- A stream is one text from the first document to the last: one zero state at the start, the state carried to the end.
- Lines are read one by one, each from the start token of generation.
- Windows are for networks trained on windows that predict their last token: each token is predicted from a zero state and the T
  tokens before it.
- Blocks are pieces of a fixed number of tokens, each from a zero state. A block first reads the token before its first target,
  so all of its positions count, also the first ones, where the network has almost no context. Training windows begin like this,
  and so does the protocol of nanoGPT.

All of them predict the same tokens as the validation of training: all but the boundary before a document. Several models are
measured by the mean of their probabilities.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.corpus.corpus import count_characters
from chargen.corpus.documents import Document
from chargen.corpus.large_text import text_blocks
from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.windows import SlidingWindows, TokenStream, tokenize
from chargen.errors import ConfigError, NetworkError
from chargen.network.model_file import TextModel
from chargen.writing.ensemble import AnyModel, Ensemble
from chargen.writing.reading import cached_expectations, expectations
from chargen.writing.scorer import Scorer
from chargen.writing.scoring import Nats

ROWS_AT_ONCE = 256  # blocks in a batch
TOKENS_AT_ONCE = 1 << 18  # in all blocks of a batch

LARGEST_EXPONENT = 700.0  # nats; exp of it does not overflow
LARGEST_PLAIN = 1e6  # perplexity printed without an exponent

Report = Callable[[int], None]  # called with the number of tokens read since the last call


def ignore(count: int) -> None:
    """Ignore a report."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The cost of a text.

    nats: of the whole text. characters: the predicted ones; the end of each document counts as one. alone: the cost under the
    networks of the model without their n-gram memory, if that was measured apart.
    """

    nats: float
    characters: int
    alone: "Quality | None" = None

    @property
    def cross_entropy(self) -> float:
        """The cross-entropy in nats a character."""
        return self.nats / self.characters

    @property
    def bits_per_character(self) -> float:
        """The cross-entropy in bits a character."""
        return self.cross_entropy / math.log(2)

    @property
    def perplexity(self) -> float:
        """The perplexity a character, exp(cross_entropy); infinity if it overflows."""
        return math.exp(self.cross_entropy) if self.cross_entropy < LARGEST_EXPONENT else math.inf

    @property
    def shown_perplexity(self) -> str:
        """The perplexity as text; a large one with an exponent."""
        return f"{self.perplexity:.3f}" if self.perplexity < LARGEST_PLAIN else f"{self.perplexity:.3e}"

    def row(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "characters": self.characters,
            "cross_entropy": self.cross_entropy,
            "bits_per_character": self.bits_per_character,
            "perplexity": self.perplexity,
        }


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """A text to measure, as a model's tokens.

    spelling_nats: the cost of spelling its unknown words.
    """

    stream: TokenStream
    characters: int
    spelling_nats: float

    @classmethod
    def of(cls, documents: Sequence[Document], vocabulary: Vocabulary) -> "EncodedText":
        """Encode documents. Raises UnknownTokenError for characters that are not in the vocabulary."""
        blocks = (block for document in documents for block in text_blocks(document.text))
        return cls(
            stream=tokenize(documents, vocabulary),
            characters=count_characters(documents),
            spelling_nats=sum(map(vocabulary.spelling_nats, blocks)),
        )

    @property
    def num_targets(self) -> int:
        """The number of predicted tokens."""
        return self.stream.num_targets

    def quality(self, nats: float, alone: float | None = None) -> Quality:
        """Return the quality for the tokens' total nats, and those of the networks alone.

        Raises NetworkError if they are not finite.
        """
        if not math.isfinite(nats):
            raise NetworkError(
                f"the cross-entropy of the text is {nats}: the weights of the model have diverged", hint="use another run"
            )
        networks = None if alone is None else self.quality(alone)
        return Quality(nats=nats + self.spelling_nats, characters=self.characters, alone=networks)


def evaluate_as_read(model: AnyModel, encoded: EncodedText, report: Report = ignore) -> Quality:
    """Measure a text the way the model reads: with carried state, line by line, or in windows."""
    nats = alone = 0.0
    for expected in expectations(model, encoded.stream):
        nats += float(expected.nats.sum())
        alone += float(expected.nats_alone.sum()) if model.has_memory else 0.0
        report(len(expected.places))
    return encoded.quality(nats, alone if model.has_memory else None)


def evaluate_cached(model: AnyModel, encoded: EncodedText, report: Report = ignore) -> Quality:
    """Measure a text the way the model reads, with a cache of what was read before each token, also of earlier documents."""
    nats = 0.0
    for expected in cached_expectations(model, encoded.stream):
        nats += float(expected.nats.sum())
        report(len(expected.places))
    return encoded.quality(nats)


def evaluate_carried(model: AnyModel, encoded: EncodedText, report: Report = ignore) -> Quality:
    """Measure a text with carried state, however the model was trained."""
    return evaluate_as_read(model.with_carry(carry=True), encoded, report)


def evaluate_blocks(model: AnyModel, encoded: EncodedText, block_length: int, report: Report = ignore) -> Quality:
    """Measure a text in blocks of `block_length` tokens, 2 or more, each from a zero state and within one document.

    In a labelled text the label replaces a block's first token, as in training; blocks then overlap by one token.
    """
    nats = alone = 0.0
    for costs, _ in _blocks(model, encoded.stream, block_length, report):
        nats += float(costs.whole.sum())
        alone += float(costs.alone.sum())
    return encoded.quality(nats, alone if model.has_memory else None)


def nats_by_position(model: TextModel, encoded: EncodedText, report: Report = ignore) -> list[tuple[int, float]]:
    """Return (tokens, mean nats a token) of each position of a window of the length of training, read from a zero state.

    The network is measured alone, without its n-gram memory.

    The nats of a position without tokens, such as the one after a label, are nan. Raises ConfigError for a network that
    predicts only after the last token of a window.
    """
    if any(one.config.targets == "last" for one in model.network.members):
        raise ConfigError(
            "--positions needs a prediction at every position, but this network predicts after the last of a window",
            hint="train with --targets all",
        )
    tokens, nats = np.zeros(model.context_length), np.zeros(model.context_length)
    for costs, weights in _blocks(model.with_memory(0), encoded.stream, model.context_length, report):
        tokens += weights.sum(axis=0)
        nats += costs.alone.sum(axis=0)
    means = np.divide(nats, tokens, out=np.full_like(nats, np.nan), where=tokens > 0)
    return list(zip(tokens.astype(int).tolist(), means.tolist(), strict=True))


def _blocks(
    model: AnyModel, stream: TokenStream, block_length: int, report: Report
) -> Iterator[tuple[Nats, npt.NDArray[np.float32]]]:
    """Read blocks from a zero state, some at a time, and yield the nats of their targets and their weights, (B, T)."""
    scorer = Scorer(model)
    stride = max(1, block_length - 1) if stream.labelled else block_length
    at_most = stream.num_targets // stride + len(stream.starts)
    rows = max(1, min(ROWS_AT_ONCE, at_most, TOKENS_AT_ONCE // block_length))
    blocks = SlidingWindows(
        stream, context_length=block_length, stride=stride, batch_size=rows, last=False, seed=0, shuffle=False
    )
    for step in range(blocks.num_steps):
        inputs, targets, weights = blocks.batch(0, step)
        costs, _ = scorer.nats(inputs, targets, scorer.zero_states(rows))
        yield Nats(*(one * weights for one in costs)), weights
        report(int(weights.sum()))


@dataclass(frozen=True)
class EvaluationProtocol:
    """A way to measure a text, with its name."""

    name: str
    evaluate: Callable[[AnyModel, EncodedText, Report], Quality]


def protocols(model: AnyModel, *, block_length: int) -> list[EvaluationProtocol]:
    """Return the protocols for a model, the way it was trained to read first.

    For a network that reads windows the second one carries the state, which shows the cost of carrying it.
    """
    carried = EvaluationProtocol("lines" if model.reading == "line" else "stream", evaluate_carried)
    ways = [carried] if model.carried else [EvaluationProtocol(_windows_name(model), evaluate_as_read), carried]
    if model.reading == "line":
        return ways
    blocks = EvaluationProtocol(
        f"blocks of {block_length}",
        lambda model, encoded, report: evaluate_blocks(model, encoded, block_length, report),
    )
    return [*ways, blocks]


def _windows_name(model: AnyModel) -> str:
    """Return the name of the protocol of a model, or of several, that do not all carry their state."""
    members = model.members if isinstance(model, Ensemble) else (model,)
    lengths = {None if one.carried else one.context_length for one in members}
    return f"windows of {lengths.pop()}" if len(lengths) == 1 else "each as trained"
