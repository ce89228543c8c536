"""Format tables for stdout, and numbers that come from files of unknown origin."""

from collections.abc import Sequence
from typing import Any

LONGEST_SHOWN = 60  # characters of a name


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as lines, the cells of each column one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def shown(value: Any) -> str:
    """Return what a model file says of itself as a short text that no terminal obeys."""
    return "".join(one if one.isprintable() else "?" for one in str(value)[:LONGEST_SHOWN])
