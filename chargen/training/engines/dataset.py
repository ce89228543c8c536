"""Read the batches of a plan in stacks, one stack for each execution."""

from concurrent.futures import Future, ThreadPoolExecutor

from chargen.corpus.windows import Batch, BatchPlan


class Executions:
    """Stacks the batches of a plan, several at a time; a thread makes the next stack during training.

    With `same_epoch` every epoch has the batches of the first, for validation.
    """

    def __init__(self, plan: BatchPlan, *, steps: int, same_epoch: bool = False) -> None:
        self._plan, self._steps, self._same_epoch = plan, steps, same_epoch
        self.num_steps = plan.num_steps
        self._maker = ThreadPoolExecutor(1)
        self._ahead: tuple[tuple[int, int], Future[Batch]] | None = None

    def take(self, epoch: int, first: int) -> Batch:
        """Return the batches of the steps from `first` on, (K, ...), for one execution or the rest of the epoch."""
        made = self._ahead[1].result() if self._ahead else None  # always awaited: the text has only one reader at a time
        if made is None or self._ahead is None or self._ahead[0] != (epoch, first):
            made = self._make(epoch, first)
        after = first + len(made.inputs)
        following = (epoch, after) if after < self._plan.num_steps else (epoch + 1, 0)
        self._ahead = (following, self._maker.submit(self._make, *following))
        return made

    def _make(self, epoch: int, first: int) -> Batch:
        count = min(self._steps, self._plan.num_steps - first)
        return self._plan.batches(0 if self._same_epoch else epoch, first, count)
