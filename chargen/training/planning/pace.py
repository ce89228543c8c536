"""Check that a training keeps to its time."""

import time
from collections.abc import Callable
from typing import final

SHARE_BEFORE_JUDGING = 0.05  # of the work; before it, one slow moment would weigh too much


@final
class Pace:
    """Tells how much work to leave out so that training ends in time.

    Work is counted in optimizer steps. The speed is the mean after the first execution, which may compile.
    """

    def __init__(self, ends_by: float, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """End at a time of `clock`, in seconds."""
        self._ends_by, self._clock = ends_by, clock
        self._began: float | None = None
        self._done = 0.0

    def did(self, work: float) -> None:
        """Count work that is done."""
        if self._began is None:
            self._began = self._clock()
        else:
            self._done += work

    def too_much(self, left: float) -> int:
        """Return how many steps of the remaining work do not fit into the time."""
        now = self._clock()
        if now >= self._ends_by:
            return int(left)
        if self._began is None or not self._done or self._done < SHARE_BEFORE_JUDGING * (self._done + left):
            return 0
        fitting = (self._ends_by - now) * self._done / (now - self._began)
        return max(0, int(left - fitting))
