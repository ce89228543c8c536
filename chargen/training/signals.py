"""Ctrl-C and SIGTERM while a network learns: the step under way is finished, then everything is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TrainingInterrupted(Exception):  # noqa: N818
    """A signal asked training to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number


class RequestedSignal:
    """The first SIGINT or SIGTERM that came; the second one acts at once."""

    def __init__(self) -> None:
        self._number: int | None = None

    def check(self) -> None:
        """Raise TrainingInterrupted if a signal came."""
        if self._number is not None:
            raise TrainingInterrupted(self._number)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal."""
        if self._number is not None:
            raise SystemExit(128 + number)
        self._number = number


@contextmanager
def deferred_signals() -> Iterator[RequestedSignal]:
    """Hold the first Ctrl-C or SIGTERM back within, for the step that is under way to finish."""
    requested = RequestedSignal()
    previous = {number: signal.signal(number, requested.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
