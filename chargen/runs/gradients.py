"""Write and read gradients.csv: where gradients vanish or explode in a run, and where units are stuck."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chargen.runs.curves import Curve, Panel
from chargen.runs.tables import damaged, read_table, write_table

FIGURES = {
    "gradient_norm": "gradient norm",
    "saturation": "saturated gates and units",
    "reach": "gradient at the first step",
}
COLUMNS = ("epoch", "layer", *FIGURES)


def write_gradients(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of all epochs so far, one for each layer and epoch, with the columns in `COLUMNS`. Raises OSError."""
    write_table(path, rows)


def read_gradient_panels(path: Path) -> dict[str, Panel]:
    """Return a panel for each column of figures, with a curve for each layer; nothing if there is no file.

    Figures that are not finite are left out. Raises RunError for a damaged file.
    """
    if not path.is_file():
        return {}
    rows = [_row(path, line, cells) for line, cells in read_table(path, required=COLUMNS)]
    layers = sorted({layer for _, layer, _ in rows}, key=_in_order)
    panels = {}
    for column, title in FIGURES.items():
        curves = [_curve(layer, place, column, rows) for place, layer in enumerate(layers)]
        panels[column] = Panel(title=title, curves=tuple(curve for curve in curves if curve.values))
    return {column: panel for column, panel in panels.items() if panel.curves}


Row = tuple[int, str, dict[str, float]]


def _row(path: Path, line: int, cells: Mapping[str, str]) -> Row:
    try:
        epoch = int(float(cells["epoch"]))
        return epoch, cells["layer"], {column: float(cells[column]) for column in FIGURES}
    except (ValueError, OverflowError):
        raise damaged(path, line, "a cell is not a number") from None


def _curve(layer: str, place: int, column: str, rows: Sequence[Row]) -> Curve:
    points = [(epoch, figures[column]) for epoch, name, figures in rows if name == layer and math.isfinite(figures[column])]
    return Curve(
        label=_shown(layer),
        run=place,
        epochs=tuple(epoch for epoch, _ in points),
        values=tuple(value for _, value in points),
    )


def _shown(layer: str) -> str:
    """Return the name of a layer for people, such as "layer 1" for recurrent.0."""
    kind, _, number = layer.partition(".")
    return f"layer {int(number) + 1}" if kind == "recurrent" and re.fullmatch("[0-9]{1,4}", number) else layer


def _in_order(layer: str) -> tuple[int, str]:
    return (len(layer), layer)  # recurrent.2 before recurrent.10
