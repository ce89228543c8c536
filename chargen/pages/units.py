"""Build the page of `chargen units`: a text coloured by the activations of a selected unit, with a card of the unit."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from chargen.pages.page import escaped, make_page, packed
from chargen.pages.reader import PARTS, LineOfText, reader_markup, text_data

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
    header = (
        f"<header>\n<div><h1>{escaped(title)}</h1>"
        f"<p>What hidden units of <b>{escaped(run)}</b> do while it reads: {sum(map(len, pieces)):,} characters, "
        f"{shown} of {len(units):,} states of units.</p></div>\n</header>"
    )
    body = reader_markup(
        legend=_LEGEND,
        threshold='min="0.15" max="1" step="0.05" value="0.15"',
        listed=_listed([*correlations, "number"]),
        hint="Choose a unit, or point at a character to see what the units do there.",
    )
    data = text_data(pieces, lines) | {
        "units": [list(units[number]) for number in kept],
        "properties": list(correlations),
        "correlations": [[round(float(one[number]), 4) for one in correlations.values()] for number in kept],
        "summaries": [[round(float(one), 4) for one in (row.mean(), row.std())] for row in values[kept]],
        "values": packed(np.rint((values[kept] + 1) * HALF_SCALE).astype(np.uint8).reshape(-1)),
    }
    return make_page([*PARTS, "units"], title=f"{title}: units", body=f"{header}\n{body}", data=data)


_COLOURS = "".join(f'<i class="{name}"></i>' for name in ("b7", "b5", "b3", "b1", "s0", "s1", "s3", "s5", "s7"))
_LEGEND = f"-1 <span>{_COLOURS}</span> +1"


def _listed(orders: Sequence[str]) -> str:
    options = "".join(f"<option>{escaped(one)}</option>" for one in orders)
    return f"""<nav aria-label="Units">
<label>Order by <select id="order">{options}</select></label>
<label><input type="checkbox" id="span"> Colours over the unit's own range</label>
<ul id="units" role="listbox" tabindex="0" aria-label="Units; arrow keys go through them"></ul>
</nav>"""


def _kept(values: npt.NDArray[np.float32], correlations: Mapping[str, Doubles], chosen: int | None) -> npt.NDArray[np.intp]:
    """Return the chosen unit, then the units with the largest correlation, or the largest variance."""
    best = np.max(np.abs([*correlations.values()]), axis=0) if correlations else values.std(axis=1)
    if chosen is not None:
        best[chosen] = np.inf
    return np.argsort(-best, kind="stable")
