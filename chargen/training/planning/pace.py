"""Spread the schedule of the learning rate over the time of a training.

The schedule has equal parts. How many optimizer steps fit into a part is decided when it begins, from the speed until then and
the time that is left, so that training ends in time, at the end of the schedule, however the speed of the machine changes.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, final

PARTS = 100
REMEMBERED_PARTS = 10  # by which the speed is measured
MOST_SLOWNESS = 4.0  # a process that waits for a GPU does not use the processor, either


class Deadline(NamedTuple):
    """When training must end: at a time of `time.perf_counter`, and after so many optimizer steps at the latest."""

    ends_by: float
    most_steps: int


def even_parts(steps: int) -> tuple[int, ...]:
    """Return the steps of each part of a schedule over so many steps, before any part is known to differ."""
    parts = min(PARTS, steps)
    return (max(1, round(steps / parts)),) * parts


class _Moment(NamedTuple):
    """The steps so far, the seconds that they took, and the two clocks."""

    num_steps: int
    step_seconds: float
    seconds: float
    cpu_seconds: float


@final
class Pace:
    """Decides how many steps each part of the schedule takes, or repeats what another training has decided.

    clock, cpu_clock: seconds, and seconds that this process has spent on the processor.

    Steps are counted from the beginning of the training. The schedule advances as many positions in each part as its first part
    has steps.
    """

    def __init__(
        self,
        parts: Sequence[int],
        *,
        deadline: Deadline | None,
        steps_per_epoch: int,
        epoch_end_steps: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        """Start with planned parts, which are taken as they are if there is no deadline.

        epoch_end_steps: how long the end of an epoch (validation, sample text) takes, in steps, until it is measured.
        """
        self._planned, self._deadline, self._clock, self._cpu_clock = tuple(parts), deadline, clock, cpu_clock
        self._steps_per_epoch, self._epoch_end_steps = steps_per_epoch, epoch_end_steps
        self._epoch_end_seconds: float | None = None
        self._seconds_after, self._slowness = 0.0, 1.0
        self._decided = [self._planned[0]]
        self._num_steps, self._seconds, self._since, self._step_seconds = 0, 0.0, clock(), 0.0
        self._times = deque([_Moment(0, 0.0, clock(), cpu_clock())], REMEMBERED_PARTS)

    @property
    def ended(self) -> bool:
        """Whether the schedule is at its end."""
        return len(self._decided) == len(self._planned) and self._num_steps >= sum(self._decided)

    @property
    def parts(self) -> tuple[int, ...]:
        """The steps of each part: those that are decided, then those that are planned."""
        return (*self._decided, *self._planned[len(self._decided) :])

    @property
    def seconds_left(self) -> float | None:
        """Seconds until training must end, None without a deadline."""
        return None if self._deadline is None else self._deadline.ends_by - self._clock()

    def begin_epoch(self) -> None:
        """Start the clock of the steps of an epoch; the time since the last step went by at the end of the epoch before."""
        now = self._clock()
        if self._seconds:
            self._epoch_end_seconds = now - self._since
        self._since = now

    def reserve(self, seconds: float) -> None:
        """Leave so many seconds for what comes after training, more where other processes take much of the processor."""
        self._seconds_after = seconds

    def did(self, steps: int) -> int:
        """Count steps that were taken, and return by how many positions to move the schedule besides."""
        now = self._clock()
        self._seconds, self._since, self._num_steps = self._seconds + now - self._since, now, self._num_steps + steps
        moved = 0
        if self._num_steps >= sum(self._decided):
            self._measure()
        while self._num_steps >= sum(self._decided) and len(self._decided) < len(self._planned):
            moved += self._planned[0] - self._decided[-1]
            self._decided.append(self._next_part(now))
        return moved + (self._planned[0] - self._decided[-1] if self.ended else 0)

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        most = None if self._deadline is None else self._deadline.most_steps
        return {"parts": self._decided, "num_steps": self._num_steps, "seconds_left": self.seconds_left, "most_steps": most}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Restore the steps that `facts` returned."""
        self._decided, self._num_steps, self._since = list(facts["parts"]), facts["num_steps"], self._clock()
        self._times = deque([_Moment(self._num_steps, 0.0, self._clock(), self._cpu_clock())], REMEMBERED_PARTS)

    def _measure(self) -> None:
        """Measure the speed of the last parts, and how much of the processor they got."""
        first, last = self._times[0], _Moment(self._num_steps, self._seconds, self._clock(), self._cpu_clock())
        self._step_seconds = (last.step_seconds - first.step_seconds) / (last.num_steps - first.num_steps)
        cpu_seconds = max(last.cpu_seconds - first.cpu_seconds, 1e-9)
        self._slowness = min(max(1.0, (last.seconds - first.seconds) / cpu_seconds), MOST_SLOWNESS)
        self._times.append(last)

    def _next_part(self, now: float) -> int:
        """Return how many steps the next part takes: its share of those that fit into the time that is left."""
        number, begins = len(self._decided), sum(self._decided)
        if self._deadline is None:
            return self._planned[number]
        fitting = self._num_steps + self._fitting(self._deadline, now) - begins
        return max(0, round(fitting / (len(self._planned) - number)))

    def _fitting(self, deadline: Deadline, now: float) -> float:
        """Return how many steps fit into the time that is left, with the ends of their epochs."""
        step, per_epoch = self._step_seconds, self._steps_per_epoch
        epoch_end = self._epoch_end_steps * step if self._epoch_end_seconds is None else self._epoch_end_seconds
        left = deadline.ends_by - now - epoch_end - self._seconds_after * self._slowness
        done = self._num_steps % per_epoch
        epochs, rest = divmod(max(0.0, left + done * step), per_epoch * step + epoch_end)
        fitting = epochs * per_epoch + min(rest / step, per_epoch) - done
        return max(0.0, min(fitting, deadline.most_steps - self._num_steps))
