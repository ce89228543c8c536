r"""Cut a text at the separators of its documents: empty lines, a line such as %, or a marker such as <|endoftext|>.

A separator is given as "blank", for one or more empty lines, or as the text itself, with \n for a line end. It must be a whole
line, unless it contains line ends or is a marker in angle or square brackets. Lines of only white space count as empty.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import NamedTuple

from chargen.corpus.large_text import BLOCK, Text, is_blank, text_blocks
from chargen.errors import ConfigError

BLANK, NONE = "blank", "none"
SAMPLE = 200_000  # characters at the beginning, in which empty lines are examined
MARGIN = 1 << 12  # characters at the end of a block, where a separator may be cut in two

MIN_MARKERS = 3  # markers of data sets, used for nothing else
MIN_SURE_LINES = 2  # of %, as in fortune files
MIN_LINES = 4  # of stars, dashes and the like, which also divide scenes
MIN_PIECES = 6  # that empty lines divide
LONGEST_PIECE = 5000  # characters, on average; longer ones are scenes or chapters of one text
LONGEST_ENTRY = 3000  # the same between empty lines
LONGEST_TITLE = 60
LONGEST_LINE = 50  # on average: the lines of poems and lists, not those of sections of prose
MIN_SHARE = 0.8  # share of the pieces that have to begin alike

_MARKER = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
_KNOWN_MARKERS = re.compile(r"(?i)<\|end_?of_?(?:text|document|doc|story)\|>|</s>|<\|?eo[sd]\|?>|\[eo[sd]\]")
_SURE_LINE = re.compile(r"%+")
_SYMBOL_LINE = re.compile(r"^([%*\-=#~_+•—–§&@^])(?:[ \t]*\1)*$", re.MULTILINE)
_LABEL = re.compile(r"\w[^\n:]{0,20}:")
_CHAPTER = re.compile(r"(?i)\s*(?:chapter|kapitel|chapitre|cap[ií]tulo|глава|part|book|scene|act|[ivxlc]+\.?$|\d+\.?$)")
_TITLE = re.compile(rf"\w[^\n(){{}}=;]{{0,{LONGEST_TITLE - 1}}}(?<![.!?:,;])\n")
_TWO_BLANK_LINES = r"\n\n\n"
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\f": "\f", r"\\": "\\"}


def find_separator(text: Text) -> str | None:
    """Return the marker or line of symbols between the documents of a text, or None.

    It must be clear: a marker of data sets, the % of fortune files, or several equal lines of stars or dashes between short
    pieces.
    """
    beginning = next(text_blocks(text), "")[:BLOCK]
    markers = Counter(_KNOWN_MARKERS.findall(beginning))
    for marker, count in markers.most_common(1):
        if count >= MIN_MARKERS:
            return marker
    return _symbol_line(beginning)


def _symbol_line(text: str) -> str | None:
    lines = Counter(found.group() for found in _SYMBOL_LINE.finditer(text))
    for line, count in lines.most_common(1):
        sure = _SURE_LINE.fullmatch(line) is not None
        if count < (MIN_SURE_LINES if sure else MIN_LINES) or _is_markup(line, text, count):
            return None
        if sure or len(text) <= LONGEST_PIECE * (count + 1):
            return line
    return None


def _is_markup(line: str, text: str, count: int) -> bool:
    """Return whether a line of symbols underlines headings, or starts comments or list items elsewhere."""
    others = len(re.findall(rf"^[ \t]*{re.escape(line[0])}", text, re.MULTILINE)) - count
    underlined = len(re.findall(rf"^.{{{len(line)}}}\n{re.escape(line)}$", text, re.MULTILINE))
    return others >= count / 2 or (len(line) > 2 and underlined >= count / 2)


def find_blank_separator(text: Text) -> str | None:
    """Return the separator of two empty lines, or of one, if they divide short pieces with titles or equal labels.

    Chapters, sections of prose and the speeches of a play are parts of one document.
    """
    beginning = next(text_blocks(text), "")[:SAMPLE]
    titled = list(cut_at(beginning, separator_pattern(_TWO_BLANK_LINES)))
    if _are_short(titled) and fmean(map(len, re.findall(r".+", beginning))) <= LONGEST_LINE:
        tests = (_TITLE.match, re.compile(r"\S\n[ \t]*\n").search)
        if all(_share(test(str(piece)) for piece in titled) >= MIN_SHARE for test in tests) and not _are_chapters(titled):
            return _TWO_BLANK_LINES
    labelled = list(cut_at(beginning, separator_pattern(BLANK)))
    if _are_short(labelled):
        labels = Counter(found.group() for piece in labelled if (found := _LABEL.match(str(piece))))
        if labels and labels.most_common(1)[0][1] >= MIN_SHARE * len(labelled):
            return BLANK
    return None


def _are_chapters(pieces: Iterable[Text]) -> bool:
    return _share(_CHAPTER.match(str(piece)) for piece in pieces) > 1 - MIN_SHARE


def _are_short(pieces: list[Text]) -> bool:
    return len(pieces) >= MIN_PIECES and fmean(map(len, pieces)) <= LONGEST_ENTRY


def _share(found: Iterable[object]) -> float:
    return fmean(bool(one) for one in found)


def unescaped(separator: str) -> str:
    r"""Return a separator with its \n, \t, \f and \\ replaced.

    >>> unescaped(r"\n\n")
    '\n\n'
    """
    return re.sub(r"\\[ntf\\]", lambda found: _ESCAPES[found.group()], separator)


def separator_name(separator: str) -> str:
    """Return the name of a separator for messages."""
    text = unescaped(separator)
    if separator == BLANK:
        return "empty lines"
    return separator if text.strip() else f"{text.count(chr(10)) - 1} or more empty lines"


def separator_pattern(separator: str, *, inline: bool = False) -> re.Pattern[str]:
    """Return the pattern of a separator and the line ends around it; inline: also within lines.

    Raises ConfigError for an empty separator, and for white space without a line end.
    """
    text = unescaped(separator)
    if not text.strip(" \t"):
        raise ConfigError(f"the separator is {separator!r}, expected blank, none or a text", hint="for example --separator %")
    if separator == BLANK or not text.strip():
        lines = 2 if separator == BLANK else max(text.count("\n"), 1)
        return re.compile(rf"\r?\n(?:[ \t\r]*\n){{{lines - 1},}}")
    if "\n" in text:
        return re.compile(re.escape(text).replace("\\\n", "\\r?\\n"))
    if inline or _MARKER.fullmatch(text):
        return re.compile(rf"\s*{re.escape(text.strip())}\s*")
    return re.compile(rf"[\r\n]*^[ \t]*{re.escape(text.strip())}[ \t]*\r?$[\r\n]*", re.MULTILINE)


def is_in(text: Text, pattern: re.Pattern[str]) -> bool:
    """Return whether a separator occurs in a text."""
    return next(_separators(text, pattern), None) is not None


def cut_at(text: Text, pattern: re.Pattern[str]) -> Iterator[Text]:
    """Yield the non-blank pieces of a text between separators, without the line ends around them."""
    return (text[start:stop] for start, stop in bounds_between(text, pattern))


def bounds_between(text: Text, pattern: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the pieces of a text that `cut_at` returns."""
    start = 0
    for separator in _separators(text, pattern):
        yield from _trimmed(text, start, separator.start, separator)
        start = separator.stop
    yield from _trimmed(text, start, len(text), _Separator(len(text), len(text), "", len(text)))


class _Separator(NamedTuple):
    """The bounds of a separator in a text, and the part of the text around it that is in memory."""

    start: int
    stop: int
    held: str
    offset: int


def _separators(text: Text, pattern: re.Pattern[str]) -> Iterator[_Separator]:
    """Yield the bounds of each separator; a text in a file is searched block by block."""
    held, first, offset = "", 0, 0  # the unfinished rest from `first` on, and its position in the text
    for block in text_blocks(text):
        held += block
        for found in pattern.finditer(held, first):
            if found.end() > len(held) - MARGIN:
                first = found.start()
                break
            yield _Separator(offset + found.start(), offset + found.end(), held, offset)
            first = found.end()
        else:
            first = max(first, len(held) - MARGIN)
        dropped = max(first - MARGIN, 0)  # some is kept: it shows whether a line begins, and may contain short pieces
        held, first, offset = held[dropped:], first - dropped, offset + dropped
    for found in pattern.finditer(held, first):
        yield _Separator(offset + found.start(), offset + found.end(), held, offset)


def _trimmed(text: Text, start: int, stop: int, separator: _Separator) -> Iterator[tuple[int, int]]:
    """Yield the bounds of a part of a text without the empty lines at its ends, unless it is blank."""
    if isinstance(text, str):
        part: Text = text[start:stop]
    elif separator.offset <= start:
        part = separator.held[start - separator.offset : stop - separator.offset]
    else:
        part = text[start:stop]
    if not is_blank(part):
        beginning, end = str(part[:MARGIN]), str(part[-MARGIN:])
        yield start + len(beginning) - len(beginning.lstrip("\r\n")), stop - len(end) + len(end.rstrip("\r\n"))
