"""Judge whether the lines of a text are entries of a list, such as names or titles, or parts of running text.

A text is a list unless the points of its signs (`layout_signs`) add up to `TEXT_POINTS`. The points were set on a labelled
table of small texts (tests/corpus/layouts).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from chargen.corpus.large_text import Text
from chargen.corpus.layout_lines import MIN_LINES, Lines
from chargen.corpus.layout_signs import SIGNS, running_on

MIN_BLOCKS, LONGEST_VERSE = 8, 60  # of poems: blocks between blank lines, characters a line
SAMPLE = 20_000  # characters, examined at the beginning and again in the middle
TEXT_POINTS, CERTAIN_POINTS = 0.8, 2.0
MAX_SPEECHES = 0.5  # share of the blocks
MAX_RUNNING_ON = 0.75  # share of lines that begin within a sentence; above it the text is wrapped prose
SURE_POINTS = 0.5  # the signs that a list of sentences, such as tweets, jokes or headlines, lacks

_OF_SENTENCES = {
    "sentences", "clauses", "plain words a line", "words of sentences", "short words", "few words", "running on",
    "long runs without spaces", "stanzas", "capitals", "sorted",
}  # fmt: skip
_AGAINST_STANZAS = {"running on", "symbols", "indents", "headers", "columns"}


@dataclass(frozen=True)
class Layout:
    """The judged layout of a text.

    kind: "list"; "text"; "doubtful": more like a text, but its lines may be entries; "short": like a list of too few lines.
    signs: the points of each sign. lines: the number of non-blank lines examined. examples: two of them. stanzas: whether the
    lines form short blocks of short lines.
    """

    kind: str
    signs: dict[str, float]
    lines: int
    mean_length: float
    examples: tuple[str, ...]
    stanzas: bool

    @property
    def points(self) -> float:
        """The sum of the points of all signs."""
        return sum(self.signs.values())

    @property
    def is_code(self) -> bool:
        """Whether the text has the symbols and the indented lines of a program."""
        return {"symbols", "indents"} <= set(self.signs)


def judge_layout(text: Text) -> Layout:
    r"""Judge a text by its lines; a long text by the lines at its beginning and in its middle.

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
    """Return whether blocks of lines may be poems: many blocks of short lines, and not speeches of a play."""
    longest = fmean(max(map(len, block.split("\n"))) for block in blocks)
    return len(blocks) >= MIN_BLOCKS and not _are_speeches(blocks) and longest <= LONGEST_VERSE


def _are_speeches(blocks: Sequence[str]) -> bool:
    """Return whether blocks of lines are speeches of a play: most begin with a name and a colon on a separate line."""
    return len(blocks) >= MIN_BLOCKS and fmean(block.partition("\n")[0].endswith(":") for block in blocks) >= MAX_SPEECHES


def _kind(lines: Lines, signs: dict[str, float]) -> str:
    if lines.full and not lines.bare:  # nothing but numbers or bullets
        return "text"
    points = sum(signs.values())
    if points < TEXT_POINTS:
        return "list" if lines.count >= MIN_LINES else "short"
    joined = sum(points for name, points in signs.items() if name not in _OF_SENTENCES)
    is_sure = joined >= SURE_POINTS or running_on(lines) >= MAX_RUNNING_ON or _are_speeches(lines.blocks)
    return "text" if points >= CERTAIN_POINTS and is_sure else "doubtful"


def _sampled(text: Text) -> str:
    """Return a short text whole; of a long text, whole lines from the beginning and the middle."""
    if len(text) <= 2 * SAMPLE:
        return str(text)
    beginning, middle = str(text[:SAMPLE]), str(text[len(text) // 2 :][:SAMPLE])
    return beginning.rpartition("\n")[0] + "\n" + middle.partition("\n")[2].rpartition("\n")[0]
