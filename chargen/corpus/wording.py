"""Format parts of messages about texts: counts, lists of names, and words that show whether the decoding is right."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from string import punctuation

from chargen.corpus.large_text import Text, text_blocks

MAX_NAMED = 5  # files or kinds of files in a message
MAX_NOTED_FILES = 3  # files that have a note each
_EXAMPLE = 60  # characters
_NUM_WORDS = 3
_REACH = 15  # characters on each side of a position
_NEAR = 4096  # characters searched for words to show
_LETTER = re.compile(r"[^\W\d_\x00-\x7f]")
_OTHER = re.compile(r"[^\x00-\x7f]")
_PUNCTUATION = punctuation + "\ufffd«»„“”‘’…、。，！？：；"


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural if needed.

    >>> counted(1, "file"), counted(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], comma: str = ", ") -> str:
    """Return the first names, and the number of further ones.

    >>> listed(["a", "b"]), listed(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return comma.join(names[:MAX_NAMED]) + more


def example(text: Text) -> str:
    r"""Return the beginning of a text in quotation marks, on one line.

    >>> example("One\ntwo")
    "'One\\ntwo'"
    """
    return repr(str(text[:_EXAMPLE]) + ("..." if len(text) > _EXAMPLE else ""))


def words_with_accents(text: Text) -> str:
    """Return the first words with letters beyond ASCII, else with other characters beyond ASCII, separated by spaces.

    >>> words_with_accents("It was a café, or the café's façade.")
    "café café's façade"
    """
    for pattern, around in ((_LETTER, _PUNCTUATION), (_OTHER, "")):
        position = _first_position(text, pattern)
        if position is not None:
            near = str(text[max(0, position - _REACH) : position + _NEAR])
            words = dict.fromkeys(word.strip(around) for word in _words(near, pattern))
            return " ".join(islice(words, _NUM_WORDS))
    return ""


def _first_position(text: Text, pattern: re.Pattern[str]) -> int | None:
    before = 0
    for block in text_blocks(text):
        if found := pattern.search(block):
            return before + found.start()
        before += len(block)
    return None


def _words(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield the words around the matches of a pattern, shortened to what is near."""
    end = 0
    while found := pattern.search(text, end):
        position = found.start()
        before = text[max(end, position - _REACH) : position]
        start = position - len(before) + max(before.rfind(space) for space in " \t\n") + 1
        end = position + len(
            re.split(r"[ \t\n]", text[position : position + _REACH], maxsplit=1)[0]
        )  # other kinds of space may be the characters to show
        yield text[start:end]


def words_around(text: str, position: int) -> str:
    """Return the text around a position, from word to word if the words are short.

    >>> words_around("He said that it's over, and left.", 14)
    "He said that it's over, and"
    """
    before, after = text[max(0, position - _REACH) : position], text[position : position + _REACH]
    if position > _REACH and " " in before:
        before = before.split(" ", 1)[1]
    if position + _REACH < len(text) and " " in after:
        after = after.rsplit(" ", 1)[0]
    return " ".join((before + after).split())
