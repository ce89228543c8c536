"""Define the options and the progress bars of commands that measure models, and limit NumPy to one thread."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

block_length_option = click.option(
    "--block-length",
    type=click.IntRange(2),
    default=256,
    show_default=True,
    metavar="N",
    help="Tokens of a block; each block is read from a zero state.",
)


def use_one_thread() -> None:
    """Limit NumPy's matrix products to one thread; call this before NumPy is imported.

    The products of a single text have one row: two threads gain little, and wait for each other on a busy machine.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class ProgressBars:
    """Show the progress of each measurement on stderr, if that is a terminal, and nothing if quiet."""

    def __init__(self, verbosity: int) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._live = self._console.is_terminal and verbosity > 0

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a progress bar within the block; yield a function that reports progress."""
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        if not self._live:
            yield lambda count: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=total)
            yield lambda count: progress.update(task, advance=count)
