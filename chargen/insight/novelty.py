"""Measure how much of a text is copied from the corpus, and from where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from chargen.corpus.reading import SourceText
from chargen.insight.copies import Copy, CopyFinder
from chargen.insight.resemblance import LineFinder, Resemblance
from chargen.runs.trained_text import training_texts


class CopiedSpan(NamedTuple):
    """A span of the corpus.

    number: the index of the text that contains it; source, line: where it first occurs in the corpus.
    """

    text: str
    number: int
    start: int
    source: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """What is copied in some texts. longest: None if no character occurs in the corpus."""

    characters: int
    longest: CopiedSpan | None
    copies: tuple[CopiedSpan, ...]  # of the requested length or longer
    copied: int  # characters within copies
    lines: tuple[str, ...]  # all non-blank lines
    exact: tuple[str, ...]  # lines that are lines of the corpus
    near: tuple[Resemblance, ...]  # lines that are nearly lines of the corpus

    @property
    def copied_share(self) -> float:
        """The share of all characters within copies."""
        return self.copied / self.characters if self.characters else 0.0


class NoveltyJudge:
    """Measures how new texts are, given the corpus. reading: "line" for a corpus of lines, whose texts are whole lines."""

    def __init__(self, sources: Sequence[SourceText], reading: str) -> None:
        self._names = [source.name for source in sources]
        self._texts = [str(source.text) for source in sources]
        self._by_line = reading == "line"

    @cached_property
    def _finder(self) -> CopyFinder:
        return CopyFinder(self._texts)

    @cached_property
    def _lines(self) -> frozenset[str]:
        return frozenset(line for text in self._texts for line in text.split("\n"))

    @cached_property
    def _line_finder(self) -> LineFinder:
        return LineFinder(self._lines)

    @property
    def num_characters(self) -> int:
        """The number of characters in the corpus."""
        return sum(map(len, self._texts))

    @property
    def name(self) -> str:
        """The name of the corpus's first file, and the number of further files."""
        return self._names[0] + (f" and {len(self._names) - 1} more" if len(self._names) > 1 else "")

    def is_new(self, prompt: str, continuation: str, copy_length: int) -> bool:
        """Return whether a line with its prompt is not in the corpus, or a continuation has no copy of `copy_length`."""
        if self._by_line:
            return prompt + continuation not in self._lines
        starts = range(len(continuation) - copy_length + 1)
        return not any(continuation[start : start + copy_length] in self._finder for start in starts)

    def judge(self, texts: Sequence[str], copy_length: int) -> Novelty:
        """Return what is copied in texts, in spans of `copy_length` characters or more."""
        found = [list(self._finder.copies(text)) for text in texts]
        long = [[copy for copy in copies if copy.length >= copy_length] for copies in found]
        longest = max(((copy, number) for number, copies in enumerate(found) for copy in copies), key=_length, default=None)
        lines = [line for text in texts for line in text.split("\n") if line.strip()]
        near = (self._line_finder.nearest(line) for line in lines if line not in self._lines)
        return Novelty(
            characters=sum(map(len, texts)),
            longest=self._span(texts[longest[1]], *longest) if longest else None,
            copies=tuple(self._span(texts[number], copy, number) for number, copies in enumerate(long) for copy in copies),
            copied=sum(map(_covered, long)),
            lines=tuple(lines),
            exact=tuple(line for line in lines if line in self._lines),
            near=tuple(one for one in near if one),
        )

    def _span(self, text: str, copy: Copy, number: int) -> CopiedSpan:
        piece = text[copy.start : copy.stop]
        origin = self._finder.origin(piece)
        return CopiedSpan(piece, number, copy.start, self._names[origin.source], origin.line)


def novelty_test(paths: Sequence[Path], reading: str, copy_length: int) -> Callable[[str, str], bool]:
    """Return a function that tells whether a prompt and its continuation are new to the corpora of some models.

    Raises CorpusError if the text of a corpus is gone.
    """
    return partial(NoveltyJudge(training_texts(paths), reading).is_new, copy_length=copy_length)


def _length(found: tuple[Copy, int]) -> int:
    return found[0].length


def _covered(copies: Sequence[Copy]) -> int:
    """Return the number of characters within copies, which are ordered and may overlap."""
    covered = reached = 0
    for copy in copies:
        covered += copy.stop - max(copy.start, reached)
        reached = copy.stop
    return covered
