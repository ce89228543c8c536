"""Read a text for what it holds, as its name or the user tells: the rows of a table."""

from dataclasses import replace
from pathlib import PurePath

from chargen.config import CorpusConfig
from chargen.corpus.formats.columns import find_named
from chargen.corpus.formats.containers import plain_name
from chargen.corpus.formats.json_records import NoRecordsError
from chargen.corpus.formats.tables import Columns, Labels, column_names, read_table, table_like
from chargen.corpus.reading import SourceText
from chargen.errors import ReadingError

FORMATS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"}
PLAIN = "text"


def formatted(source: SourceText, config: CorpusConfig, *, labels: Labels = Labels.IF_NAMED) -> SourceText:
    """Return a text with the rows that it holds, if it is a table; its text is then that of the rows.

    labels: whether a column of labels that nobody named is looked for. Raises ConfigError for a column that the table
    does not have, and CorpusError for a table that cannot be read.
    """
    wanted = Columns(text=config.text_column, label=config.label_column, labels=labels)
    asked = bool(wanted.asked) or labels == Labels.ALWAYS
    kind = FORMATS.get(PurePath(plain_name(source.name)).suffix.lower()) if config.format == "auto" else config.format
    if kind == PLAIN:
        return source
    if kind is None:
        kind = table_like(source.text, hinted=asked)
        if kind is None:
            return source
        if not asked:
            return _noted(source, _looks_like(source, kind))
        if any(find_named(name, column_names(source.text, kind, wanted.asked)) is None for name in wanted.asked):
            return source
    try:
        found = read_table(source.text, source.name, kind, wanted)
    except NoRecordsError as error:
        if asked or config.format != "auto":
            raise ReadingError(f"{source.name} is not a table: {error}", hint="--format text reads it as plain text") from error
        return _noted(source, f"{source.name}: {error}, read as plain text")
    if found is None:
        return _noted(source, f"{source.name}: a table without a column of texts, read as plain text (--text-column NAME)")
    rows, notes = found
    return replace(_noted(source, *notes), text=rows.text, rows=rows)


def _noted(source: SourceText, *notes: str) -> SourceText:
    return replace(source, notes=(*source.notes, *notes))


def _looks_like(source: SourceText, kind: str) -> str:
    columns = ", ".join(column_names(source.text, kind, ()))
    return f"{source.name} looks like a table ({columns}), read as plain text (--format {kind} reads a text from each row)"
