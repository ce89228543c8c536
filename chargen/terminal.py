r"""Print text safely: remove characters that would control the terminal or hide parts of the text.

A model can learn any characters and a file can have any name, so untrusted text must not move the cursor, set the window's
title, fill the clipboard or reverse the reading direction. Only text for a terminal is changed; a pipe or a file gets every
character.
"""

import re
import sys
from collections.abc import Iterable

# C0 except newline and tab, DEL, C1, the bidirectional embeddings, overrides and isolates, and lone surrogates, which a stream
# that writes undecodable bytes back would turn into C1.
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
SURROGATE = re.compile("[\ud800-\udfff]")

_ESCAPE, _DESIGNATION = "\x1b", "\x1b("  # ESC, and ESC with the intermediates of a sequence such as ESC ( B
_CSI, _STRINGS = "\x9b", "\x90\x98\x9d\x9e\x9f"  # DCS, SOS, OSC, PM, APC: they run until a string terminator

# The characters of a sequence before its last one, and the range of the last one (ECMA-48, section 5.4).
_BODIES = {
    _ESCAPE: re.compile("[\x20-\x2f]*"),
    _DESIGNATION: re.compile("[\x20-\x2f]*"),
    _CSI: re.compile("[\x20-\x3f]*"),
}
_FINAL = {_ESCAPE: ("\x30", "\x7e"), _DESIGNATION: ("\x30", "\x7e"), _CSI: ("\x40", "\x7e")}
_NONE = ("\x01", "\x00")
_STRING_BODY = re.compile("[^\x07\n\x18\x1a\x1b\x80-\x9f]*")

_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20)} | {"\x7f": "\u2421"}


class Sanitizer:
    """Removes control characters and whole escape sequences from text that comes in chunks, wherever those are cut.

    A sequence is dropped as it comes, so nothing is held back. A malformed sequence ends at the first character that cannot be
    part of it, an unterminated string at the end of its line: text after it is kept.
    """

    def __init__(self) -> None:
        self._within = ""  # the current sequence, by the control that began it, or text

    def feed(self, chunk: str) -> str:
        """Return the next chunk without them."""
        if not self._within and not ACTIVE.search(chunk):
            return chunk
        kept: list[str] = []
        position = 0
        while position < len(chunk):
            position = self._sequence(chunk, position) if self._within else self._text(chunk, position, kept)
        return "".join(kept)

    def _text(self, chunk: str, position: int, kept: list[str]) -> int:
        """Keep text from `position` up to the next active character, process that, and return the position after it."""
        found = ACTIVE.search(chunk, position)
        if not found:
            kept.append(chunk[position:])
            return len(chunk)
        kept.append(chunk[position : found.start()])
        character = found.group()
        if character in {_ESCAPE, _CSI, *_STRINGS}:
            self._within = character
        elif SURROGATE.match(character):
            kept.append("\ufffd")
        return found.end()

    def _sequence(self, chunk: str, position: int) -> int:
        """Drop the rest of the sequence from `position` on, and return the position after it or the end of the chunk."""
        within = self._within
        body = _BODIES.get(within, _STRING_BODY).match(chunk, position)
        end = body.end() if body else position
        if within == _ESCAPE and end > position:
            within = self._within = _DESIGNATION
        if end == len(chunk):
            return end
        self._within = _opened(chunk[end]) if within == _ESCAPE else ""
        first, last = _FINAL.get(within, _NONE)
        return end + 1 if first <= chunk[end] <= last else end  # a string ends at an active character or at the end of the line


def _opened(character: str) -> str:
    """Return the C1 control that ESC and a character represent, if a sequence follows it."""
    control = chr(ord(character) + 0x40) if "\x40" <= character <= "\x5f" else ""
    return control if control and control in _CSI + _STRINGS else ""


def sanitized(text: str) -> str:
    r"""Return a whole text without control characters and escape sequences.

    >>> sanitized("\x1b]0;title\x07\x1b[31mred\x1b[0m\ttext\u202e\n")
    'red\ttext\n'
    """
    return Sanitizer().feed(text)


def visible(text: str) -> str:
    r"""Return a text with a visible sign for each active character.

    >>> visible("\x1b[31m\u202e\t\n")
    '␛[31m\ufffd\t\n'
    """
    return ACTIVE.sub(lambda found: _PICTURES.get(found.group(), "\ufffd"), text)


def echo(text: str = "", *, err: bool = False, end: str = "\n", raw: bool = False) -> None:
    """Print a text to stdout or, with `err`, to stderr; sanitized for a terminal unless it is `raw`."""
    echo_stream([text, end], err=err, raw=raw)


def echo_stream(chunks: Iterable[str], *, err: bool = False, raw: bool = False) -> None:
    """Print the chunks of a text as they come, like `echo`."""
    stream = sys.stderr if err else sys.stdout
    sanitizer = None if raw or not stream.isatty() else Sanitizer()
    for chunk in chunks:
        stream.write(sanitizer.feed(chunk) if sanitizer else chunk)
        stream.flush()
