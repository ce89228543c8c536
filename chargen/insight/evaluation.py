"""Measure how well a model predicts a text that it was not trained on, in nats a character; every character and end counts.

The first figure of a model is that of the way in which it reads and writes, `evaluate_as_read`: a stream, lines, or windows.

- A stream is one text from the first document to the last: from the zero state once, the state carried to the last character.
- Lines are read each by itself, from what generation begins a line with.
- Windows are for networks that learnt from windows, each with its last token predicted: each token is predicted from the
  zero state and the T tokens before it.
- Blocks are pieces of so many tokens, each from the zero state. A block reads the token before its first target first, so all
  of its positions count, also those where the network knows next to nothing yet; that is how windows of training begin, and
  the protocol of nanoGPT.

The same tokens are predicted in each way, and the same as in training's validation: all but the boundary before a document.
Several models are measured by the mean of their probabilities.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chargen.corpus.corpus import count_characters
from chargen.corpus.documents import Document
from chargen.corpus.large_text import text_blocks
from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.windows import SlidingWindows, TokenStream, tokenize
from chargen.errors import NetworkError
from chargen.writing.ensemble import AnyModel, Ensemble
from chargen.writing.reading import expectations
from chargen.writing.scorer import Scorer

ROWS_AT_ONCE = 256  # blocks that are read side by side
TOKENS_AT_ONCE = 1 << 18  # in all of these blocks

LARGEST_EXPONENT = 700.0  # whose power is still a number
LARGEST_PLAIN = 1e6  # perplexity that is shown without an exponent

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
        """How many equally probable characters would be as hard to predict; infinite where no float is as large."""
        return math.exp(self.cross_entropy) if self.cross_entropy < LARGEST_EXPONENT else math.inf

    @property
    def shown_perplexity(self) -> str:
        """The perplexity for people: a large one with an exponent."""
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
        """Return what the tokens' nats together mean for the text. Raises NetworkError where they are not finite."""
        if not math.isfinite(nats):
            raise NetworkError(f"the text costs the model {nats} nats: its weights have diverged", hint="use another run")
        return Quality(nats=nats + self.spelling_nats, characters=self.characters)


def evaluate_as_read(model: AnyModel, passage: Passage, report: Report = ignore) -> Quality:
    """Read a passage as the model reads: its state carried, document by document for lines, or by windows."""
    nats = 0.0
    for expected in expectations(model, passage.stream):
        nats += float(expected.nats.sum())
        report(len(expected.places))
    return passage.quality(nats)


def evaluate_carried(model: AnyModel, passage: Passage, report: Report = ignore) -> Quality:
    """Read a passage with the state carried, however the model was trained."""
    return evaluate_as_read(model.read_as(carry=True), passage, report)


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


@dataclass(frozen=True)
class Protocol:
    """A way to read a passage, by its name."""

    name: str
    evaluate: Callable[[AnyModel, Passage, Report], Quality]


def protocols(model: AnyModel, *, block_length: int) -> list[Protocol]:
    """Return the ways in which a model's texts are read, the model's own first.

    Those of a network that reads windows come second with its state carried, which shows what carrying it costs.
    """
    carried = Protocol("lines" if model.reading == "line" else "stream", evaluate_carried)
    ways = [carried] if model.carried else [Protocol(_windows_name(model), evaluate_as_read), carried]
    if model.reading == "line":
        return ways
    blocks = Protocol(
        f"blocks of {block_length}",
        lambda model, passage, report: evaluate_blocks(model, passage, block_length, report),
    )
    return [*ways, blocks]


def _windows_name(model: AnyModel) -> str:
    """Return what the way is called in which a model reads of which not all parts carry their state."""
    members = model.members if isinstance(model, Ensemble) else (model,)
    lengths = {None if one.carried else one.context_length for one in members}
    return f"windows of {lengths.pop()}" if len(lengths) == 1 else "each as trained"
