"""Turn a table into texts: choose the text column and the label column, and collect the rows."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from chargen.corpus.formats.columns import SPEAKER_COLUMNS, find_label_column, find_named, find_text_column, find_usual
from chargen.corpus.formats.delimited import is_delimited, read_delimited
from chargen.corpus.formats.json_records import is_json_lines, read_json
from chargen.corpus.formats.rows import Rows
from chargen.corpus.formats.table import Row, Table, padded, sample_of
from chargen.corpus.large_text import LargeText, Text
from chargen.corpus.wording import counted, example
from chargen.errors import ConfigError, ReadingError
from chargen.settings.schema import CorpusConfig

SPEAKER = "speaker"  # the values of --label-by
MIN_LINES = 5  # lines of JSON, for a text whose name does not say that it is a table
SHOWN_COLUMNS = 8


class Labels(Enum):
    """Whether to look for a label column that the user did not name."""

    IF_NAMED = auto()
    IF_ANY = auto()
    SPEAKERS = auto()  # the labels are the speakers
    ALWAYS = auto()


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The requested columns, by name; None for a column to find."""

    text: str | None = None
    label: str | None = None
    labels: Labels = Labels.IF_NAMED

    @property
    def requested(self) -> tuple[str, ...]:
        """The given names."""
        return tuple(name for name in (self.text, self.label) if name is not None)


def wanted_columns(config: CorpusConfig, labels: Labels = Labels.IF_NAMED) -> Columns:
    """Return the requested columns; labels: whether to look for a label column without a given name."""
    by_speaker = config.label_by == SPEAKER and labels == Labels.IF_NAMED
    return Columns(text=config.text_column, label=config.label_column, labels=Labels.SPEAKERS if by_speaker else labels)


@dataclass(frozen=True)
class _Chosen:
    """A table and the indices of its columns. `incomplete`, `unreadable`: line numbers of rows that are left out."""

    name: str
    table: Table
    text: int
    label: int | None
    label_required: bool
    incomplete: list[int] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)

    def texts(self) -> Iterator[tuple[str, str | None]]:
        """Yield the text and the label of each complete row."""
        for line, cells in self._rows():
            if cells is None:
                self.unreadable.append(line)
                continue
            cells = _fitted(cells, len(self.table.columns), self.text)
            text, label = cells[self.text], None if self.label is None else cells[self.label].strip() or None
            if text.strip() and (label or not self.label_required):
                yield text, label
            else:
                self.incomplete.append(line)

    def _rows(self) -> Iterator[Row]:
        if self.table.rows_of is None:
            return self.table.rows()
        return self.table.rows_of([index for index in (self.text, self.label) if index is not None])


def table_like(text: Text, *, hinted: bool) -> str | None:
    """Return the format of a text that looks like a table although its name does not say so, else None.

    hinted: whether the user says that it is a table.
    """
    sample = sample_of(text)
    if is_json_lines(sample, least=1 if hinted else MIN_LINES):
        return "jsonl"
    return "csv" if is_delimited(sample, hinted=hinted) else None


def read_table(text: Text, name: str, kind: str, wanted: Columns) -> tuple[Rows, tuple[str, ...]] | None:
    """Return the rows of a table and notes; None if it has no text column and none was requested.

    kind: csv, tsv, json or jsonl. Raises NoRecordsError for JSON without records, ConfigError for a missing column, and
    ReadingError for a table that cannot be read or has no row with a text.
    """
    try:
        return collect_rows(_open(text, kind, wanted.requested), name, wanted, large=isinstance(text, LargeText))
    except csv.Error as error:
        raise ReadingError(f"{name} is not a table: {error}", hint="--format text reads it as plain text") from error


def collect_rows(table: Table, name: str, wanted: Columns, *, large: bool) -> tuple[Rows, tuple[str, ...]] | None:
    """Return the rows of an open table and notes; None and errors as in `read_table`.

    large: whether to store the texts in a file.
    """
    chosen = _choose(table, name, wanted)
    if chosen is None:
        return None
    rows = Rows(chosen.texts(), large=large)
    if not len(rows):
        column = table.columns[chosen.text] if table.columns else "1"
        what = "a text and a label" if chosen.label_required else "a text"
        otherwise = _OR_PLAIN if table.is_text else ""
        raise ReadingError(
            f"{name} has no row with {what}; texts are from the column {column!r}", hint=f"{_ANOTHER}{otherwise}"
        )
    return rows, (_describe(chosen, rows, wanted), *_left_out(chosen, len(rows)))


def no_texts(table: Table, name: str) -> ReadingError:
    """Return the error for a table without a text column that is not plain text either."""
    return ReadingError(f"{_has(table, name)}; no column looks like texts", hint="name one with --text-column")


_OTHER_TEXTS = "--text-column NAME takes another"
_OTHER_COLUMNS = " (--text-column NAME and --label-column NAME take others)"
_ANOTHER = "name another with --text-column"
_OR_PLAIN = ", or read it as plain text with --format text"
_AS_TEXT = ", --format text reads the file as plain text"


def column_names(text: Text, kind: str, requested: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a table's columns. Raises NoRecordsError for JSON without records."""
    return _open(text, kind, requested).columns


def _open(text: Text, kind: str, requested: Sequence[str]) -> Table:
    if kind in ("json", "jsonl"):
        return read_json(text, by_line=kind == "jsonl", requested=requested)
    return read_delimited(text, usual="\t" if kind == "tsv" else ",", requested=requested)


def _choose(table: Table, name: str, wanted: Columns) -> _Chosen | None:
    """Return the table with the requested columns, or None if it has no texts."""
    sample = table.sample()
    text = find_text_column(table.columns, sample) if wanted.text is None else _named(wanted.text, table, name, "--text-column")
    if text is None:
        return None
    if wanted.label is not None:
        named = _named(wanted.label, table, name, "--label-column")
        if named == text:
            raise ConfigError(f"the column {table.columns[text]!r} of {name} is given both for the texts and for the labels")
        return _Chosen(name, table, text, named, label_required=wanted.labels != Labels.IF_ANY)
    label = _find_labels(table, sample, text, wanted.labels)
    required = wanted.labels in (Labels.ALWAYS, Labels.SPEAKERS)
    if required and label is None:
        what = "speakers" if wanted.labels == Labels.SPEAKERS else "labels"
        raise ConfigError(f"{_has(table, name)}; no column looks like {what}", hint="name one with --label-column")
    return _Chosen(name, table, text, label, label_required=required)


def _find_labels(table: Table, sample: Sequence[Sequence[str]], text: int, labels: Labels) -> int | None:
    if labels == Labels.IF_NAMED:
        return None
    if labels == Labels.SPEAKERS:
        return find_usual(SPEAKER_COLUMNS, table.columns, [index for index in range(len(table.columns)) if index != text])
    return find_label_column(table.columns, sample, text=text)


def _named(requested: str, table: Table, name: str, flag: str) -> int:
    index = find_named(requested, table.columns)
    if index is None:
        raise ConfigError(f"{name} has no column {requested}; it has {', '.join(table.columns)}", hint=f"name one with {flag}")
    return index


def _fitted(cells: list[str], width: int, text: int) -> list[str]:
    """Return one cell for each column; extra cells belong to the text, cut at unquoted commas."""
    while len(cells) > width and not cells[-1]:
        cells = cells[:-1]
    extra = max(0, len(cells) - width)
    if extra:
        cells = [*cells[:text], ",".join(cells[text : text + extra + 1]), *cells[text + extra + 1 :]]
    return padded(cells, width)


def _describe(chosen: _Chosen, rows: Rows, wanted: Columns) -> str:
    """Return one line on how a table was read."""
    columns = chosen.table.columns
    labels = f"; labels are from {columns[chosen.label]!r}" if chosen.label is not None else ""
    as_text = _AS_TEXT if chosen.table.is_text else ""
    how = f" ({_OTHER_TEXTS}{as_text})" if wanted.labels == Labels.IF_NAMED else _OTHER_COLUMNS
    return (
        f"{chosen.name}: a table of {counted(len(columns), 'column')}{_listed(chosen.table)}, {counted(len(rows), 'row')}; "
        f"texts are from the column {columns[chosen.text]!r}, such as {example(rows[0])}{labels}{'' if wanted.text else how}"
    )


def _has(table: Table, name: str) -> str:
    return f"{name} has {counted(len(table.columns), 'column')}{_listed(table)}"


def _listed(table: Table) -> str:
    names = [*table.columns[:SHOWN_COLUMNS], *["..."] * (len(table.columns) > SHOWN_COLUMNS)]
    return f" ({', '.join(names)})" if table.headed else " without names"


def _left_out(chosen: _Chosen, kept: int) -> Iterator[str]:
    incomplete, unreadable = chosen.incomplete, chosen.unreadable
    total = kept + len(incomplete) + len(unreadable)
    missing = "no text or no label" if chosen.label_required else "no text"
    for lines, why in ((incomplete, f"have {missing}"), (unreadable, "cannot be read")):
        if lines:
            first = f"the first {'ends on line' if chosen.table.is_text else 'is row'} {lines[0]:,}"
            yield f"{chosen.name}: {len(lines):,} of {total:,} rows {why}, left out ({first})"
