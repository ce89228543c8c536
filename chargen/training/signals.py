"""Ctrl-C and SIGTERM while a network learns: the step under way is finished, then everything is saved."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 4.0  # for the step under way; compiling a large network can take longer, and cannot be interrupted


class TrainingInterrupted(Exception):  # noqa: N818
    """A signal asked training to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number


class RequestedSignal:
    """The first SIGINT or SIGTERM that came; the second one acts at once."""

    def __init__(self) -> None:
        self._number: int | None = None
        self.noticed = threading.Event()

    def check(self) -> None:
        """Raise TrainingInterrupted if a signal came."""
        if self._number is not None:
            self.noticed.set()
            raise TrainingInterrupted(self._number)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal."""
        if self._number is not None:
            raise SystemExit(128 + number)
        self._number = number


@contextmanager
def deferred_signals() -> Iterator[RequestedSignal]:
    """Hold the first Ctrl-C or SIGTERM back within, for the step that is under way to finish.

    A step that takes too long is not waited for: the process ends, and what is lost is what came after the last checkpoint.
    """
    requested = RequestedSignal()
    previous = {number: signal.signal(number, requested.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, requested.noticed), daemon=True).start()
    try:
        yield requested
    finally:
        signal.set_wakeup_fd(wakeup)
        requested.noticed.set()
        os.close(writing)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _watch(reading: int, noticed: threading.Event) -> None:
    """End the process if a signal is not noticed in time: Python's own handlers wait for the compiled code that is running."""
    number = os.read(reading, 1)
    os.close(reading)
    if number and not noticed.wait(GRACE_SECONDS):
        line = b"chargen: interrupted in a long step; chargen train --resume goes on from the last checkpoint\n"
        os.write(2, line)
        os._exit(128 + number[0])
