"""Show progress on a terminal, in a pipe or file, or in a notebook."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol, final

from rich.console import Console
from rich.control import Control
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import ControlType
from rich.text import Text

from chargen.terminal import sanitized

SECONDS_BETWEEN_MOVES = 0.5  # of a bar, or of a notebook's output
LINES_KEPT = 12  # of finished epochs, in a notebook
BAR_WIDTH = 30  # characters, in a notebook


class Screen(Protocol):
    """An output for lines and a progress bar. live: whether it has a bar."""

    live: bool

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the bar within."""

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show what is being waited for within, before there is a bar."""

    def begin(self, title: str, total: int) -> None:
        """Start a new bar."""

    def move(self, done: int, caption: str) -> None:
        """Move the bar."""

    def note(self, text: str) -> None:
        """Show a line that stays."""

    def epoch(self, text: str) -> None:
        """Show a line about an epoch."""

    def sample(self, text: str) -> None:
        """Show sample text."""


@final
class ConsoleScreen:
    """Prints lines: on a terminal above a bar, in a pipe or a file as they are."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.live = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[caption]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        if not self.live:
            yield
            return
        with self._progress:
            yield

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        if not self.live:
            yield
            return
        self._console.print(Text(sanitized(text)), end="\r")
        try:
            yield
        finally:
            self._console.control(Control((ControlType.ERASE_IN_LINE, 2)))

    def begin(self, title: str, total: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(title, total=total, caption="")

    def move(self, done: int, caption: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=done, caption=caption)

    def note(self, text: str) -> None:
        """Print without markup, wrapping or highlighting."""
        if self.live:
            self._console.print(Text(sanitized(text)), soft_wrap=True, highlight=False)
            return
        self._console.file.write(f"{text}\n")
        self._console.file.flush()

    epoch = sample = note


@final
class NotebookScreen:
    """Updates one output of a cell: notes, the last epochs, the bar, the newest sample text.

    A notebook stores every line that is printed in it, and a long training would print too many.
    """

    live = True

    def __init__(self, publish: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a function that shows a text in place of the one before."""
        self._publish, self._clock = publish, clock
        self._published = -SECONDS_BETWEEN_MOVES
        self._before: list[str] = []
        self._after: list[str] = []
        self._epochs: deque[str] = deque(maxlen=LINES_KEPT)
        self._num_epochs = 0
        self._title, self._total = "", 0
        self._bar = ""
        self._sample = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._bar = ""
            self._show()

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        self._bar = text
        self._show()
        with self.running():
            yield

    def begin(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self.move(0, "")

    def move(self, done: int, caption: str) -> None:
        filled = BAR_WIDTH * done // self._total
        self._bar = f"{self._title}  {'█' * filled}{'░' * (BAR_WIDTH - filled)}  {done}/{self._total}  {caption}".rstrip()
        self._show_now_and_then()

    def note(self, text: str) -> None:
        (self._after if self._title else self._before).append(text)
        self._show()

    def epoch(self, text: str) -> None:
        self._epochs.append(text)
        self._num_epochs += 1
        self._show_now_and_then()

    def sample(self, text: str) -> None:
        self._sample = text
        self._show_now_and_then()

    def _show_now_and_then(self) -> None:
        """Update the output, unless it was updated less than `SECONDS_BETWEEN_MOVES` ago."""
        if self._clock() - self._published >= SECONDS_BETWEEN_MOVES:
            self._show()

    def _show(self) -> None:
        self._published = self._clock()
        left_out = self._num_epochs - len(self._epochs)
        lines = [*self._before, *([f"({left_out:,} lines before)"] if left_out else []), *self._epochs, self._bar]
        parts = ["\n".join(filter(None, lines)), self._sample.strip("\n"), "\n".join(self._after)]
        self._publish(sanitized("\n\n".join(filter(None, parts))))


def notebook_shell() -> Any:
    """Return the shell if this process is a notebook kernel, or None.

    IPython is not imported: a kernel has loaded it. IPython in a terminal is not a kernel.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell if getattr(shell, "kernel", None) is not None else None


def cell_output() -> Callable[[str], None]:
    """Return a function that shows a text in the running cell, in place of the text before."""
    display = import_module("IPython.display").display
    handle: Any = None

    def publish(text: str) -> None:
        nonlocal handle
        shown = {"text/plain": text}
        if handle is None:
            handle = display(shown, raw=True, display_id=True)
        else:
            handle.update(shown, raw=True)

    return publish


def find_screen() -> Screen:
    """Return the cell's output in a notebook, stderr elsewhere."""
    return NotebookScreen(cell_output()) if notebook_shell() else ConsoleScreen(Console(stderr=True))
