"""Read tables in JSON: one record a line, a list of records, or an object that contains one."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from chargen.corpus.formats.columns import is_header
from chargen.corpus.formats.table import Row, Table, lines_of, numbered, sample_of
from chargen.corpus.large_text import Text

MAX_DEPTH = 8  # levels searched within a record and around the list of records
SAID = ("content", "text", "value", "body", "message")  # keys for the text of a turn in a conversation
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # half of an emoji that was cut in two


class NoRecordsError(ValueError):
    """JSON without a list of records, or text that is not JSON; the message says which."""


def read_json(text: Text, *, by_line: bool, requested: Sequence[str] = ()) -> Table:
    """Read a table of JSON lines, or of one JSON value. by_line: whether a single line is a record.

    Raises NoRecordsError for other texts.
    """
    sample = sample_of(text)
    if is_json_lines(sample, least=1 if by_line else 2):
        records = [_parsed(line) for line in sample if line.strip()]
        columns = _columns([record for record in records if record is not None])
        return Table(columns, partial(_line_rows, text, columns), headed=columns != ("text",))
    try:
        value = json.loads(str(text).removeprefix("\ufeff"))
    except RecursionError:
        raise NoRecordsError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise NoRecordsError(f"it is not JSON ({error})") from None
    found = _find_records(value)
    if found is None:
        raise NoRecordsError("its JSON has no list of records")
    return _table_of(found, requested)


def is_json_lines(sample: Sequence[str], *, least: int = 2) -> bool:
    """Return whether most of the first lines, at least `least`, hold a JSON object or list each."""
    lines = [line for line in islice(sample, 20) if line.strip()]
    whole = [line for line in lines if isinstance(_parsed(line), dict | list)]
    return len(lines) >= least and 2 * len(whole) >= len(lines) and lines[0].lstrip("\ufeff \t")[:1] in ("{", "[")


def _table_of(records: Sequence[Any], requested: Sequence[str]) -> Table:
    if sum(isinstance(record, list) for record in records) > len(records) / 2:
        rows = [[_cell(value) for value in record] for record in records if isinstance(record, list)]
        width = max(map(len, rows), default=0)
        headed = len(rows) > 1 and is_header(rows[0], rows[1:100], requested)
        columns = tuple(rows[0]) if headed else numbered(width)
        return Table(columns, lambda: iter(list(enumerate(rows, start=1))[int(headed) :]), headed)
    columns = _columns(records)
    return Table(
        columns,
        lambda: ((number, cells_of(record, columns)) for number, record in enumerate(records, start=1)),
        headed=columns != ("text",),
    )


def _line_rows(text: Text, columns: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            record = _parsed(line)
            yield number, None if record is None else cells_of(record, columns)


def _parsed(line: str) -> Any:
    """Return the value of a line, or None if it is not JSON."""
    try:
        return json.loads(line.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None


def _find_records(value: Any, depth: int = 0) -> list[Any] | None:
    """Return the longest list of objects, lists or texts in a value, or the rows of an object of columns."""
    if isinstance(value, list):
        groups = [item for one in value if isinstance(one, dict) and len(one) == 1 for item in one.items()]
        if len(groups) == len(value) and (texts := _grouped_texts(groups)):
            return texts
        return value if value and all(isinstance(one, dict | list | str) for one in value) else None
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return None
    columns = _columns_as_records(value)
    if columns is not None:
        return columns
    inner = [found for one in value.values() if isinstance(one, dict | list) and (found := _find_records(one, depth + 1))]
    if inner and not any(isinstance(found[0], dict) for found in inner) and (texts := _grouped_texts(value.items())):
        return texts
    if inner:
        return max(inner, key=lambda found: (isinstance(found[0], dict), len(found)))
    records = [one for one in value.values() if isinstance(one, dict)]
    alike = len(records) > 1 and len(records) == len(value) and all(one.keys() & records[0].keys() for one in records)
    return records if alike else None


def _grouped_texts(items: Iterable[tuple[str, Any]]) -> list[Any] | None:
    """Return the texts of all lists of texts, labelled with the names of the lists; None for fewer than two lists.

    >>> _grouped_texts([("boys", ["Tom"]), ("girls", ["Ada", "Ida"]), ("source", "a book")])[1:]
    [{'text': 'Ada', 'label': 'girls'}, {'text': 'Ida', 'label': 'girls'}]
    """
    groups = [
        (name, one) for name, one in items if isinstance(one, list) and one and all(isinstance(text, str) for text in one)
    ]
    if len({name for name, _ in groups}) < 2:
        return None
    return [{"text": text, "label": name} for name, texts in groups for text in texts]


def _columns_as_records(value: dict[str, Any]) -> list[Any] | None:
    """Return the rows of an object whose values are columns: lists of equal length, or objects with equal keys."""
    columns = list(value.values())
    if len(columns) > 1 and all(isinstance(one, list) and len(one) == len(columns[0]) for one in columns) and columns[0]:
        if any(isinstance(cell, dict | list) for one in columns for cell in one[:10]):
            return None
        return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if columns and all(isinstance(one, dict) and one and all(key.isdecimal() for key in one) for one in columns):
        return [{name: column.get(key) for name, column in value.items()} for key in columns[0]]
    return None


def _columns(records: Sequence[Any]) -> tuple[str, ...]:
    """Return the dotted names of all values of some records, in order of first occurrence."""
    names: dict[str, None] = {}
    for record in records[:1000]:
        names.update(dict.fromkeys(_flat(record)))
    return tuple(names)


def cells_of(record: Any, columns: Sequence[str]) -> list[str]:
    """Return the values of a record in columns with dotted names, as text."""
    flat = _flat(record)
    return [_cell(flat.get(column)) for column in columns]


def _flat(record: Any, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return the values of a record by dotted name.

    >>> _flat({"id": 1, "tweet": {"text": "Good day"}})
    {'id': 1, 'tweet.text': 'Good day'}
    """
    if not isinstance(record, dict):
        return {prefix.removesuffix(".") or "text": record}
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict) and depth < MAX_DEPTH:
            flat |= _flat(value, f"{prefix}{name}.", depth + 1)
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _decoded(raw: bytes) -> str | None:
    """Return bytes as text, or None if they are not UTF-8."""
    try:
        return None if b"\0" in raw else raw.decode()
    except UnicodeDecodeError:
        return None


def _cell(value: Any, depth: int = 0) -> str:
    r"""Return a value as text: the items of a list one a line, and of items with a role their content.

    >>> _cell([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    'Hi\nHello'
    """
    match value:
        case None:
            return ""
        case str():
            return _HALF_CHARACTER.sub("\ufffd", value.replace("\r\n", "\n").replace("\r", "\n"))
        case bool():
            return str(value).lower()
        case list() | tuple() | dict() if depth > MAX_DEPTH:
            return ""
        case bytes():  # absent from JSON, but possible in Parquet
            return _cell(_decoded(value))
        case list() | tuple():
            return "\n".join(text for one in value if (text := _cell(one, depth + 1)))
        case dict():
            said = next((value[name] for name in SAID if name in value), None)
            return _cell(said, depth + 1)
    return str(value)
