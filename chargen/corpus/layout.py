"""Judge whether the lines of a text are entries of a list, such as names or titles, or belong to running text.

A text is a list unless the points of its signs (`layout_signs`) add up to `TEXT_POINTS`. The points were set on a labelled
table of small texts (tests/corpus/layouts).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from chargen.corpus.large_text import Text
from chargen.corpus.layout_lines import FEWEST_LINES, Lines
from chargen.corpus.layout_signs import SIGNS, running_on

FEWEST_BLOCKS, LONGEST_VERSE = 8, 60  # blocks with blank lines between and characters of a line, which may be poems
SAMPLE = 20_000  # characters that are looked at, once at the beginning and once in the middle
TEXT_POINTS, CERTAIN_POINTS = 0.8, 2.0
MOST_SPEECHES = 0.5  # share of the blocks
MOST_RUNNING_ON = 0.75  # share of lines that begin within a sentence, beyond which they are no entries but wrapped prose
SURE_POINTS = 0.5  # of the signs that a list of sentences, such as tweets, jokes or headlines, does not have

_OF_SENTENCES = {
    "sentences", "clauses", "plain words a line", "words of sentences", "short words", "few words", "running on",
    "long runs without spaces", "stanzas", "capitals", "sorted",
}  # fmt: skip
_AGAINST_STANZAS = {"running on", "symbols", "indents", "headers", "columns"}


@dataclass(frozen=True)
class Layout:
    """What a text is.

    kind: "list"; "text"; "doubtful", where it is more like a text, but its lines may be entries; or "short", where it is like a
    list of too few lines. signs: the points of each. lines: how many lines that are not blank were looked at; examples: two of
    them. stanzas: whether they stand in short blocks of short lines.
    """

    kind: str
    signs: dict[str, float]
    lines: int
    mean_length: float
    examples: tuple[str, ...]
    stanzas: bool

    @property
    def points(self) -> float:
        """The points of all signs."""
        return sum(self.signs.values())

    @property
    def is_code(self) -> bool:
        """Whether it has the symbols and the indented lines of a program."""
        return {"symbols", "indents"} <= set(self.signs)


def judge_layout(text: Text) -> Layout:
    r"""Judge a text by its lines; a long one by the lines of its beginning and of its middle.

    >>> judge_layout("Ada\nMary Ann\nGrace\nZoë\n" * 5).kind
    'list'
    >>> judge_layout("It was a dark and\nstormy night, and nobody\nslept. The wind\nblew.\n" * 5).kind
    'text'
    """
    lines = Lines(_sampled(text))
    signs = {sign.name: points for sign in SIGNS if lines.bare and (points := round(sign.points_of(lines), 3))}
    mean_length = fmean(map(len, lines.full)) if lines.full else 0.0
    examples = tuple(line.strip() for line in lines.full[:2])
    stanzas = "stanzas" in signs and not _AGAINST_STANZAS & set(signs) and _are_poems(lines.blocks)
    return Layout(_kind(lines, signs), signs, lines.count, mean_length, examples, stanzas)


def _are_poems(blocks: Sequence[str]) -> bool:
    """Tell whether blocks of lines may be poems: many, of short lines, and no speeches of a play."""
    longest = fmean(max(map(len, block.split("\n"))) for block in blocks)
    return len(blocks) >= FEWEST_BLOCKS and not _are_speeches(blocks) and longest <= LONGEST_VERSE


def _are_speeches(blocks: Sequence[str]) -> bool:
    """Tell whether blocks of lines are the speeches of a play: most begin with a name and a colon on a line of their own."""
    return len(blocks) >= FEWEST_BLOCKS and fmean(block.partition("\n")[0].endswith(":") for block in blocks) >= MOST_SPEECHES


def _kind(lines: Lines, signs: dict[str, float]) -> str:
    if lines.full and not lines.bare:  # nothing but numbers or bullets
        return "text"
    points = sum(signs.values())
    if points < TEXT_POINTS:
        return "list" if lines.count >= FEWEST_LINES else "short"
    joined = sum(points for name, points in signs.items() if name not in _OF_SENTENCES)
    is_sure = joined >= SURE_POINTS or running_on(lines) >= MOST_RUNNING_ON or _are_speeches(lines.blocks)
    return "text" if points >= CERTAIN_POINTS and is_sure else "doubtful"


def _sampled(text: Text) -> str:
    """Return the whole of a short text, whole lines of the beginning and of the middle of a long one."""
    if len(text) <= 2 * SAMPLE:
        return str(text)
    beginning, middle = str(text[:SAMPLE]), str(text[len(text) // 2 :][:SAMPLE])
    return beginning.rpartition("\n")[0] + "\n" + middle.partition("\n")[2].rpartition("\n")[0]
