"""Define options and progress of the commands that measure models, and set NumPy up for single texts."""

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
    help="Tokens of a block; each block is read from the zero state.",
)


def use_one_thread() -> None:
    """Let NumPy multiply in one thread; to be called before it is imported.

    The products of one text have one row: two threads gain little on them, and where others use the cores too they mostly wait
    for each other.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class ProgressBars:
    """Shows on stderr how far each measurement is, where that is a terminal, and nothing when quiet."""

    def __init__(self, verbosity: int) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._live = self._console.is_terminal and verbosity > 0

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar within; yield what is to be told how much more of the total is done."""
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        if not self._live:
            yield lambda count: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=total)
            yield lambda count: progress.update(task, advance=count)
