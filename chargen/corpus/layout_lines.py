"""Remove from the lines of a text what all of them share: bullets, numbers, quotation marks, commas, counts."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from statistics import fmean

MIN_LINES = 8  # of a list
MIN_SHARE = 0.8  # share of the lines that must share a mark
MIN_DISTINCT_SHARE = 0.7  # of the distinct lines that differ without their counts; a program has fewer

_BRACKETED = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])$")
_QUOTES = "\"'“”„‘’«»《》「」『』〈〉`"
_NUMBER = r"[$€£]?\d[\d.,:–-]*(?:\s?[%€$£])?"  # a count, a year, a price or a duration
_COUNT = re.compile(rf"(?:(?<=\S)[ ]*[\t,;:]\s*|(?<=[^\s\d])\s+){_NUMBER}$")
_BULLET = r"[-*•–·+‣◦○▪■►→✓✔](?:\s*\[[ xX]?\])?"
_NUMBERING = r"[\[(]?\d{1,5}(?:[.):、．）\]]|-(?=\s))|\d{1,5}(?=\s)|[①-⑳]|[a-z]\)"
_SHARED_MARKS = (
    (re.compile(rf"^(?:{_BULLET}|{_NUMBERING})\s*"), ""),
    (re.compile(rf"^[{_QUOTES}]+"), ""),
    (re.compile(r"\s*[,;]$"), ""),
    (re.compile(rf"[{_QUOTES}]+$"), ""),
    (re.compile(rf"\t+{_NUMBER}$"), ""),
    (re.compile(r"^(\S+(?: \S+)?)\.$"), r"\1"),  # a full stop after one word or two
    (re.compile(r"^((?![a-z])[^\s,]+(?: [^\s,]+)?), ([^\s,]+(?: [^\s,]+)?)$"), r"\1 \2"),  # the last name, the first name
)
_WORD_GAP = re.compile(r"[\s・·＝]+")


class Lines:
    """The non-blank lines of a text, and `bare`: the same lines without the marks that all of them share.

    Comments above a list are left out, and so is the first of many lines, which may be a heading.
    """

    def __init__(self, text: str) -> None:
        whole = [line.rstrip() for line in text.split("\n")]
        self.blocks = [block for part in "\n".join(whole).split("\n\n") if (block := part.strip("\n"))]
        full = [line for line in whole if line]
        self.count = len(full)
        while len(full) > MIN_LINES and full[0].startswith(("#", "//", ";", "--")):
            del full[0]
        self.full = full[1:] if len(full) > MIN_LINES else full
        worded = [line for line in self.full if any(map(str.isalnum, line))]
        bare = _without_shared_marks(worded if len(worded) >= MIN_SHARE * len(self.full) else self.full)
        self.bare = [line for line in _without_shared_marks(bare) if line]  # once more: brackets in quotation marks

    @cached_property
    def words(self) -> list[list[str]]:
        """The words of each bare line, without surrounding punctuation."""
        words = [[word.strip(".,;:!?…\"'”“’()") for word in _WORD_GAP.split(line)] for line in self.bare]
        return [[word for word in line if word] for line in words]

    @cached_property
    def all_words(self) -> list[str]:
        """The words of all lines."""
        return [word for line in self.words for word in line]

    @cached_property
    def later_words(self) -> list[str]:
        """The words of all lines, except the first of each line."""
        return [word for line in self.words for word in line[1:]]

    @cached_property
    def is_upper(self) -> bool:
        """Whether all letters are capitals."""
        return not any(word != word.upper() for word in self.all_words)

    @cached_property
    def letters(self) -> Counter[str]:
        """The number of occurrences of each letter."""
        return Counter(letter for line in self.bare for letter in line.casefold() if letter.isalpha())

    def share(self, test: Callable[[str], object]) -> float:
        """Return the share of the bare lines that pass a test."""
        return fmean(bool(test(line)) for line in self.bare)


def _without_shared_marks(lines: Sequence[str]) -> list[str]:
    """Return lines without the marks that most of them share, and without brackets at their end."""
    bare = [_BRACKETED.sub("", line.strip()) or line.strip() for line in lines]
    for pattern, replacement in _SHARED_MARKS:
        if _mostly(pattern, bare):
            bare = [pattern.sub(replacement, line) for line in bare]
    uncounted = [_COUNT.sub("", line) for line in bare]
    few_left = len(set(uncounted)) < MIN_DISTINCT_SHARE * len(set(bare))  # as in the steps of a program
    return uncounted if _mostly(_COUNT, bare) and not few_left else bare


def _mostly(pattern: re.Pattern[str], lines: Sequence[str]) -> bool:
    return sum(bool(pattern.search(line)) for line in lines) >= MIN_SHARE * len(lines)
