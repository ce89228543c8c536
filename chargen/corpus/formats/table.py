"""Rows of named columns, whatever kind of file they come from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from chargen.corpus.large_text import Text, text_blocks

SAMPLE_ROWS = 1000  # from which delimiter, header and columns are found
SAMPLE_CHARACTERS = 1 << 20
PIECE_CHARACTERS = 1 << 16

# The number of the line that a row ends on, and its cells, or None where the line cannot be read.
Row = tuple[int, list[str] | None]


@dataclass(frozen=True)
class Table:
    """A table. `rows` begins at the first row each time it is called; `headed`: whether the file names its columns.

    is_text: whether the file is text, so that its rows lie on lines. rows_of: returns the rows with the cells of some columns
    alone, the others empty, where that is faster.
    """

    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    headed: bool = True
    is_text: bool = True
    rows_of: Callable[[Sequence[int]], Iterator[Row]] | None = None

    def sample(self) -> list[list[str]]:
        """Return the cells of the first rows that can be read."""
        return [cells for _, cells in islice(self.rows(), SAMPLE_ROWS) if cells is not None]


def lines_of(text: Text) -> Iterator[str]:
    r"""Yield the lines of a text with their line ends, as csv wants them.

    >>> list(lines_of("one\ntwo"))
    ['one\n', 'two']
    """
    begun: list[str] = []
    for block in _pieces(text):
        if "\r" in block:  # which only texts of bytes still have
            block = block.replace("\r\n", "\n").replace("\r", "\n")
        first, *others = block.split("\n")
        begun.append(first)
        for line in others:
            yield "".join(begun) + "\n"
            begun = [line]
    if last := "".join(begun):
        yield last


def _pieces(text: Text) -> Iterator[str]:
    """Yield a text in pieces that are small, so that its first lines cost no more than they have to."""
    for block in text_blocks(text):
        yield from (block[start : start + PIECE_CHARACTERS] for start in range(0, len(block), PIECE_CHARACTERS))


def sample_of(text: Text) -> list[str]:
    """Return the first lines of a text: `SAMPLE_ROWS`, or fewer where they are long."""
    lines: list[str] = []
    size = 0
    for line in islice(lines_of(text), SAMPLE_ROWS):
        lines.append(line)
        size += len(line)
        if size > SAMPLE_CHARACTERS:
            break
    return lines


def numbered(count: int) -> tuple[str, ...]:
    """Return names for columns that have none.

    >>> numbered(3)
    ('1', '2', '3')
    """
    return tuple(map(str, range(1, count + 1)))


def padded(cells: Sequence[str], width: int) -> list[str]:
    """Return cells with empty ones added up to a width."""
    return [*cells, *[""] * (width - len(cells))]
