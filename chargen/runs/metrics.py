"""Read a run's metrics.csv: the figures of each epoch."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chargen.errors import RunError
from chargen.runs.directory import RunDirectory

REQUIRED = ("epoch", "cross_entropy", "learning_rate")
VALIDATION = "validation_cross_entropy"  # empty, or no column at all, where nothing was held out


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Figures of one epoch; cross-entropies in nats a character."""

    epoch: int  # counted from 1
    cross_entropy: float
    validation_cross_entropy: float | None
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class History:
    """The epochs of one run, in order."""

    name: str
    epochs: tuple[Epoch, ...]
    rows: tuple[dict[str, Any], ...]  # every column of the file, as numbers; None where a cell is empty


def read_histories(runs: Sequence[RunDirectory]) -> list[History]:
    """Read the history of every run; runs of the same name are told apart by their paths.

    Raises RunError for a metrics.csv that is missing or damaged; the message names the file and the line.
    """
    names = [run.path.resolve().name for run in runs]
    return [
        read_history(run.metrics, name=name if names.count(name) == 1 else str(run.path))
        for run, name in zip(runs, names, strict=True)
    ]


def read_history(path: Path, *, name: str) -> History:
    """Read a metrics.csv. Raises RunError if it is missing or damaged."""
    header, *lines = read_cells(path)
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        raise damaged(path, 1, f"there is no column {missing[0]}")
    if len(set(header)) < len(header):
        raise damaged(path, 1, "two columns have the same name")
    rows: list[dict[str, Any]] = []
    epochs: list[Epoch] = []
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(header):
            raise damaged(path, number, f"{len(cells)} cells, expected {len(header)}")
        rows.append({column: _number(path, number, column, cell) for column, cell in zip(header, cells, strict=True)})
        epochs.append(_epoch(path, number, rows[-1], after=epochs[-1].epoch if epochs else 0))
    if not epochs:
        raise damaged(path, 1, "there is no epoch in it")
    return History(name=name, epochs=tuple(epochs), rows=tuple(rows))


def read_cells(path: Path) -> list[list[str]]:
    """Return the cells of every line of a table, the header's first. Raises RunError for what is missing or no table."""
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


def _number(path: Path, line: int, column: str, cell: str) -> int | float | None:
    """Return a cell's number, None where it is empty; a whole number without a point stays whole."""
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        raise damaged(path, line, f"{column} is {cell[:40]!r}, expected a number") from None
    if not math.isfinite(value):
        raise damaged(path, line, f"{column} is {cell[:40]}, expected a finite number")
    return int(cell) if cell.isdecimal() else value


def _epoch(path: Path, line: int, row: dict[str, Any], *, after: int) -> Epoch:
    """Return one row's epoch, every figure checked; `after` is the epoch of the row before."""
    for column in (*REQUIRED, VALIDATION):
        value = row.get(column)
        if value is None and column in REQUIRED:
            raise damaged(path, line, f"{column} is empty")
        if value is not None and value < 0:
            raise damaged(path, line, f"{column} is {value}, expected 0 or more")
    if type(row["epoch"]) is not int or row["epoch"] <= after:
        raise damaged(path, line, f"epoch is {row['epoch']}, expected a whole number above {after}")
    characters, validation = row.get("characters_per_token") or 1.0, row.get(VALIDATION)
    spelling = _spelling(row, characters)
    return Epoch(
        epoch=row["epoch"],
        cross_entropy=(row["cross_entropy"] + spelling) / characters,
        validation_cross_entropy=None if validation is None else (validation + spelling) / characters,
        learning_rate=float(row["learning_rate"]),
    )


def _spelling(row: dict[str, Any], characters: float) -> float:
    """Return what the spelling of unknown words adds to a row's cross-entropies, in nats a token, 0 where nothing tells."""
    bits = row.get("bits_per_character") if characters != 1 else None  # a token that is a character is never unknown
    monitored = row["cross_entropy"] if row.get(VALIDATION) is None else row[VALIDATION]
    return 0.0 if bits is None else max(0.0, bits * math.log(2) * characters - monitored)


def damaged(path: Path, line: int, reason: str) -> RunError:
    """Return the error that tells what is wrong with a line of a table."""
    return RunError(f"{path} is damaged at line {line}: {reason}")
