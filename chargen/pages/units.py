"""Build the page of `chargen units`: a text coloured by the activations of a selected unit."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from chargen.pages.page import escaped, make_page, packed
from chargen.pages.surprise import LineOfText

Doubles = npt.NDArray[np.float64]
HALF_SCALE = 127  # the byte of activation 1 minus the byte of activation 0


def units_page(
    *,
    title: str,
    run: str,
    pieces: Sequence[str],
    lines: Sequence[LineOfText],
    units: Sequence[tuple[int, int, str]],
    values: npt.NDArray[np.float32],
    correlations: Mapping[str, Doubles],
    chosen: int | None,
    most_bytes: int,
) -> str:
    """Return the page of a text.

    pieces: the text of each token, N of them; units: layer, unit and state of each, U of them; values: (U, N), from -1 to 1;
    correlations: (U,) with each property; chosen: the unit to show first, by default the one with the largest correlation;
    most_bytes: of activations in the page, which holds the units with the largest correlations.
    """
    kept = _kept(values, correlations, chosen)[: max(1, most_bytes // len(pieces))]
    shown = "all" if len(kept) == len(units) else f"the {len(kept):,} best"
    orders = "".join(f"<option>{escaped(one)}</option>" for one in [*correlations, "number"])
    parts = [
        f"<header>\n<h1>{escaped(title)}</h1>",
        f"<p>What hidden units of <b>{escaped(run)}</b> do while it reads:  {sum(map(len, pieces)):,} characters,",
        f"{shown} of {len(units):,} states of units.</p>",
        _LEGEND,
        f'<label>Order <select id="order">{orders}</select></label>',
        _LIST,
        *(_line(line, pieces) for line in lines),
        _PANEL,
    ]
    data = {
        "units": [list(units[number]) for number in kept],
        "properties": list(correlations),
        "correlations": [[round(float(one[number]), 4) for one in correlations.values()] for number in kept],
        "length": len(pieces),
        "values": packed(np.rint((values[kept] + 1) * HALF_SCALE).astype(np.uint8).reshape(-1)),
    }
    return make_page("units", title=f"{title}: units", body="\n".join(parts), data=data)


_LABELS = ["-1", "", "", "", "", "0", "", "", "", "", "+1"]
_LEGEND = f"""<p class="legend">{"".join(f'<i class="a{level}">{label}</i>' for level, label in enumerate(_LABELS))}</p>
</header>
<div id="columns">
<nav aria-label="Units">"""
_LIST = """<label><input type="checkbox" id="span"> span colours</label>
<ul id="units" role="listbox" tabindex="0" aria-label="Units; arrow keys go through them"></ul>
</nav>
<main id="text" tabindex="0" aria-label="The text; arrow keys go from character to character">"""
_PANEL = """</main>
</div>
<aside id="panel" aria-live="polite">Pick a unit; point at a character to see what the units do there.</aside>"""


def _kept(values: npt.NDArray[np.float32], correlations: Mapping[str, Doubles], chosen: int | None) -> npt.NDArray[np.intp]:
    """Return the chosen unit, then the units with the largest correlation, or the largest variance."""
    best = np.max(np.abs([*correlations.values()]), axis=0) if correlations else values.std(axis=1)
    if chosen is not None:
        best[chosen] = np.inf
    return np.argsort(-best, kind="stable")


def _line(line: LineOfText, pieces: Sequence[str]) -> str:
    cells = (f"<i>{escaped(pieces[position].replace(chr(10), ' '))}</i>" for position in range(line.start, line.stop))
    return f"<p>{''.join(cells)}</p>"
