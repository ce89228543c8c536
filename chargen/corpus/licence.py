"""Remove the header and the licence of electronic books, such as those of Project Gutenberg.

Lines such as `*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***` and `*** END OF ...` mark where a book begins and ends; older
files have `*END*THE SMALL PRINT!` after the header, or `End of Project Gutenberg's Etext of ...` after the book. A text may
also just quote such a line. So the text outside the marks is removed only if it is blank or reads like a notice: it is short
and full of the words of licences and title pages.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from chargen.corpus.large_text import LargeText, Text, is_blank, text_blocks
from chargen.corpus.reading import SourceText

LONGEST_NOTICE = 60_000  # characters; Project Gutenberg's licence has 19,000
SHORT_SHARE = 0.25  # of a book between two marks; a shorter notice next to the book needs no such words
BETWEEN_MARKS = 300  # characters between two marks of the same kind, for example the second line of a title
MIN_WORDS, WORDS_PER_CHARACTER = 2, 15 / 1000  # distinct words of licences and title pages in a notice; Gutenberg's have 18
MANY_WORDS_PER_CHARACTER = 20 / 1000  # in a notice longer than the book; an essay on electronic books has fewer
LONGEST_MARK = 1_000  # characters

MARKS = re.compile(
    r"""
    \n [ \t\ufeff]{0,40} (?:
        \*{3,} [ ]* (?P<side>START|END) [ ]+ OF \b (?:
            [^*\n]{0,200} (?:\n[^*\n]{1,200}){0,2} \*{3,}
            | [^\n]{0,200}? (?:gutenberg|e-?book|e-?text)
        )
        | (?P<small_print> \*[ ]*END[ ]*\*?[ ]*THE[ ]SMALL[ ]PRINT )
        | (?:
            (?:End[ ]of[ ](?:the[ ]|this[ ])? | Ende[ ](?:dieses[ ]|von[ ]|des[ ])? | Fin[ ]de[ ](?:ce[ ])?)
            Proje[ck]t[ ]Gutenberg )
    ) [^\n]*
    """,
    re.VERBOSE | re.IGNORECASE,
)
EBOOK = re.compile(r"e-?book|e-?text|gutenberg|small print", re.IGNORECASE)
NOTICE_WORDS = re.compile(
    r"""
    licen[cs] | copyright | trademark | warrant(?:y|ies) | refund | public\ domain | distribut | gutenberg | donat | royalt
    | liab(?:le|ility) | permission | terms\ of | agreement | disclaim | restrictions | electronic\ work | small\ print
    | pursuant | hereof | hereby | indemn | at\ no\ cost | foundation | \be-?(?:book|text)s?\b | transcribed
    | ^(?:title|author|editor|translator|illustrator|language|release\ date|posting\ date|credits|produced\ by)\b
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
LICENCE = re.compile(
    r"anyone\s+anywhere|full\s+(?:project\s+gutenberg\S*\s+)?licen[cs]e|general\s+terms\s+of\s+use|small\s+print!",
    re.IGNORECASE,
)
LETTER = re.compile(r"[^\W_]")


class Mark(NamedTuple):
    """A line that marks where a book begins or ends, and its position in the text."""

    begins: bool
    start: int
    stop: int


class Piece(NamedTuple):
    """The text between two marks, or between a mark and an end of the text."""

    before: Mark | None
    text: Text
    after: Mark | None

    @property
    def is_outside(self) -> bool:
        """Whether the marks allow the piece to be outside of all books."""
        before, after = self.before, self.after
        alike = before is not None and after is not None and before.begins == after.begins
        return alike or (bool(before or after) and (not before or not before.begins) and (not after or after.begins))

    @property
    def is_book(self) -> bool:
        """Whether the piece has a start mark before it and an end mark after it."""
        return self.before is not None and self.after is not None and self.before.begins > self.after.begins


def without_licences(
    sources: Sequence[SourceText], comment: str = "--no-strip-licence keeps them"
) -> tuple[list[SourceText], list[str]]:
    """Return texts without the headers and licences of electronic books (tables unchanged), and notes for the user.

    The comment is printed in brackets at the end of the note.
    """
    bare = [source if source.rows is not None else replace(source, text=strip_licence(source.text)) for source in sources]
    shorter = [(one, other) for one, other in zip(sources, bare, strict=True) if len(one.text) > len(other.text)]
    if not shorter:
        return bare, []
    left_out = sum(len(one.text) - len(other.text) for one, other in shorter)
    where = shorter[0][0].name if len(shorter) == 1 else f"{len(shorter):,} texts"
    return bare, [f"{where}: header and licence left out, {left_out:,} characters ({comment})"]


def strip_licence(text: Text) -> Text:
    r"""Return a text without the headers and licences of the electronic books in it; without any, the text itself.

    >>> strip_licence("Title: Emma\nAuthor: A\nLanguage: E\n*** START OF THE EBOOK ***\nEmma was\n*** END OF THE EBOOK ***\n")
    'Emma was\n'
    """
    left_out = list(_left_out(text, list(_marks(text))))
    kept = [(stop, start) for (_, stop), (start, _) in pairwise([(0, 0), *left_out, (len(text), 0)]) if stop < start]
    if not left_out or all(is_blank(text[start:stop]) for start, stop in kept) or _is_quoted(text, left_out):
        return text
    if isinstance(text, str):
        return "".join(text[start:stop] for start, stop in kept)
    return text[slice(*kept[0])] if len(kept) == 1 else LargeText(b for one in kept for b in text_blocks(text[slice(*one)]))


def _is_quoted(text: Text, left_out: Sequence[tuple[int, int]]) -> bool:
    """Return whether marks are only quoted: most of the text is outside of them, but it is not a licence."""
    contents = [str(text[start:stop]) for start, stop in left_out]
    length, words = sum(map(len, contents)), sum(len(NOTICE_WORDS.findall(content)) for content in contents)
    return length > len(text) / 2 and words < MANY_WORDS_PER_CHARACTER * length and not any(map(LICENCE.search, contents))


def _marks(text: Text) -> Iterator[Mark]:
    """Yield the marks of a text in order."""
    around, offset = "\n", -1  # so that the first line also follows a line end
    for block in text_blocks(text):
        around += block
        complete = max(0, len(around) - LONGEST_MARK)
        yield from _marks_within(around, offset, complete)
        around, offset = around[complete:], offset + complete
    yield from _marks_within(around, offset, len(around))


def _marks_within(around: str, offset: int, complete: int) -> Iterator[Mark]:
    """Yield the marks that begin before `complete`; offset: the position of the first character in the whole text."""
    for found in MARKS.finditer(around):
        if found.start() < complete and EBOOK.search(found.group()):
            begins = bool(found["small_print"]) or (found["side"] or "").casefold() == "start"
            stop = min(found.end() + 1, len(around))
            yield Mark(begins, offset + found.start() + 1, offset + stop)


def _left_out(text: Text, marks: Sequence[Mark]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the parts to remove, including their marks."""
    pieces = [
        Piece(before, text[before.stop if before else 0 : after.start if after else len(text)], after)
        for before, after in pairwise([None, *marks, None])
    ]
    done = 0
    for number, piece in enumerate(pieces):
        if piece.is_outside and _is_notice(piece, pieces[max(0, number - 1) : number + 2]):
            stop = piece.after.stop if piece.after else len(text)
            yield max(done, piece.before.start if piece.before else 0), stop
            done = stop


def _is_notice(piece: Piece, beside: Sequence[Piece]) -> bool:
    """Return whether a piece outside of books reads like a header or a licence; beside: the piece and its neighbours."""
    length = len(piece.text)
    if length > LONGEST_NOTICE:
        return False
    content = str(piece.text)
    same_kind = piece.before and piece.after and piece.before.begins == piece.after.begins
    if not LETTER.search(content) or (same_kind and length <= BETWEEN_MARKS):
        return True
    if any(one.is_book and length <= SHORT_SHARE * len(one.text) for one in beside):
        return True
    return len(NOTICE_WORDS.findall(content)) >= max(MIN_WORDS, WORDS_PER_CHARACTER * length)
