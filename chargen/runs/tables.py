"""Read and write tables of numbers, the .csv files of a run."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chargen.errors import RunError
from chargen.files import write_atomically


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a whole table; the first row's keys are its columns. Raises OSError."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def read_table(path: Path, *, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return each line's number, counted from 1 with the header's, and its cells by column.

    Raises RunError for a file that is missing, is no table, or lacks a required column; the message names the line.
    """
    header, *lines = _read_cells(path)
    missing = [column for column in required if column not in header]
    if missing:
        raise damaged(path, 1, f"there is no column {missing[0]}")
    if len(set(header)) < len(header):
        raise damaged(path, 1, "two columns have the same name")
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(header):
            raise damaged(path, number, f"{len(cells)} cells, expected {len(header)}")
    return [(number, dict(zip(header, cells, strict=True))) for number, cells in enumerate(lines, start=2)]


def _read_cells(path: Path) -> list[list[str]]:
    """Return the cells of every line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        raise RunError(f"{path} does not exist", hint="is it a run, and has it finished an epoch?") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} is damaged: it is not a table of numbers") from error
    return lines or [[]]


def damaged(path: Path, line: int, reason: str) -> RunError:
    """Return the error for a damaged line of a table."""
    return RunError(f"{path} is damaged at line {line}: {reason}")
