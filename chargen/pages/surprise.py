"""Build the page of `chargen surprise`: a text coloured by its bits, with the alternatives at each position."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from chargen.pages.page import escaped, make_page, packed
from chargen.terminal import visible

SHOWN_LINES, SHOWN_CHARACTERS = 10, 80  # entries in the list of lines, characters of each
BIT_SCALE, CHANCE_SCALE = 100, 10_000  # integer values of one bit, and of probability 1


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


def surprise_page(
    *,
    title: str,
    run: str,
    pieces: Sequence[str],
    lines: Sequence[LineOfText],
    levels: Sequence[int],
    bits: npt.NDArray[np.floating],
    choices: npt.NDArray[np.integer],
    chances: npt.NDArray[np.floating],
    names: Sequence[str | None],
    worst: Sequence[tuple[LineOfText, float]],
    bits_per_character: float,
) -> str:
    """Return the page of a text.

    pieces: the text of each token, N of them; levels: their colours, from 0 to 9; bits: (N,); choices, chances: ids and
    probabilities of the alternatives, (N, 5); names: the text of each id, None for the end; worst: the lines with their bits a
    character, the most surprising first.
    """
    characters = sum(map(len, pieces))
    parts = [
        f"<header>\n<h1>{escaped(title)}</h1>",
        f"<p>How surprising each character is to <b>{escaped(run)}</b>: <b>{bits_per_character:.3f}</b> bits a character,",
        f"{characters:,} characters.</p>",
        _LEGEND,
        *(_entry(line, figure, pieces) for line, figure in worst[:SHOWN_LINES]),
        _TEXT,
        *(_line(line, pieces, levels) for line in lines),
        _PANEL,
    ]
    data = _data(bits, choices, chances, names)
    return make_page("surprise", title=f"{title}: surprise", body="\n".join(parts), data=data)


_LEGEND = f"""<p class="legend">{"".join(f"<i class=h{level}>{level}</i>" for level in range(10))} bits and more</p>
</header>
<nav aria-label="Most surprising lines"><h2>Most surprising lines</h2><ol>"""
_TEXT = """</ol></nav>
<main id="text" tabindex="0" aria-label="The text; arrow keys go from character to character">"""
_PANEL = """</main>
<aside id="panel" aria-live="polite">Point at a character, or use the arrow keys.</aside>"""


def _line(line: LineOfText, pieces: Sequence[str], levels: Sequence[int]) -> str:
    cells = (f"<i class=h{levels[position]}>{_cell(pieces[position])}</i>" for position in range(line.start, line.stop))
    return f'<p id="l{line.number}"><a href="#l{line.number}">{line.number}</a>{"".join(cells)}</p>'


def _cell(piece: str) -> str:
    return escaped(piece.replace("\n", "\u21b5"))


def _entry(line: LineOfText, figure: float, pieces: Sequence[str]) -> str:
    text = "".join(pieces[line.start : line.stop]).strip()
    shown = text[:SHOWN_CHARACTERS] + ("\u2026" if len(text) > SHOWN_CHARACTERS else "")
    return f'<li><a href="#l{line.number}"><b>{figure:.2f}</b> line {line.number}</a> {escaped(shown)}</li>'


def _data(
    bits: npt.NDArray[np.floating],
    choices: npt.NDArray[np.integer],
    chances: npt.NDArray[np.floating],
    names: Sequence[str | None],
) -> dict[str, Any]:
    """Return the arrays in as few bytes as the page needs."""
    used, numbers = np.unique(choices, return_inverse=True)
    dtype = np.min_scalar_type(len(used))  # uint8, uint16 or uint32
    return {
        "names": [name if (name := names[token]) is None else visible(name) for token in used.tolist()],
        "width": choices.shape[1],
        "bits": packed(np.minimum(np.rint(bits * BIT_SCALE), 65535).astype(np.uint16)),
        "choices": packed(numbers.reshape(-1).astype(dtype)),
        "size": dtype.itemsize,
        "chances": packed(np.rint(chances * CHANCE_SCALE).astype(np.uint16).reshape(-1)),
    }
