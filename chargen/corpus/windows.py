"""Which token ids form which batch.

A plan is a pure function of the ids, the settings, the seed and the epoch: any batch of any epoch can be made without the
ones before it, and nothing larger than one batch is ever held.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.large_text import FileIds, LargeText, Text, text_blocks
from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary, Ids

Indices = npt.NDArray[np.int64]

_ROUNDS = 6  # of the Feistel network; four make it pseudorandom (Luby and Rackoff 1988), two more cost little


class TokenStream(NamedTuple):
    """All documents as one array: a boundary token before each and after the last.

    ids: (N,) in the narrowest unsigned dtype. starts: (documents + 1,) places of the boundaries; document d, with both
    of its boundaries, is ids[starts[d] : starts[d + 1] + 1].
    """

    ids: Ids | FileIds
    starts: Indices

    @property
    def num_targets(self) -> int:
        """Tokens that can be predicted: all but the first boundary."""
        return len(self.ids) - 1


def tokenize(documents: Sequence[Text], vocabulary: CharacterVocabulary) -> TokenStream:
    """Encode documents into one stream, which is a file where one of them is."""
    starts = np.cumsum([0, *(1 + len(text) for text in documents)])
    blocks = _token_blocks(documents, vocabulary)
    if any(isinstance(text, LargeText) for text in documents):
        return TokenStream(FileIds(blocks, vocabulary.dtype), starts)
    return TokenStream(np.concatenate(list(blocks)), starts)


def _token_blocks(documents: Sequence[Text], vocabulary: CharacterVocabulary) -> Iterator[Ids]:
    boundary = np.full(1, BOUNDARY, vocabulary.dtype)
    for text in documents:
        yield boundary
        for block in text_blocks(text):
            yield vocabulary.encode(block)
    yield boundary


class Batch(NamedTuple):
    """One optimizer step's worth of windows, B of them.

    inputs: (B, T) ids. targets: (B, T) ids, or (B,) where only the token after the window is predicted. weights: float32,
    shaped like targets; 0 where a row or a position is only there to fill the batch.
    """

    inputs: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


class BatchPlan(ABC):
    """The batches of an epoch, all of one shape."""

    context_length: int
    batch_size: int
    num_targets: int  # tokens predicted in an epoch

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """Batches in an epoch."""

    def batch(self, epoch: int, step: int) -> Batch:
        """Make the batch of one step; epochs and steps count from 0."""
        inputs, targets, weights = self.batches(epoch, step, 1)
        return Batch(inputs[0], targets[0], weights[0])

    @abstractmethod
    def batches(self, epoch: int, first: int, count: int) -> Batch:
        """Make the batches of `count` steps from `first` on, stacked: K before the other axes."""


class SlidingWindows(BatchPlan):
    """Windows of T tokens every `stride` tokens within each document, in an order drawn anew for each epoch.

    With `last` a window is the T tokens before each predicted one; before a document's start it is filled with the boundary
    token. Otherwise a window predicts the token after each of its positions, and the windows of a document cover it to its
    end; past the end, weights are 0. No window holds parts of two documents.
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
        lengths = np.diff(stream.starts)  # predicted tokens of each document
        whole_stride = last or stride > context_length
        counts = -(-lengths // stride) if whole_stride else 1 - (-np.maximum(lengths - context_length, 0) // stride)
        self._first_window = np.concatenate([[0], np.cumsum(counts)])
        self.num_windows = int(self._first_window[-1])
        self.num_targets = self.num_windows if last else int(self._targets_of(lengths, counts))

    def _targets_of(self, lengths: Indices, counts: Indices) -> np.integer:
        """Count the positions that weigh: full windows, and what the last window of each document has left."""
        left = np.minimum(self.context_length, lengths - (counts - 1) * self.stride)
        return ((counts - 1) * self.context_length + left).sum()

    @property
    def num_steps(self) -> int:
        return -(-self.num_windows // self.batch_size)

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        places = np.arange(first * self.batch_size, (first + count) * self.batch_size)
        fill = places >= self.num_windows
        windows = places % self.num_windows
        if self.shuffle:
            windows = shuffled(windows, self.num_windows, key=(self.seed, epoch))
        document = np.searchsorted(self._first_window, windows, side="right") - 1
        offset = (windows - self._first_window[document]) * self.stride
        start, end = self.stream.starts[document], self.stream.starts[document + 1]
        gather = self._gather_last if self.last else self._gather_all
        batch = gather(start[:, None], (start + offset)[:, None], end[:, None])
        batch.weights[fill] = 0
        inputs, targets, weights = batch
        stacked = (count, self.batch_size)
        return Batch(
            inputs.reshape(*stacked, -1),
            targets.reshape(*stacked, *targets.shape[1:]),
            weights.reshape(*stacked, *weights.shape[1:]),
        )

    def _gather_all(self, start: Indices, first: Indices, end: Indices) -> Batch:
        places = first + np.arange(self.context_length + 1)  # (B, T + 1)
        ids = self.stream.ids[np.minimum(places, end)].astype(np.int32)
        return Batch(ids[:, :-1], ids[:, 1:], (places[:, :-1] < end).astype(np.float32))

    def _gather_last(self, start: Indices, before: Indices, end: Indices) -> Batch:
        places = before + np.arange(1 - self.context_length, 2)  # (B, T + 1)
        ids = self.stream.ids[np.maximum(places, start)].astype(np.int32)
        return Batch(ids[:, :-1], ids[:, -1], np.ones(len(ids), np.float32))


class ContiguousStreams(BatchPlan):
    """The whole text as `batch_size` contiguous streams, read side by side in windows of T, the same in every epoch.

    Row b of a batch goes on where row b of the batch before it ended, so that the state can be carried from one to the next.
    """

    def __init__(self, stream: TokenStream, *, context_length: int, batch_size: int, last: bool) -> None:
        self.ids = stream.ids
        self.context_length, self.batch_size, self.last = context_length, batch_size, last
        self.length = -(-stream.num_targets // batch_size)  # predicted tokens of each stream
        left = np.clip(stream.num_targets - np.arange(batch_size) * self.length, 0, self.length)  # (B,)
        self.num_targets = int((left // context_length).sum()) if last else stream.num_targets

    @property
    def num_steps(self) -> int:
        return -(-self.length // self.context_length)

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        starts = np.arange(first, first + count) * self.context_length
        within = starts[:, None, None] + np.arange(self.context_length + 1)  # (K, 1, T + 1)
        places = np.arange(self.batch_size)[:, None] * self.length + within  # (K, B, T + 1)
        ids = self.ids[np.minimum(places, len(self.ids) - 1)].astype(np.int32)
        weighs = (within[..., :-1] < self.length) & (places[..., :-1] < len(self.ids) - 1)
        if self.last:
            return Batch(ids[..., :-1], ids[..., -1], weighs[..., -1].astype(np.float32))
        return Batch(ids[..., :-1], ids[..., 1:], weighs.astype(np.float32))


def shuffled(places: Indices, count: int, *, key: tuple[int, ...]) -> Indices:
    """Send places of range(count) to places of a random permutation of range(count), without holding the permutation.

    A Feistel network permutes the next power of four; places that fall outside the range walk on until they are inside
    (Black and Rogaway 2002). Reads `places`, (B,), and returns an array of the same shape; `key` seeds the permutation.
    """
    half = max(1, (max(count - 1, 1).bit_length() + 1) // 2)
    keys = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64).astype(np.uint64)
    values = _feistel(places.astype(np.uint64), half, keys)
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
    """Scramble 64-bit values (the finaliser of splitmix64, Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
