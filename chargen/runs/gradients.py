"""Read where gradients vanish or explode, and where units are stuck, from a run's gradients.csv."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from chargen.runs.curves import Curve, Panel
from chargen.runs.metrics import damaged, read_cells

FIGURES = {
    "gradient_norm": "gradient norm",
    "saturation": "saturated gates and units",
    "reach": "gradient at the first step",
}
COLUMNS = ("epoch", "layer", *FIGURES)


def read_gradient_panels(path: Path) -> dict[str, Panel]:
    """Return a panel for each column of figures with the curve of each layer; none where there is no file.

    A figure that is not finite is left out. Raises RunError for a file that is damaged.
    """
    if not path.is_file():
        return {}
    header, *lines = read_cells(path)
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise damaged(path, 1, f"there is no column {missing[0]}")
    rows = [_row(path, number, header, cells) for number, cells in enumerate(lines, start=2)]
    layers = sorted({layer for _, layer, _ in rows}, key=_in_order)
    panels = {}
    for column, title in FIGURES.items():
        curves = [_curve(layer, place, column, rows) for place, layer in enumerate(layers)]
        panels[column] = Panel(title=title, curves=tuple(curve for curve in curves if curve.values))
    return {column: panel for column, panel in panels.items() if panel.curves}


Row = tuple[int, str, dict[str, float]]


def _row(path: Path, number: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise damaged(path, number, f"{len(cells)} cells, expected {len(header)}")
    named = dict(zip(header, cells, strict=True))
    try:
        epoch = int(float(named["epoch"]))
        return epoch, named["layer"], {column: float(named[column]) for column in FIGURES}
    except (ValueError, OverflowError):
        raise damaged(path, number, "a cell is not the number that its column holds") from None


def _curve(layer: str, place: int, column: str, rows: Sequence[Row]) -> Curve:
    points = [(epoch, figures[column]) for epoch, name, figures in rows if name == layer and math.isfinite(figures[column])]
    return Curve(
        label=_shown(layer),
        run=place,
        epochs=tuple(epoch for epoch, _ in points),
        values=tuple(value for _, value in points),
    )


def _shown(layer: str) -> str:
    """Return what people call a layer, such as "layer 1" for recurrent.0."""
    kind, _, number = layer.partition(".")
    return f"layer {int(number) + 1}" if kind == "recurrent" and re.fullmatch("[0-9]{1,4}", number) else layer


def _in_order(layer: str) -> tuple[int, str]:
    return (len(layer), layer)  # recurrent.2 before recurrent.10
