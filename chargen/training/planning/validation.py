"""Plan how held-out text is measured after each epoch: as the model reads it, so that `chargen evaluate` gives the same figure.

B is the rows of a batch, T the context length.
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
SHORTEST_ROW = 512  # tokens of a stream's rows, so that few passes are needed until each has begun where the one before ended
CHAINED_PASSES = 1.5  # over the text, about, until they have


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Held-out text and the batches in which it is measured.

    stream: the text; None for a classifier's. carried: whether the state goes from each batch to the next, but for the steps
    in `begins`, which begin from the zero state. chained: the rows are one text; each begins where the row before it ends.
    share: of the held-out tokens, those that are measured.
    """

    batches: BatchPlan
    stream: TokenStream | None = None
    carried: bool = False
    chained: bool = False
    begins: frozenset[int] = frozenset({0})
    share: float = 1.0

    @property
    def num_positions(self) -> float:
        """Tokens that go through the network, each as often as it does."""
        tokens = self.batches.num_steps * self.batches.batch_size * self.batches.context_length
        return tokens * (CHAINED_PASSES if self.chained else 1)


def plan_validation(stream: TokenStream, windows: WindowSizes, settings: Settings, *, by_line: bool) -> Validation:
    """Return how a held-out text is measured after each epoch: all of it, or a part where epochs are cut short."""
    steps = None if settings.training.validate_whole else settings.training.epoch_steps
    last = settings.network.targets == "last"
    per_step = windows.batch_size * (1 if last and not settings.training.stateful else windows.context_length)
    most = stream.num_targets if steps is None else max(1, int(VALIDATION_SHARE * steps)) * per_step
    measured = part_of(stream, most)
    return _measured(measured, windows, settings, by_line=by_line, share=measured.num_targets / stream.num_targets)


def plan_whole_validation(stream: TokenStream, windows: WindowSizes, settings: Settings, *, by_line: bool) -> Validation:
    """Return how all of a held-out text is measured."""
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
    """Return a part of a stream with at most so many predicted tokens: documents spread evenly over it, the last one cut."""
    if stream.num_targets <= most:
        return stream
    lengths = stream.lengths
    order = _spread(len(lengths))
    enough = int(np.searchsorted(np.cumsum(lengths[order]), most)) + 1
    return _joined(stream, np.sort(order[:enough]), most)


def _spread(count: int) -> npt.NDArray[np.int64]:
    """Return range(count) in an order whose beginnings are spread evenly: by the fractional parts of golden-ratio multiples."""
    golden = (math.sqrt(5) - 1) / 2
    return np.argsort(np.argsort((np.arange(count) * golden) % 1.0, kind="stable"), kind="stable")


def _joined(stream: TokenStream, documents: npt.NDArray[np.int64], most: int) -> TokenStream:
    """Return a stream of some documents that is cut off after so many predicted tokens."""
    lengths = stream.lengths[documents]
    kept = np.minimum(lengths, np.maximum(most - (np.cumsum(lengths) - lengths), 0))
    documents, lengths, kept = (one[kept > 0] for one in (documents, lengths, kept))
    unended = np.isin(documents, stream.unended) | (kept < lengths)
    spans = kept + unended  # the boundary after a document that was cut off is read as well
    starts = stream.starts[documents]
    parts = [stream.ids[start : start + span] for start, span in zip(starts.tolist(), spans.tolist(), strict=True)]
    return TokenStream(
        ids=np.concatenate([*parts, stream.ids[stream.span :]]),
        starts=np.cumsum([0, *spans]),
        first_label=stream.first_label,
        unended=np.flatnonzero(unended),
    )
