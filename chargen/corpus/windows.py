"""Form the batches of an epoch from token ids.

A plan is a pure function of the ids, the settings, the seed and the epoch: any batch of any epoch can be made without the
earlier ones, and nothing larger than one batch is held in memory.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.documents import Document, Documents
from chargen.corpus.large_text import FileIds, LargeText, StoredIds, batched_texts
from chargen.corpus.vocabulary import BOUNDARY, Ids, Vocabulary

Indices = npt.NDArray[np.int64]

PATTERN_LENGTH = 1000  # largest number of rows after which the pattern of a mix repeats
_ROUNDS = 6  # of the Feistel network; four make it pseudorandom (Luby and Rackoff 1988), two more cost little


class TokenStream(NamedTuple):
    """All documents as one array: a boundary token (or the label) before each, a boundary token after the last.

    ids: (N,) in the narrowest unsigned dtype. starts: (documents + 1,) positions of the boundaries; document d, with both of
    its boundaries, is ids[starts[d] : starts[d + 1] + 1]. first_label: ids from here on are labels. unended: (K,) indices of
    the documents that were cut before their end; the boundary after them is read but not predicted.
    """

    ids: Ids | StoredIds
    starts: Indices
    first_label: int
    unended: Indices

    @property
    def span(self) -> int:
        """The number of tokens after the first."""
        return len(self.ids) - 1

    @property
    def num_targets(self) -> int:
        """The number of predicted tokens: all after the first except the boundaries after documents that were cut."""
        return self.span - len(self.unended)

    @property
    def lengths(self) -> Indices:
        """The number of predicted tokens of each document, (documents,); document d's begin at ids[starts[d] + 1]."""
        lengths = np.diff(self.starts)
        lengths[self.unended] -= 1
        return lengths

    @property
    def cuts(self) -> Indices:
        """The positions of the boundaries that are not predicted, (K,), in order."""
        return self.starts[self.unended + 1]

    def predicts(self, positions: Indices) -> npt.NDArray[np.bool_]:
        """Return whether the ids at positions after the first boundary are predicted; shaped like `positions`."""
        cuts = np.append(self.cuts, len(self.ids))  # a sentinel, so that it is never empty
        return cuts[np.searchsorted(cuts, positions)] != positions

    @property
    def longest(self) -> int:
        """The number of tokens of the longest document."""
        return int(np.diff(self.starts).max(initial=1)) - 1

    @property
    def labelled(self) -> bool:
        """Whether documents begin with a label."""
        return bool(len(self.ids)) and int(self.ids[0:1][0]) >= self.first_label

    def as_targets(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return ids as targets: the end of a document instead of the label of the next one."""
        return np.where(ids >= self.first_label, np.int32(BOUNDARY), ids)


def join_documents(documents: Sequence[Ids], start_id: int, vocabulary: Vocabulary) -> TokenStream:
    """Return encoded documents as one stream; each begins with the same id, the boundary or a label."""
    parts = [part for ids in documents for part in ([start_id], ids)]
    joined = np.concatenate([*parts, [BOUNDARY]]).astype(vocabulary.dtype)
    starts = np.cumsum([0, *(len(ids) + 1 for ids in documents)])
    return TokenStream(joined, starts, len(vocabulary) - len(vocabulary.labels), unended=np.array([], np.int64))


Store = Callable[[Iterator[Ids], Vocabulary], Ids | StoredIds]  # keeps the blocks of a stream


def tokenize(documents: Sequence[Document], vocabulary: Vocabulary, *, store: Store | None = None) -> TokenStream:
    """Encode documents into one stream, which `store` keeps; without one, in a file if one of the documents is in a file."""
    documents = documents if isinstance(documents, Documents) else Documents.of(documents)
    if store is None:
        in_file = any(isinstance(group.text, LargeText) for group in documents.groups)
        store = _in_file if in_file else _in_memory
    lengths: list[Indices] = []
    ids = store(_token_blocks(documents, vocabulary, lengths), vocabulary)
    starts = np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))
    return TokenStream(ids, starts, len(vocabulary) - len(vocabulary.labels), np.flatnonzero(~documents.ends))


def _in_file(blocks: Iterator[Ids], vocabulary: Vocabulary) -> FileIds:
    return FileIds(blocks, vocabulary.dtype)


def _in_memory(blocks: Iterator[Ids], vocabulary: Vocabulary) -> Ids:
    return np.concatenate(list(blocks))


def _token_blocks(documents: Documents, vocabulary: Vocabulary, lengths: list[Indices]) -> Iterator[Ids]:
    """Yield the stream piece by piece; append the tokens of each document, including the one before it, to `lengths`."""
    for group in documents.groups:
        start_ids = np.array(
            [BOUNDARY if name is None else vocabulary.label_id(name) for name in group.names], vocabulary.dtype
        )
        done = 0
        for texts in batched_texts(group.texts()):
            count = 1 if isinstance(texts, LargeText) else len(texts)
            boundaries = start_ids[group.label_numbers[done : done + count]]
            done += count
            if isinstance(texts, LargeText):
                yield boundaries
                length = 1
                for block in texts.blocks():
                    ids = vocabulary.encode(block)
                    length += len(ids)
                    yield ids
                lengths.append(np.array([length]))
            else:
                ids, counts = vocabulary.encode_all(texts)
                lengths.append(counts + 1)
                yield np.insert(ids, np.cumsum(counts) - counts, boundaries)
    yield np.full(1, BOUNDARY, vocabulary.dtype)


class Batch(NamedTuple):
    """The windows of one optimizer step, B of them.

    inputs: (B, T) ids. targets: (B, T) ids, or (B,) if only the token after the window is predicted. sample_weights: float32,
    shaped like targets; 0 for rows and positions that only fill the batch.
    """

    inputs: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    sample_weights: npt.NDArray[np.float32]

    def stacked(self, count: int) -> "Batch":
        """Return (K B, ...) rows as K batches, (K, B, ...)."""
        inputs, targets, weights = self
        return Batch(
            inputs.reshape(count, -1, *inputs.shape[1:]),
            targets.reshape(count, -1, *targets.shape[1:]),
            weights.reshape(count, -1, *weights.shape[1:]),
        )


class BatchPlan(ABC):
    """The batches of an epoch, all of one shape.

    Each epoch predicts at least one token, so that every mean is defined; only a plan for a text without tokens has no batch
    and `num_targets` 0. A batch of streams may predict nothing if all of its windows end in a gap.
    """

    context_length: int
    batch_size: int
    num_targets: int  # predicted tokens of an epoch, or the rounded mean over all epochs if they differ

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """The number of batches in an epoch."""

    def batch(self, epoch: int, step: int) -> Batch:
        """Return the batch of one step; epochs and steps count from 0."""
        inputs, targets, weights = self.batches(epoch, step, 1)
        return Batch(inputs[0], targets[0], weights[0])

    @abstractmethod
    def batches(self, epoch: int, first: int, count: int) -> Batch:
        """Return the batches of `count` steps from step `first` on, stacked: K before the other axes."""

    def of_rows(self, rows: range) -> "BatchPlan":
        """Return a plan that need not read other rows of a batch than these, and may fill the others with zeros."""
        return self


class SlidingWindows(BatchPlan):
    """Windows of T tokens, one every `stride` tokens within each document, in a new random order in each epoch.

    With `last` a window is the T tokens before each predicted one, padded with the boundary token before the document's start.
    Otherwise a window predicts the token after each of its positions, and the windows of a document cover it to its end; after
    the end, weights are 0. No window contains parts of two documents.

    In a labelled stream every window begins with its document's label instead of its first token. The token after the label
    cannot be predicted from the label, so its weight is 0 unless the document begins there. A window with nothing else is left
    out.
    """

    def __init__(
        self,
        stream: TokenStream,
        *,
        context_length: int,
        stride: int,
        batch_size: int,
        last: bool,
        seed: int,
        shuffle: bool = True,
    ) -> None:
        self.stream = stream
        self.context_length, self.stride, self.batch_size = context_length, stride, batch_size
        self.last, self.seed, self.shuffle = last, seed, shuffle
        lengths = stream.lengths
        self._ends = stream.starts[:-1] + lengths
        counts = self._counts(lengths)
        self._first_window = np.concatenate([[0], np.cumsum(counts)])
        self.num_windows = int(self._first_window[-1])
        self.num_targets = self.num_windows if last else int(self._targets_of(lengths, counts))

    def _counts(self, lengths: Indices) -> Indices:
        """Count the windows of each document."""
        if not self.last and self.stride <= self.context_length:
            further = -(-np.maximum(lengths - self.context_length, 0) // self.stride)
        else:
            further = -(-lengths // self.stride) - 1
        if self.stream.labelled and not self.last:
            further = np.minimum(further, np.maximum(lengths - 2, 0) // self.stride if self.context_length > 1 else 0)
        return 1 + further

    def _targets_of(self, lengths: Indices, counts: Indices) -> np.integer:
        """Count the positions with a weight: full windows, and the rest of each document in its last window."""
        left = np.minimum(self.context_length, lengths - (counts - 1) * self.stride)
        lost = (counts - 1).sum() if self.stream.labelled else 0
        return ((counts - 1) * self.context_length + left).sum() - lost

    @property
    def num_steps(self) -> int:
        return -(-self.num_windows // self.batch_size)

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        positions = np.arange(first * self.batch_size, (first + count) * self.batch_size)
        windows = positions % self.num_windows
        if self.shuffle:
            windows = shuffled(windows, self.num_windows, key=(self.seed, epoch))
        batch = self.gather(windows)
        batch.sample_weights[positions >= self.num_windows] = 0
        return batch.stacked(count)

    def gather(self, windows: Indices) -> Batch:
        """Make a batch of windows, (B,), counted from the first window of the first document."""
        document = np.searchsorted(self._first_window, windows, side="right") - 1
        offset = (windows - self._first_window[document]) * self.stride
        start, end = self.stream.starts[document], self._ends[document]
        gather = self._gather_last if self.last else self._gather_all
        batch = gather(start[:, None], (start + offset)[:, None], end[:, None])
        if self.stream.labelled:
            batch.inputs[:, 0] = self.stream.ids[start[:, None]][:, 0]
        return batch

    def _gather_all(self, start: Indices, first: Indices, end: Indices) -> Batch:
        positions = first + np.arange(self.context_length + 1)  # (B, T + 1)
        ids = self.stream.ids[np.minimum(positions, end)].astype(np.int32)
        weighs = positions[:, :-1] < end
        if self.stream.labelled:
            weighs[:, 0] = (first == start)[:, 0]
        return Batch(ids[:, :-1], self.stream.as_targets(ids[:, 1:]), weighs.astype(np.float32))

    def _gather_last(self, start: Indices, before: Indices, end: Indices) -> Batch:
        positions = before + np.arange(1 - self.context_length, 2)  # (B, T + 1)
        ids = self.stream.ids[np.maximum(positions, start)].astype(np.int32)
        return Batch(ids[:, :-1], self.stream.as_targets(ids[:, -1]), np.ones(len(ids), np.float32))


class RegionWindows(SlidingWindows):
    """Windows of a text in files, where each row of a batch reads a region of the text, in a new random order in each epoch.

    So a process that trains on some rows of each batch reads only the shards of their regions. An epoch leaves out the windows
    that do not fill a batch, fewer than one for each row.
    """

    _rows: range | None = None

    @property
    def num_steps(self) -> int:
        return max(1, self.num_windows // self.batch_size)

    def of_rows(self, rows: range) -> "RegionWindows":
        plan = copy(self)
        plan._rows = rows
        return plan

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        rows = self._rows or range(self.batch_size)
        windows = np.stack([self._windows(epoch, first, count, row) for row in rows], axis=1)  # (K, rows)
        inputs, targets, weights = self.gather(windows.reshape(-1)).stacked(count)
        if self.num_windows < self.batch_size:  # some rows have no window of their own
            weights[:, [row >= self.num_windows for row in rows]] = 0
        return Batch(*[_with_rows(array, rows, self.batch_size) for array in (inputs, targets, weights)])

    def _windows(self, epoch: int, first: int, count: int, row: int) -> Indices:
        """Return the windows that a row reads in some steps, (K,)."""
        if self.num_windows < self.batch_size:
            return np.full(count, row % self.num_windows)
        steps, start = self.num_steps, row * self.num_windows // self.batch_size
        return start + shuffled(np.arange(first, first + count) % steps, steps, key=(self.seed, epoch, row))


def _with_rows(array: npt.NDArray[Any], rows: range, batch_size: int) -> npt.NDArray[Any]:
    """Return (K, rows, ...) as (K, B, ...), with zeros for the other rows."""
    if len(rows) == batch_size:
        return array
    whole = np.zeros((len(array), batch_size, *array.shape[2:]), array.dtype)
    whole[:, rows.start : rows.stop] = array
    return whole


class MixedWindows(BatchPlan):
    """Windows of several texts in given proportions; an epoch has as many windows as all texts together.

    Which text a row comes from follows a fixed pattern. The windows of each text come in a random order that is drawn again
    after all of them were used. As windows differ in their targets, `num_targets` is the mean over all epochs.
    """

    def __init__(self, parts: Sequence[SlidingWindows], weights: Sequence[float]) -> None:
        first = parts[0]
        self.parts, self.context_length, self.batch_size = parts, first.context_length, first.batch_size
        self.pattern = proportional_pattern(weights)
        # The position of a row among the rows of its own part, within one repetition of the pattern.
        self._ranks = np.array([(self.pattern[:position] == part).sum() for position, part in enumerate(self.pattern)])
        self._per_pattern = np.bincount(self.pattern, minlength=len(parts))
        self.num_windows = sum(part.num_windows for part in parts)
        shares = self._per_pattern / len(self.pattern)
        targets = [share * part.num_targets / part.num_windows for share, part in zip(shares, parts, strict=True)]
        self.num_targets = round(sum(targets) * self.num_windows)

    @property
    def num_steps(self) -> int:
        return -(-self.num_windows // self.batch_size)

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        positions = np.arange(first * self.batch_size, (first + count) * self.batch_size)
        repetition, position = np.divmod(positions, len(self.pattern))
        part_of = self.pattern[position]
        numbers = repetition * self._per_pattern[part_of] + self._ranks[position]
        rows = [np.flatnonzero(part_of == part) for part in range(len(self.parts))]
        gathered = [self._gather(part, epoch, numbers[chosen]) for part, chosen in enumerate(rows)]
        order = np.argsort(np.concatenate(rows))
        inputs, targets, weights = (np.concatenate(arrays)[order] for arrays in zip(*gathered, strict=True))
        batch = Batch(inputs, targets, weights)
        batch.sample_weights[positions >= self.num_windows] = 0
        return batch.stacked(count)

    def _gather(self, part: int, epoch: int, numbers: Indices) -> Batch:
        """Make a batch of the windows of a part at the given positions, (B,), of its own sequence."""
        windows = self.parts[part]
        passes, positions = np.divmod(numbers, windows.num_windows)
        chosen = np.empty_like(positions)
        for number in np.unique(passes).tolist():
            rows = passes == number
            key = (windows.seed, epoch, part, number)
            chosen[rows] = shuffled(positions[rows], windows.num_windows, key=key)
        return windows.gather(chosen)


def proportional_pattern(weights: Sequence[float]) -> Indices:
    """Return the order of the parts, spread evenly: [3, 1] gives an array of length 4 with three 0s and one 1.

    Weights are rounded to multiples of 1 / `PATTERN_LENGTH` or coarser shares.
    """
    total = sum(weights)
    shares = [Fraction(weight / total).limit_denominator(PATTERN_LENGTH) for weight in weights]
    length = min(math.lcm(*[share.denominator for share in shares]), PATTERN_LENGTH)
    owed = np.zeros(len(weights))
    pattern = []
    for _ in range(length):
        owed += [weight / total for weight in weights]
        pattern.append(int(owed.argmax()))
        owed[pattern[-1]] -= 1
    return np.array([*pattern, *sorted(set(range(len(weights))) - set(pattern))])


class ContiguousStreams(BatchPlan):
    """The whole text as `batch_size` contiguous streams, read side by side in windows of T tokens.

    Row b of a batch continues where row b of the previous batch ended, so that the state can be carried on. With a
    `jitter_seed` the text is a ring that is cut at another position in each epoch, so that streams and windows begin at other
    characters; without one every epoch is the same. With `last` only a full window has a target: the rest of the streams is not
    read, and streams shorter than a window have no target. The state is also carried over the gap after a document that was
    cut, where the boundary has weight 0. `row_length` is the length of a stream if the text is not divided evenly; the last
    streams may then be empty.
    """

    def __init__(
        self,
        stream: TokenStream,
        *,
        context_length: int,
        batch_size: int,
        last: bool,
        jitter_seed: int | None = None,
        row_length: int | None = None,
    ) -> None:
        self.ids, self._stream, self._jitter_seed = stream.ids, stream, jitter_seed
        self.context_length, self.batch_size, self.last = context_length, batch_size, last
        self._span = stream.span
        self.length = row_length or -(-self._span // batch_size)  # tokens of each stream
        self.num_targets = self._count_window_ends() if last else stream.num_targets

    def _count_window_ends(self) -> int:
        """Count the predicted last tokens of whole windows; with jitter, epochs may differ by a few."""
        left = np.clip(self._span - np.arange(self.batch_size) * self.length, 0, self.length)  # (B,)
        cut = ((self._stream.cuts - 1) % self.length + 1) % self.context_length == 0
        return int((left // self.context_length).sum() - cut.sum())

    @property
    def num_steps(self) -> int:
        return self.length // self.context_length if self.last else -(-self.length // self.context_length)

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        starts = np.arange(first, first + count) * self.context_length
        within = starts[:, None, None] + np.arange(self.context_length + 1)  # (K, 1, T + 1)
        positions = np.arange(self.batch_size)[:, None] * self.length + within  # (K, B, T + 1)
        turned = self._turned(np.minimum(positions, self._span), epoch)
        ids = self.ids[turned].astype(np.int32)
        targets = self._stream.as_targets(ids[..., 1:])
        predicted = self._stream.predicts(np.where(turned == 0, self._span, turned)[..., 1:])
        weighs = predicted & (within[..., :-1] < self.length) & (positions[..., :-1] < self._span)
        if self.last:
            return Batch(ids[..., :-1], targets[..., -1], weighs[..., -1].astype(np.float32))
        return Batch(ids[..., :-1], targets, weighs.astype(np.float32))

    def _turned(self, positions: Indices, epoch: int) -> Indices:
        """Return the text positions of ring positions for the cut of an epoch; both ends of the text are one boundary."""
        if self._jitter_seed is None:
            return positions
        return (positions + np.random.default_rng([self._jitter_seed, epoch]).integers(self._span)) % self._span


class FixedLengthEpochs(BatchPlan):
    """The batches of another plan in epochs of `steps` steps, which run on through its own epochs.

    `num_targets` is the mean over all of them.
    """

    def __init__(self, plan: BatchPlan, steps: int) -> None:
        self._plan, self._steps = plan, steps
        self.context_length, self.batch_size = plan.context_length, plan.batch_size
        self.num_targets = round(plan.num_targets * steps / plan.num_steps)

    @property
    def num_steps(self) -> int:
        return self._steps

    def of_rows(self, rows: range) -> "FixedLengthEpochs":
        return FixedLengthEpochs(self._plan.of_rows(rows), self._steps)

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        parts = []
        while count:
            inner_epoch, inner_first = divmod(epoch * self._steps + first, self._plan.num_steps)
            here = min(count, self._plan.num_steps - inner_first)
            parts.append(self._plan.batches(inner_epoch, inner_first, here))
            first, count = first + here, count - here
        return Batch(*[np.concatenate(arrays) for arrays in zip(*parts, strict=True)])


def shuffled(positions: Indices, count: int, *, key: tuple[int, ...]) -> Indices:
    """Map indices in range(count) to those of a random permutation, without storing the permutation.

    A Feistel network permutes the next power of four; indices outside the range are permuted again until they are inside (Black
    and Rogaway 2002). Reads `positions`, (B,), and returns an array of the same shape; `key` seeds the permutation.
    """
    half = max(1, (max(count - 1, 1).bit_length() + 1) // 2)
    keys = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64).astype(np.uint64)
    values = _feistel(positions.astype(np.uint64), half, keys)
    while (outside := values >= count).any():
        values[outside] = _feistel(values[outside], half, keys)
    return values.astype(np.int64)


def _feistel(values: npt.NDArray[np.uint64], half: int, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ key) & mask)
    return (left << bits) | right


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash 64-bit values (the finaliser of splitmix64, Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
