"""Build the page of `chargen surprise`: a text coloured by its bits, with a card of the alternatives at each position."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.pages.page import escaped, make_page, packed
from chargen.pages.reader import PARTS, LineOfText, narrow, reader_markup, text_data
from chargen.terminal import visible

SHOWN_LINES, SHOWN_CHARACTERS = 10, 80  # entries in the list of lines, characters of each
BIT_SCALE, CHANCE_SCALE = 100, 10_000  # integer values of one bit, and of probability 1
LEVELS = 7  # colours above the lowest
WORD_CHARACTERS = 2  # mean length of a token from which the scale is that of words
MOST_BITS, MOST_BITS_OF_WORDS = 7, 14  # of the last colour


def surprise_page(
    *,
    title: str,
    run: str,
    pieces: Sequence[str],
    lines: Sequence[LineOfText],
    bits: npt.NDArray[np.floating],
    choices: npt.NDArray[np.integer],
    chances: npt.NDArray[np.floating],
    names: Sequence[str | None],
    worst: Sequence[tuple[LineOfText, float]],
    bits_per_character: float,
) -> str:
    """Return the page of a text.

    pieces: the text of each token, N of them; bits: (N,); choices, chances: ids and probabilities of the alternatives, (N, 5);
    names: the text of each id, None for the end; worst: the lines with their bits a character, the most surprising first.
    """
    characters = sum(map(len, pieces))
    most = MOST_BITS if characters < WORD_CHARACTERS * len(pieces) else MOST_BITS_OF_WORDS
    header = (
        f"<header>\n<div><h1>{escaped(title)}</h1>"
        f"<p>How surprising each token is to <b>{escaped(run)}</b>: <b>{bits_per_character:.3f}</b> bits a character, "
        f"{characters:,} characters.</p></div>\n</header>"
    )
    body = reader_markup(
        legend=_legend(most),
        threshold=f'min="{most // LEVELS}" max="{most}" step="0.5" value="{most // LEVELS}"',
        listed=_listed([_entry(line, figure, pieces) for line, figure in worst[:SHOWN_LINES]]),
        hint="Point at a character, or use the arrow keys in the text.",
    )
    data = text_data(pieces, lines) | _data(bits, choices, chances, names) | {"most": most}
    return make_page([*PARTS, "surprise"], title=f"{title}: surprise", body=f"{header}\n{body}", data=data)


def _legend(most: int) -> str:
    levels = "".join(f'<i class="s{level}"></i>' for level in range(LEVELS + 1))
    return f"expected <span>{levels}</span> {most} bits and more"


def _listed(entries: Sequence[str]) -> str:
    return f'<nav aria-label="Most surprising lines"><h2>Most surprising lines</h2><ol>{"".join(entries)}</ol></nav>'


def _entry(line: LineOfText, figure: float, pieces: Sequence[str]) -> str:
    text = "".join(pieces[line.start : line.stop]).strip()
    shown = text[:SHOWN_CHARACTERS] + ("\u2026" if len(text) > SHOWN_CHARACTERS else "")
    about = f"<b>Line {line.number:,}</b>, {figure:.2f} bits a character"
    return f'<li><a href="#text" data-place="{line.start}">{about}<span>{escaped(shown)}</span></a></li>'


def _data(
    bits: npt.NDArray[np.floating],
    choices: npt.NDArray[np.integer],
    chances: npt.NDArray[np.floating],
    names: Sequence[str | None],
) -> dict[str, Any]:
    """Return the arrays in as few bytes as the page needs."""
    used, numbers = np.unique(choices, return_inverse=True)
    chosen = narrow(numbers.reshape(-1))
    return {
        "names": [name if (name := names[token]) is None else visible(name) for token in used.tolist()],
        "width": choices.shape[1],
        "bits": packed(np.minimum(np.rint(bits * BIT_SCALE), 65535).astype(np.uint16)),
        "choices": packed(chosen),
        "choiceSize": chosen.dtype.itemsize,
        "chances": packed(np.rint(chances * CHANCE_SCALE).astype(np.uint16).reshape(-1)),
    }
