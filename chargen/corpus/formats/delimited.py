"""Read tables of delimited cells: .csv, .tsv and any text with equally many commas, semicolons, tabs or bars a line."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Literal

from chargen.corpus.formats.columns import is_header, is_usual
from chargen.corpus.formats.table import SAMPLE_ROWS, Row, Table, lines_of, numbered, sample_of
from chargen.corpus.large_text import Text

DELIMITERS = (",", "\t", ";", "|")
LARGEST_CELL = 1 << 26  # characters; a novel may stand in a cell
MIN_EVEN = 0.75  # share of rows with the same number of cells that a delimiter must reach
CERTAINLY_EVEN = 0.95  # the same for a file whose name does not say that it is a table
MIN_ROWS = 5  # the least number in such a file


Quoting = Literal[0, 3]  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE


@dataclass(frozen=True)
class Dialect:
    """The delimiter and the quoting of a table. `even`: the share of the sample's rows that have `width` cells."""

    delimiter: str
    quoting: Quoting
    width: int
    even: float


NO_DELIMITER = "\x1f"  # a control character that does not occur in texts


def read_delimited(text: Text, *, usual: str = ",", requested: Sequence[str] = ()) -> Table:
    """Read a table of delimited cells.

    usual: the preferred delimiter. requested: column names that identify a header. A text without a delimiter is a table of one
    column. Raises csv.Error for cells beyond the limit.
    """
    sample = sample_of(text)
    skipped = 1 if sample and sample[0].strip().casefold() in {f"sep={one}" for one in DELIMITERS} else 0
    dialect = find_dialect(sample[skipped:], usual)
    first = list(islice(_cells(sample, dialect, skipped), 100))
    while dialect.width > 1 and len(first) > 1 and len([cell for cell in first[0][1] if cell]) == 1:
        skipped, first = first[0][0], first[1:]  # a heading above the table
    header = first[0][1] if first else []
    headed = is_header(header, [cells for _, cells in first[1:]], requested)
    columns = tuple(header) if headed else numbered(max(dialect.width, len(header)))
    return Table(columns, partial(_rows, text, dialect, skipped, headed=headed), headed)


def is_delimited(sample: Sequence[str], *, hinted: bool) -> bool:
    """Return whether lines are rows of several cells; unless `hinted`, at least three cells and a header are required."""
    dialect = find_dialect(sample, ",")
    rows = [cells for _, cells in _cells(sample, dialect, 0)]
    if hinted or dialect.width < 3 or dialect.even < CERTAINLY_EVEN:
        return hinted and dialect.width > 1 and len(rows) > 1
    return len(rows) >= MIN_ROWS and is_header(rows[0], rows[1:])


def find_dialect(sample: Sequence[str], usual: str) -> Dialect:
    """Return the dialect in which most rows have the same number of cells; prefer the usual delimiter."""
    order = sorted(DELIMITERS, key=lambda one: one != usual)
    found = [_dialect(sample, delimiter, quoting) for delimiter in order for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)]
    return max([one for one in found if one.width > 1 and one.even >= MIN_EVEN], key=_score, default=_one_column(sample))


def _one_column(sample: Sequence[str]) -> Dialect:
    """Return the dialect of a table of one column; quotation marks of speech belong to the text."""
    try:
        for _ in csv.reader(sample, delimiter=NO_DELIMITER, strict=True):
            pass
        quoting: Quoting = csv.QUOTE_MINIMAL
    except csv.Error as error:
        cut = "unexpected end" in str(error) and len(sample) >= SAMPLE_ROWS
        quoting = csv.QUOTE_MINIMAL if cut else csv.QUOTE_NONE
    return Dialect(NO_DELIMITER, quoting, 1, 1.0)


def _score(dialect: Dialect) -> tuple[float, bool]:
    return round(dialect.even, 1), dialect.quoting == csv.QUOTE_MINIMAL


def _dialect(sample: Sequence[str], delimiter: str, quoting: Quoting) -> Dialect:
    """Return a dialect with the number of cells in the sample's rows; the last row may be incomplete."""
    dialect = Dialect(delimiter, quoting, 0, 0.0)
    try:
        rows = [cells for _, cells in _cells(sample, dialect, 0)]
    except csv.Error:
        return dialect
    if rows and len(rows[0]) > 1 and all(map(is_usual, rows[0])):
        return replace(dialect, width=len(rows[0]), even=1.0)  # commas within their texts may make other rows longer
    widths = Counter(len(cells) for cells in (rows[:-1] if len(rows) > 2 else rows))
    width, count = max(widths.items(), key=lambda item: item[1], default=(0, 0))
    return replace(dialect, width=width, even=count / max(1, widths.total()))


def _rows(text: Text, dialect: Dialect, skipped: int, *, headed: bool) -> Iterator[Row]:
    yield from islice(_cells(lines_of(text), dialect, skipped), int(headed), None)


def _cells(lines: Iterable[str], dialect: Dialect, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line of each row and its cells, without blank lines and the first `skipped` lines."""
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        reader = csv.reader(islice(lines, skipped, None), delimiter=dialect.delimiter, quoting=dialect.quoting)
        for cells in reader:
            if cells:
                yield skipped + reader.line_num, cells
    finally:
        csv.field_size_limit(before)
