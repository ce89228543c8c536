"""Take the lines of a text without what dresses all of them alike: bullets, numbers, quotation marks, commas, counts."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from statistics import fmean

FEWEST_LINES = 8  # of a list
MOST = 0.8  # share of the lines that have to be dressed alike
FEWEST_KEPT = 0.7  # share of the distinct lines that stay distinct without their counts, unlike the steps of a program

_BRACKETED = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])$")
_QUOTES = "\"'“”„‘’«»《》「」『』〈〉`"
_NUMBER = r"[$€£]?\d[\d.,:–-]*(?:\s?[%€$£])?"  # a count, a year, a price or how long something takes
_COUNT = re.compile(rf"(?:(?<=\S)[ ]*[\t,;:]\s*|(?<=[^\s\d])\s+){_NUMBER}$")
_BULLET = r"[-*•–·+‣◦○▪■►→✓✔](?:\s*\[[ xX]?\])?"
_NUMBERING = r"[\[(]?\d{1,5}(?:[.):、．）\]]|-(?=\s))|\d{1,5}(?=\s)|[①-⑳]|[a-z]\)"
_DRESSES = (
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
    """The lines of a text that are not blank, and the same without what dresses all of them alike: `bare`.

    The first of many lines may be a heading, and comments may stand above a list; they are left out.
    """

    def __init__(self, text: str) -> None:
        whole = [line.rstrip() for line in text.split("\n")]
        self.blocks = [block for part in "\n".join(whole).split("\n\n") if (block := part.strip("\n"))]
        full = [line for line in whole if line]
        self.count = len(full)
        while len(full) > FEWEST_LINES and full[0].startswith(("#", "//", ";", "--")):
            del full[0]
        self.full = full[1:] if len(full) > FEWEST_LINES else full
        worded = [line for line in self.full if any(map(str.isalnum, line))]
        bare = _undressed(worded if len(worded) >= MOST * len(self.full) else self.full)
        self.bare = [line for line in _undressed(bare) if line]  # once more: brackets in quotation marks

    @cached_property
    def words(self) -> list[list[str]]:
        """The words of each bare line, without the marks around them."""
        words = [[word.strip(".,;:!?…\"'”“’()") for word in _WORD_GAP.split(line)] for line in self.bare]
        return [[word for word in line if word] for line in words]

    @cached_property
    def all_words(self) -> list[str]:
        """The words of all lines."""
        return [word for line in self.words for word in line]

    @cached_property
    def later_words(self) -> list[str]:
        """The words of all lines that do not begin one."""
        return [word for line in self.words for word in line[1:]]

    @cached_property
    def shouts(self) -> bool:
        """Whether there are capital letters only."""
        return not any(word != word.upper() for word in self.all_words)

    @cached_property
    def letters(self) -> Counter[str]:
        """How often each letter is there."""
        return Counter(letter for line in self.bare for letter in line.casefold() if letter.isalpha())

    def share(self, test: Callable[[str], object]) -> float:
        """Return the share of the bare lines that pass a test."""
        return fmean(bool(test(line)) for line in self.bare)


def _undressed(lines: Sequence[str]) -> list[str]:
    """Return lines without what most of them are dressed in, and without what stands in brackets at their end."""
    bare = [_BRACKETED.sub("", line.strip()) or line.strip() for line in lines]
    for pattern, replacement in _DRESSES:
        if _mostly(pattern, bare):
            bare = [pattern.sub(replacement, line) for line in bare]
    uncounted = [_COUNT.sub("", line) for line in bare]
    few_left = len(set(uncounted)) < FEWEST_KEPT * len(set(bare))  # as of the steps of a program
    return uncounted if _mostly(_COUNT, bare) and not few_left else bare


def _mostly(pattern: re.Pattern[str], lines: Sequence[str]) -> bool:
    return sum(bool(pattern.search(line)) for line in lines) >= MOST * len(lines)
