"""Show the progress of a training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from chargen.training.recording.screens import SECONDS_BETWEEN_MOVES, Screen, find_screen

SHOWN_START = 1.0  # seconds


class Display:
    """Shows progress: with a bar on a terminal or in a notebook, as plain lines elsewhere.

    verbosity: 0 shows nothing, 1 epochs and sample texts, 2 also details. screen: by default the cell's output in a notebook,
    otherwise stderr.
    """

    def __init__(self, screen: Screen | None = None, *, verbosity: int = 1) -> None:
        self._screen, self._verbosity = screen or find_screen(), verbosity
        self._live = self._screen.live and verbosity > 0
        self._moved, self._made = 0.0, time.perf_counter()
        self._held: list[Callable[[], None]] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the bar within, if the screen has one."""
        if not self._live:
            yield
            return
        with self._screen.running():
            yield

    @contextmanager
    def held_back(self) -> Iterator[list[Callable[[], None]]]:
        """Show nothing within; yield a list of functions that show later what was held back."""
        held: list[Callable[[], None]] = []
        self._held = held
        try:
            yield held
        finally:
            self._held = None

    def _show(self, show: Callable[[str], None], text: str) -> None:
        if self._held is None:
            show(text)
        else:
            self._held.append(partial(show, text))

    def note(self, line: str) -> None:
        """Show a line that the user should know."""
        if self._verbosity > 0:
            self._show(self._screen.note, line)

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """Show what is being waited for within, on a terminal or in a notebook."""
        if not self._live or self._held is not None:
            yield
            return
        with self._screen.waiting(f"{what} ..."):
            yield

    def ready(self, compiled_in: float) -> None:
        """Show how long the start took, with `compiled_in` seconds of compiling, unless it was short."""
        seconds = time.perf_counter() - self._made
        if seconds >= SHOWN_START:
            self.note(f"ready after {seconds:.1f} s, {compiled_in:.1f} s of it to compile")

    def detail(self, line: str) -> None:
        """Show a line about an epoch, only with --verbose."""
        if self._verbosity > 1:
            self._show(self._screen.epoch, line)

    def epoch_begins(self, epoch: int, *, epochs: int, steps: int) -> None:
        """Start the bar of an epoch."""
        if self._live:
            self._screen.begin(f"epoch {epoch}/{epochs}", steps)

    def due(self) -> bool:
        """Tell whether it is time to move the bar; reading the loss makes training wait, so this is not at every step."""
        return self._live and time.monotonic() - self._moved >= SECONDS_BETWEEN_MOVES

    def step(self, done: int, *, cross_entropy: float) -> None:
        """Move the bar."""
        self._moved = time.monotonic()
        if self._live:
            self._screen.move(done, f"loss {cross_entropy:.3f}")

    def epoch(self, line: str) -> None:
        """Show the line of an epoch."""
        if self._verbosity > 0:
            self._show(self._screen.epoch, line)

    def sample(self, text: str) -> None:
        """Show sample text."""
        if self._verbosity > 0:
            self._show(self._screen.sample, text)
