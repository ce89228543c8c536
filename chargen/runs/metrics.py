"""Write and read metrics.csv: the figures of each epoch of a run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chargen.runs.directory import RunDirectory
from chargen.runs.tables import damaged, read_table, write_table

REQUIRED = ("epoch", "cross_entropy", "learning_rate")
VALIDATION = "validation_cross_entropy"  # empty, or no column at all, where nothing was held out


KERAS_NAMES = {"loss": "cross_entropy", "val_loss": VALIDATION, "val_accuracy": "validation_accuracy"}


def with_keras_names(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of an epoch with the losses also under Keras's names."""
    return {**row, **{name: row[ours] for name, ours in KERAS_NAMES.items() if ours in row}}


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


def write_metrics(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write all epochs so far, a row for each; the first row's keys are the columns. Raises OSError."""
    write_table(path, rows)


def read_histories(runs: Sequence[RunDirectory]) -> list[History]:
    """Read the history of every run; runs with the same name are named by their paths.

    Raises RunError for a metrics.csv that is missing or damaged; the message names the file and the line.
    """
    names = [run.path.resolve().name for run in runs]
    return [
        read_history(run.metrics, name=name if names.count(name) == 1 else str(run.path))
        for run, name in zip(runs, names, strict=True)
    ]


def read_history(path: Path, *, name: str) -> History:
    """Read a metrics.csv. Raises RunError if it is missing or damaged."""
    rows: list[dict[str, Any]] = []
    epochs: list[Epoch] = []
    for line, cells in read_table(path, required=REQUIRED):
        rows.append({column: _number(path, line, column, cell) for column, cell in cells.items()})
        epochs.append(_epoch(path, line, rows[-1], after=epochs[-1].epoch if epochs else 0))
    if not epochs:
        raise damaged(path, 1, "it has no epoch")
    return History(name=name, epochs=tuple(epochs), rows=tuple(rows))


def _number(path: Path, line: int, column: str, cell: str) -> int | float | None:
    """Return a cell's number, None if it is empty; an int if it has no decimal point."""
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
    """Check the figures of a row and return its epoch; `after` is the epoch of the row before."""
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
    """Return the cost of spelling unknown words, in nats a token, which is in a row's bits but not in its cross-entropies."""
    bits = row.get("bits_per_character") if characters != 1 else None  # a token that is a character is never unknown
    monitored = row["cross_entropy"] if row.get(VALIDATION) is None else row[VALIDATION]
    return 0.0 if bits is None else max(0.0, bits * math.log(2) * characters - monitored)
