"""Plan how to measure held-out text after each epoch, so that `chargen evaluate` gives the same figure.

B is the number of rows of a batch, T the context length.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.corpus.document_rows import DocumentRows
from chargen.corpus.windows import BatchPlan, ContiguousStreams, SlidingWindows, TokenStream
from chargen.settings.schema import Settings
from chargen.training.planning.windows import WindowSizes

VALIDATION_SHARE = 0.25  # of the tokens of an epoch, where epochs are cut short; a training step costs three times as much
SHORTEST_ROW = 512  # tokens of a stream's rows; longer rows need fewer passes (see `Measurer`)
MOST_CALIBRATING, MOST_LOGITS = 200_000, 1 << 24  # tokens, and numbers, that are read to calibrate a network
CHAINED_PASSES = 1.5  # over the text that a chained validation takes, about


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Held-out text and the batches in which it is measured.

    stream: the text; None for a classifier. carried: whether the state is carried from batch to batch; the steps in `begins`
    start from the zero state. chained: whether the rows are one text, where each row begins at the end of the row before.
    share: the share of the held-out tokens that is measured.
    """

    batches: BatchPlan
    stream: TokenStream | None = None
    carried: bool = False
    chained: bool = False
    begins: frozenset[int] = frozenset({0})
    share: float = 1.0

    @property
    def num_positions(self) -> float:
        """Tokens that the network reads, counted each time."""
        tokens = self.batches.num_steps * self.batches.batch_size * self.batches.context_length
        return tokens * (CHAINED_PASSES if self.chained else 1)

    @property
    def num_held_out(self) -> float:
        """All held-out tokens, 0 for a classifier."""
        return self.stream.num_targets / self.share if self.stream else 0


def plan_validation(stream: TokenStream, windows: WindowSizes, settings: Settings, *, by_line: bool) -> Validation:
    """Plan the validation after each epoch: of all held-out text, or of a part if epochs are shortened."""
    steps = None if settings.training.validate_whole else settings.training.epoch_steps
    last = settings.network.targets == "last"
    per_step = windows.batch_size * (1 if last and not settings.training.stateful else windows.context_length)
    most = stream.num_targets if steps is None else max(1, int(VALIDATION_SHARE * steps)) * per_step
    measured = part_of(stream, most)
    return _measured(measured, windows, settings, by_line=by_line, share=measured.num_targets / stream.num_targets)


def may_calibrate(stream: TokenStream, vocab_size: int) -> bool:
    """Tell whether held-out text is short enough to be read once more after training, to calibrate the network."""
    return stream.num_targets <= min(MOST_CALIBRATING, MOST_LOGITS // vocab_size)


def plan_whole_validation(stream: TokenStream, windows: WindowSizes, settings: Settings, *, by_line: bool) -> Validation:
    """Plan the validation of all held-out text."""
    return _measured(stream, windows, settings, by_line=by_line, share=1.0)


def _measured(stream: TokenStream, windows: WindowSizes, settings: Settings, *, by_line: bool, share: float) -> Validation:
    context_length, rows = windows.context_length, windows.batch_size
    stateful = settings.training.stateful
    in_order: dict[str, Any] = {"context_length": context_length, "batch_size": rows, "seed": 0, "shuffle": False}
    if settings.network.targets == "last" and not stateful:
        batches: BatchPlan = SlidingWindows(stream, stride=1, last=True, **in_order)
        return Validation(batches=batches, stream=stream, share=share)
    if by_line and stream.longest < context_length:
        batches = SlidingWindows(stream, stride=context_length, last=False, **in_order)
        return Validation(batches=batches, stream=stream, share=share)
    if by_line:
        documents = DocumentRows(stream, context_length=context_length, batch_size=rows)
        return Validation(batches=documents, stream=stream, carried=True, begins=documents.begins, share=share)
    length = max(-(-stream.span // rows), SHORTEST_ROW)
    length = math.ceil(length / context_length) * context_length  # whole windows, so that a row ends where the next begins
    batches = ContiguousStreams(stream, context_length=context_length, batch_size=rows, last=False, row_length=length)
    return Validation(batches=batches, stream=stream, carried=True, chained=True, share=share)


def part_of(stream: TokenStream, most: int) -> TokenStream:
    """Return a part of a stream with at most so many predicted tokens: evenly spread documents, the last one cut."""
    if stream.num_targets <= most:
        return stream
    lengths = stream.lengths
    order = _spread(len(lengths))
    enough = int(np.searchsorted(np.cumsum(lengths[order]), most)) + 1
    return _joined(stream, np.sort(order[:enough]), most)


def _spread(count: int) -> npt.NDArray[np.int64]:
    """Return range(count) in an order whose every beginning is evenly spread, by multiples of the golden ratio modulo 1."""
    golden = (math.sqrt(5) - 1) / 2
    return np.argsort(np.argsort((np.arange(count) * golden) % 1.0, kind="stable"), kind="stable")


def _joined(stream: TokenStream, documents: npt.NDArray[np.int64], most: int) -> TokenStream:
    """Return a stream of some documents that is cut off after so many predicted tokens."""
    lengths = stream.lengths[documents]
    kept = np.minimum(lengths, np.maximum(most - (np.cumsum(lengths) - lengths), 0))
    documents, lengths, kept = (one[kept > 0] for one in (documents, lengths, kept))
    unended = np.isin(documents, stream.unended) | (kept < lengths)
    spans = kept + unended  # the boundary after a document that was cut off is read too
    starts = stream.starts[documents]
    parts = [stream.ids[start : start + span] for start, span in zip(starts.tolist(), spans.tolist(), strict=True)]
    return TokenStream(
        ids=np.concatenate([*parts, stream.ids[stream.span :]]),
        starts=np.cumsum([0, *spans]),
        first_label=stream.first_label,
        unended=np.flatnonzero(unended),
    )
