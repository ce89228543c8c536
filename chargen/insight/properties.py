"""Compute properties of each position of a text that units may represent, such as inside quotes or position in the line.

Each value is the one after reading the character at the position.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from chargen.writing.sampling import Doubles

OPENING, CLOSING = "([{", ")]}"


def quotes(text: str) -> Iterator[float]:
    """Yield 1 within double quotation marks, from the opening one on, else 0; a blank line closes an open quotation."""
    within, before = False, ""
    for character in text:
        if character in "\u201d\u00bb" or before + character == "\n\n":
            within = False
        elif character in '"\u201c\u201e\u00ab':  # in German the second one closes
            within = not within
        yield float(within)
        before = character


def line_position(text: str) -> Iterator[float]:
    """Yield the number of characters of the line so far."""
    position = 0
    for character in text:
        position = 0 if character == "\n" else position + 1
        yield float(position)


def brackets(text: str) -> Iterator[float]:
    """Yield the number of open brackets."""
    depth = 0
    for character in text:
        depth = max(0, depth + (character in OPENING) - (character in CLOSING))
        yield float(depth)


def indent(text: str) -> Iterator[float]:
    """Yield the number of blanks at the beginning of the line so far."""
    blanks, begins = 0, True
    for character in text:
        if character == "\n":
            blanks, begins = 0, True
        elif begins and character in " \t":
            blanks += 1
        else:
            begins = False
        yield float(blanks)


def words(text: str) -> Iterator[float]:
    """Yield the number of characters of the word so far, 0 between words."""
    length = 0
    for character in text:
        length = length + 1 if character.isalnum() or character in "'\u2019_" else 0
        yield float(length)


PROPERTIES: dict[str, Callable[[str], Iterator[float]]] = {
    "quotes": quotes,
    "line-position": line_position,
    "brackets": brackets,
    "indent": indent,
    "words": words,
}


def property_values(name: str, pieces: Sequence[str]) -> Doubles:
    """Return the values of a property at the last character of each piece, (N,); no piece may be empty."""
    values = np.fromiter(PROPERTIES[name]("".join(pieces)), np.float64)
    return values[np.cumsum([len(piece) for piece in pieces]) - 1]
