"""Draw tokens at points of a plane, as SVG and as text."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from chargen.pages.page import escaped

SIZE = 1000  # units of the picture's side
MARGIN = 40


def draw_scatter(names: Sequence[str], points: npt.NDArray[np.float64], *, title: str) -> str:
    """Return a picture with each name at its point, (N, 2) from -1 to 1."""
    half = SIZE / 2 - MARGIN
    labels = [
        f'<text x="{SIZE / 2 + half * x:.1f}" y="{SIZE / 2 - half * y:.1f}">{escaped(name)}</text>'
        for name, (x, y) in zip(names, points.tolist(), strict=True)
    ]
    described = escaped(f"{title}: {len(names)} tokens by the first two principal components of their vectors")
    return "\n".join(
        [f'<svg class="scatter" role="img" aria-label="{described}" viewBox="0 0 {SIZE} {SIZE}">', *labels, "</svg>"]
    )


def scatter_lines(names: Sequence[str], points: npt.NDArray[np.float64], *, width: int, height: int) -> list[str]:
    """Return lines of text with each name near its point, (N, 2) from -1 to 1; of names at one place the first is shown."""
    rows = [[" "] * width for _ in range(height)]
    for name, (x, y) in zip(names, points.tolist(), strict=True):
        row = rows[round((1 - y) / 2 * (height - 1))]
        start = min(round((x + 1) / 2 * (width - 1)), width - len(name))
        if start >= 0 and all(one == " " for one in row[max(start - 1, 0) : start + len(name) + 1]):
            row[start : start + len(name)] = name
    return ["".join(row).rstrip() for row in rows]
