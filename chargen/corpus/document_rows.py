"""Batch whole documents, each in its own row, for documents that are longer than a window."""

import numpy as np

from chargen.corpus.windows import Batch, BatchPlan, TokenStream


class DocumentRows(BatchPlan):
    """Rows of documents of similar length, read in windows of T tokens, in the same order in every epoch.

    A row reads a document from its first window to its last and carries the state. At the steps in `begins` new documents begin
    with a zero state. Weights are 0 after a document's end and in empty rows.
    """

    def __init__(self, stream: TokenStream, *, context_length: int, batch_size: int) -> None:
        self._stream, self.context_length, self.batch_size = stream, context_length, batch_size
        self.num_targets = stream.num_targets
        self._lengths = stream.lengths
        self._order = np.argsort(self._lengths, kind="stable")
        longest = self._lengths[self._order[batch_size - 1 :: batch_size]]
        if len(self._order) % batch_size:
            longest = np.append(longest, self._lengths[self._order[-1:]])
        self._first_step = np.concatenate([[0], np.cumsum(-(-longest // context_length))])
        self.begins = frozenset(self._first_step[:-1].tolist())

    @property
    def num_steps(self) -> int:
        return int(self._first_step[-1])

    def batches(self, epoch: int, first: int, count: int) -> Batch:
        made = [self._gather(step) for step in range(first, first + count)]
        return Batch(*[np.stack(arrays) for arrays in zip(*made, strict=True)])

    def _gather(self, step: int) -> Batch:
        group = int(np.searchsorted(self._first_step, step, side="right")) - 1
        rows = np.arange(group * self.batch_size, (group + 1) * self.batch_size)
        documents = self._order[np.minimum(rows, len(self._order) - 1)]
        within = (step - self._first_step[group]) * self.context_length + np.arange(self.context_length + 1)
        ends = self._stream.starts[documents] + self._lengths[documents]
        ids = self._stream.ids[np.minimum(self._stream.starts[documents][:, None] + within, ends[:, None])].astype(np.int32)
        weighs = (within[:-1] < self._lengths[documents][:, None]) & (rows < len(self._order))[:, None]
        return Batch(ids[:, :-1], self._stream.as_targets(ids[:, 1:]), weighs.astype(np.float32))
