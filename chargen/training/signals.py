"""Handle Ctrl-C and SIGTERM in training: finish the current step, then save everything."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from chargen.training.devices.ranks import ALONE, Ranks

GRACE_SECONDS = 4.0  # for the step under way; compiling a large network can take longer, and cannot be interrupted
TOGETHER_SECONDS = 60.0  # the same, of several processes: if one leaves in a step, the others cannot write a checkpoint

_patient: ContextVar[bool] = ContextVar("patient", default=False)
_late: ContextVar[list[int] | None] = ContextVar("late", default=None)


class TrainingInterrupted(Exception):  # noqa: N818
    """A signal asked training to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number


class RequestedSignal:
    """Remembers the first SIGINT or SIGTERM; the second one acts at once."""

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self._ranks = ranks
        self._number: int | None = None
        self.noticed = threading.Event()
        self.handlers: dict[int, Any] = {}  # those that were installed before

    def check(self) -> None:
        """Raise TrainingInterrupted if a signal came, to this process or another that trains along."""
        number = self._ranks.highest(self._number or 0)
        if number:
            self.noticed.set()
            raise TrainingInterrupted(number)

    def note_late(self) -> None:
        """Add a signal that came after the last check to the list of `late_signals`."""
        late = _late.get()
        if late is not None and self._number is not None:
            late.append(self._number)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal; pass the second to the handler that was installed before."""
        if self._number is None:
            self._number = number
            return
        signal.signal(number, self.handlers[number])
        signal.raise_signal(number)


@contextmanager
def unlimited_grace() -> Iterator[None]:
    """Never end the process within for a step that takes too long: the process belongs to the caller."""
    token = _patient.set(True)
    try:
        yield
    finally:
        _patient.reset(token)


@contextmanager
def late_signals() -> Iterator[list[int]]:
    """Yield a list of the signals that come within too late to end a training, which has just finished."""
    late: list[int] = []
    token = _late.set(late)
    try:
        yield late
    finally:
        _late.reset(token)


@contextmanager
def deferred_signals(ranks: Ranks = ALONE) -> Iterator[RequestedSignal]:
    """Defer the first Ctrl-C or SIGTERM within until the current step is finished.

    If the step takes longer than `GRACE_SECONDS`, the process ends and the steps since the last checkpoint are lost, unless
    within `unlimited_grace`. Several ranks have `TOGETHER_SECONDS`, and ignore further signals once one ends them all. Only
    the main thread receives signals, so in another thread this does nothing.
    """
    requested = RequestedSignal(ranks)
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        requested.handlers[number] = signal.signal(number, requested.handle)
    try:
        if _patient.get():
            yield requested
        else:
            with _watched(requested.noticed, GRACE_SECONDS if ranks.count == 1 else TOGETHER_SECONDS):
                yield requested
        requested.note_late()
    except TrainingInterrupted:
        if ranks.count > 1:
            requested.handlers = dict.fromkeys(requested.handlers, signal.SIG_IGN)
        raise
    finally:
        for installed, handler in requested.handlers.items():
            signal.signal(installed, handler)


@contextmanager
def _watched(noticed: threading.Event, seconds: float) -> Iterator[None]:
    """End the process if a signal within is not noticed in time."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, noticed, seconds), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        noticed.set()
        os.close(writing)


def _watch(reading: int, noticed: threading.Event, seconds: float) -> None:
    """End the process if a signal is not noticed in time: Python's handlers cannot interrupt compiled code."""
    with open(reading, "rb", buffering=0) as signals:
        number = signals.read(1)
        if number and not noticed.wait(seconds):
            line = b"chargen: interrupted during a long step; chargen train --resume continues from the last checkpoint\n"
            os.write(2, line)
            os._exit(128 + number[0])
        while signals.read(1):  # a second signal must find the pipe open, or Python prints a warning
            pass
