"""What a person sees on stderr while a network learns."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from chargen.terminal import sanitized
from chargen.training.results import EpochResult

SECONDS_BETWEEN_MOVES = 0.5  # of the bar


class Display:
    """Progress of a training: a live bar on a terminal, plain lines elsewhere, nothing when quiet.

    verbosity: 0 shows nothing, 1 epochs and sample texts, 2 also the plan.
    """

    def __init__(self, console: Console, *, verbosity: int = 1) -> None:
        self._console, self._verbosity = console, verbosity
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._live = console.is_terminal and verbosity > 0
        self._refreshed = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the live bar within, where there is a terminal."""
        if not self._live:
            yield
            return
        with self._progress:
            yield

    def note(self, line: str) -> None:
        """Say one thing that the user should know."""
        if self._verbosity > 0:
            self._print(line)

    def detail(self, line: str) -> None:
        """Say one thing that only a curious user wants to know."""
        if self._verbosity > 1:
            self._print(line)

    def epoch_begins(self, epoch: int, *, epochs: int, steps: int) -> None:
        """Start the bar of an epoch."""
        if self._live:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(f"epoch {epoch}/{epochs}", total=steps, loss="")

    def due(self) -> bool:
        """Tell whether the bar wants to be moved: reading the loss makes training wait, so not at every step."""
        return self._live and time.monotonic() - self._refreshed >= SECONDS_BETWEEN_MOVES

    def step(self, done: int, *, cross_entropy: float) -> None:
        """Move the bar."""
        self._refreshed = time.monotonic()
        if self._task is not None:
            self._progress.update(self._task, completed=done, loss=f"loss {cross_entropy:.3f}")

    def epoch_ends(self, result: EpochResult, *, epochs: int, seconds_left: float) -> None:
        """Print the line of an epoch."""
        validation = result.validation_cross_entropy
        parts = [
            f"epoch {result.epoch:>{len(str(epochs))}}/{epochs}",
            f"loss {result.cross_entropy:.3f}",
            *([f"validation {validation:.3f}"] if validation is not None else []),
            f"{result.bits_per_character:.3f} bits/char",
            f"{result.characters_per_second:,.0f} chars/s",
            f"{timedelta(seconds=round(seconds_left))} left",
        ]
        self.note("  ".join(parts))

    def sample(self, text: str) -> None:
        """Show sample text."""
        if self._verbosity > 0:
            self._print(text)

    def _print(self, text: str) -> None:
        """Print without markup, wrapping or highlighting; to a pipe or a file as it is."""
        if self._console.is_terminal:
            self._console.print(Text(sanitized(text)), soft_wrap=True, highlight=False)
            return
        self._console.file.write(f"{text}\n")
        self._console.file.flush()
