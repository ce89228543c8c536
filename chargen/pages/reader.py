"""Build the parts that pages of a coloured text share: the text as data, the controls of its colours, and the overview.

The script assets/reader.js shows the text, of up to a million characters, and assets/overview.js draws the overview.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from chargen.pages.page import packed
from chargen.terminal import visible

PARTS = ("reader", "overview")  # scripts and styles of `make_page`


class LineOfText(Protocol):
    """A line: its number, and pieces[start:stop]."""

    @property
    def number(self) -> int:
        """The number of the line, from 1."""

    @property
    def start(self) -> int:
        """The index of its first piece."""

    @property
    def stop(self) -> int:
        """The index after its last piece."""


def text_data(pieces: Sequence[str], lines: Sequence[LineOfText]) -> dict[str, Any]:
    """Return the data of a text: its distinct pieces, the number of the one at each place, and the lines."""
    distinct = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    ids = narrow(np.array([distinct[piece] for piece in pieces]))
    return {
        "tokens": list(map(visible, distinct)),
        "ids": packed(ids),
        "size": ids.dtype.itemsize,
        "starts": packed(np.array([line.start for line in lines], np.uint32)),
        "numbers": packed(np.array([line.number for line in lines], np.uint32)),
    }


def narrow(numbers: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
    """Return numbers in the narrowest of uint8, uint16 and uint32 that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def reader_markup(*, legend: str, threshold: str, listed: str, hint: str) -> str:
    """Return the body below the header of a page.

    legend: the markup of the colours; threshold: the attributes of the slider; listed: the markup of the list beside the text;
    hint: what the card says before a place is chosen.
    """
    return f"""<div class="reader">
{listed}
<main id="text" tabindex="0"
 aria-label="The text; arrow keys go from token to token, n and p to the next and previous coloured one"></main>
<section class="map" aria-label="Overview"><canvas id="map" role="slider" tabindex="0" aria-label="Overview of the text"
 aria-orientation="vertical" aria-valuemin="1" aria-valuemax="1" aria-valuenow="1"></canvas></section>
<div class="side">
<section class="controls" aria-label="Colours">
<p class="legend">{legend}</p>
<p><label for="threshold">Colour from</label> <output id="threshold-value" for="threshold"></output></p>
<input type="range" id="threshold" {threshold}>
<p><span class="dim" id="count"></span> <span><button type="button" class="quiet" id="previous">Previous</button>
<button type="button" class="quiet" id="next">Next</button></span></p>
</section>
<aside id="panel" tabindex="0" aria-label="Card" aria-live="polite"><p class="dim">{hint}</p></aside>
</div>
</div>"""
