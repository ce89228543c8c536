"""Represent tables of named columns from any kind of file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from chargen.corpus.large_text import Text, text_blocks

SAMPLE_ROWS = 1000  # from which the delimiter, the header and the columns are found
SAMPLE_CHARACTERS = 1 << 20
PIECE_CHARACTERS = 1 << 16

# The number of the last line of a row, and its cells; None if the line cannot be read.
Row = tuple[int, list[str] | None]


@dataclass(frozen=True)
class Table:
    """A table of named columns.

    rows: a function that returns an iterator from the first row on. headed: whether the file names its columns. is_text:
    whether the file is text, so that rows have line numbers. rows_of: returns the rows with the cells of some columns only, if
    that is faster; the other cells are empty.
    """

    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    headed: bool = True
    is_text: bool = True
    rows_of: Callable[[Sequence[int]], Iterator[Row]] | None = None

    def sample(self) -> list[list[str]]:
        """Return the cells of the first readable rows."""
        return [cells for _, cells in islice(self.rows(), SAMPLE_ROWS) if cells is not None]


def lines_of(text: Text) -> Iterator[str]:
    r"""Yield the lines of a text with their line ends, as the csv module expects them.

    >>> list(lines_of("one\ntwo"))
    ['one\n', 'two']
    """
    begun: list[str] = []
    for block in _pieces(text):
        if "\r" in block:  # only texts of bytes still have it
            block = block.replace("\r\n", "\n").replace("\r", "\n")
        first, *others = block.split("\n")
        begun.append(first)
        for line in others:
            yield "".join(begun) + "\n"
            begun = [line]
    if last := "".join(begun):
        yield last


def _pieces(text: Text) -> Iterator[str]:
    """Yield a text in small pieces, so that reading its first lines is cheap."""
    for block in text_blocks(text):
        yield from (block[start : start + PIECE_CHARACTERS] for start in range(0, len(block), PIECE_CHARACTERS))


def sample_of(text: Text) -> list[str]:
    """Return the first lines of a text: `SAMPLE_ROWS`, or fewer long ones."""
    lines: list[str] = []
    size = 0
    for line in islice(lines_of(text), SAMPLE_ROWS):
        lines.append(line)
        size += len(line)
        if size > SAMPLE_CHARACTERS:
            break
    return lines


def numbered(count: int) -> tuple[str, ...]:
    """Return names for unnamed columns.

    >>> numbered(3)
    ('1', '2', '3')
    """
    return tuple(map(str, range(1, count + 1)))


def padded(cells: Sequence[str], width: int) -> list[str]:
    """Return cells padded with empty ones to a width."""
    return [*cells, *[""] * (width - len(cells))]
