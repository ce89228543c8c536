"""Colour the pieces of a text by a number, for a terminal; without colours, print marks below the pieces."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from chargen.terminal import visible

# The background colours of 0 to 9 bits, and of activations from -1 to 1 in seven steps; the text is black.
BIT_COLOURS = ("", "", "#fff7c2", "#ffeb94", "#ffd966", "#ffc04d", "#ffa347", "#ff8552", "#ff6659", "#ff4d5e")
ACTIVATION_COLOURS = ("#5b9bf3", "#93bdf7", "#cfe1fb", "", "#fbdcd0", "#f5a98f", "#ea6f4d")
ACTIVATION_MARKS = "=- .:+#"


class Heat(NamedTuple):
    """A piece of text, its background, and the mark below it if there are no colours."""

    piece: str
    colour: str
    mark: str = ""


def bits_level(bits: float) -> int:
    """Return the index in `BIT_COLOURS` for a number of bits: its integer part, at most the last index."""
    return min(int(bits), len(BIT_COLOURS) - 1)


def activation_level(value: float) -> int:
    """Return the index in `ACTIVATION_COLOURS` for a value from -1 to 1."""
    steps = len(ACTIVATION_COLOURS)
    return min(steps - 1, max(0, int((value + 1) / 2 * steps)))


def is_coloured(console: Console) -> bool:
    """Return whether a console has colours and they are not switched off."""
    return console.is_terminal and console.color_system is not None and not console.no_color


def draw_heat(console: Console, pieces: Sequence[Heat], *, indent: int = 0) -> str:
    """Return the pieces of one line, wrapped to the width of a console, indented, with a line end."""
    coloured = is_coloured(console)
    with console.capture() as captured:
        for row in _rows(pieces, console.width - indent):
            text = Text(" " * indent)
            for colour, some in groupby(row, key=lambda one: one.colour):
                text.append("".join(_shown(one.piece) for one in some), f"black on {colour}" if coloured and colour else "")
            console.print(text if coloured else text.plain.rstrip(), soft_wrap=True, markup=False, highlight=False, emoji=False)
            marks = "".join((one.mark or " ") * cell_len(_shown(one.piece)) for one in row).rstrip()
            if marks and not coloured:
                console.print(" " * indent + marks, soft_wrap=True, markup=False, highlight=False, emoji=False)
    return captured.get()


def _rows(pieces: Sequence[Heat], width: int) -> Iterator[list[Heat]]:
    row: list[Heat] = []
    used = 0
    for one in pieces:
        size = cell_len(_shown(one.piece))
        if row and used + size > max(1, width):
            yield row
            row, used = [], 0
        row.append(one)
        used += size
    yield row


def _shown(piece: str) -> str:
    """Return a piece as printed: a line end or a tab becomes a space that can be coloured."""
    return visible(piece.replace("\n", " ").replace("\t", " "))
