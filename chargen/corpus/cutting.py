"""Choose how each text is read, by lines or as a whole, and cut it into documents."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from chargen.config import CorpusConfig
from chargen.corpus.large_text import Text, is_blank, text_blocks
from chargen.corpus.layout import Layout, judge_layout
from chargen.corpus.reading import SourceText
from chargen.errors import ConfigError

LINE, DOCUMENT = "line", "document"
FEWEST_TOLD = 4  # short lines of a text of which a note says that it is read as a whole
SHORT_LINE = 100  # characters, on average
SHORT_ROW = 200  # characters of a row, on average, up to which rows are read as names are
EXAMPLE_CHARACTERS = 40
MOST_NAMED = 3  # files in one note


class ReadText(NamedTuple):
    """A text and how it is read. layout: what it was judged to be, None for tables and where the settings say how."""

    source: SourceText
    reading: str
    layout: Layout | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.source.name

    @property
    def text(self) -> Text:
        """All of the text."""
        return self.source.text

    def documents(self) -> Iterator[tuple[Text, str | None]]:
        """Yield what the text, or each row of a table, is cut into, with the label of the row.

        Blank lines and blank texts are left out.
        """
        for text, label in self.source.texts:
            parts: Iterable[Text] = str(text).split("\n") if self.reading == LINE else [text]
            yield from ((part, label) for part in parts if not is_blank(part))


def choose_readings(sources: Sequence[SourceText], config: CorpusConfig, *, stateful: bool) -> list[ReadText]:
    """Choose how each text is read: as the settings say, else as it looks by itself. Of a table it is how each row is read.

    A text of a few short lines is a list where most of the others are lists. Stateful training reads on from line to line, so
    nothing is a list by itself then. Raises ConfigError where the settings say it for another number of files.
    """
    if config.file_readings:
        if len(config.file_readings) != len(sources):
            given, files = len(config.file_readings), len(sources)
            raise ConfigError(
                f"{given:,} values of --file-reading for {files:,} files", hint="give it once for each file, in order"
            )
        return [ReadText(source, how) for source, how in zip(sources, config.file_readings, strict=True)]
    if config.reading != "auto" or stateful:
        return [ReadText(source, LINE if config.reading == LINE else DOCUMENT) for source in sources]
    layouts = [None if source.rows else judge_layout(source.text) for source in sources]
    kinds = [layout.kind for layout in layouts if layout]
    lists = {"list", "short"} if kinds.count("list") > kinds.count("text") + kinds.count("doubtful") else {"list"}
    return [
        ReadText(source, LINE if (layout.kind in lists if layout else _in_lines(source)) else DOCUMENT, layout)
        for source, layout in zip(sources, layouts, strict=True)
    ]


def _in_lines(source: SourceText) -> bool:
    """Tell whether the rows of a table are short and have one line each."""
    return source.rows is not None and not source.rows.has_line_ends and len(source.text) <= SHORT_ROW * len(source.rows)


def main_reading(texts: Sequence[ReadText]) -> str:
    """Return how most of the characters are read."""
    by_line = sum(len(one.text) if one.reading == LINE else -len(one.text) for one in texts)
    return LINE if by_line > 0 else DOCUMENT


def describe_readings(texts: Sequence[ReadText], counts: Sequence[int]) -> Iterator[str]:
    """Yield notes on what was chosen, each with an example and the option that changes it; counts: documents of each text."""
    judged = [(one, count) for one, count in zip(texts, counts, strict=True) if one.layout]
    lists = [(one, count) for one, count in judged if one.reading == LINE]
    whole = [one for one, _ in judged if one.reading == DOCUMENT and not is_blank(one.text)]
    if lists:
        yield _about_lists(lists, alone=len(texts) == 1)
    if lists and whole:
        yield (
            f"{_named([one.name for one in whole])}: read as a whole, one document for each file "
            f"(--file-reading chooses for each file)"
        )
    elif whole:
        yield from _about_short_lines(whole, alone=len(texts) == 1)


def _about_lists(lists: Sequence[tuple[ReadText, int]], *, alone: bool) -> str:
    lines = sum(count for _, count in lists)
    first = lists[0][0]
    examples = ", ".join(repr(_shortened(line)) for line in first.layout.examples) if first.layout else ""
    what = "a list of names or titles" if len(lists) == 1 else f"{len(lists):,} lists of names or titles"
    where = "" if alone else f"{_named([one.name for one, _ in lists])}: "
    return (
        f"{where}{what}, {lines:,} lines such as {examples}: each line is one document "
        f"(--document reads {'the text' if alone else 'each file'} as a whole)"
    )


def _about_short_lines(texts: Sequence[ReadText], *, alone: bool) -> Iterator[str]:
    told = [
        one
        for one in texts
        if one.layout
        and one.layout.kind in ("doubtful", "short")
        and one.layout.lines >= FEWEST_TOLD
        and one.layout.mean_length <= SHORT_LINE
    ]
    for one in told[:MOST_NAMED]:
        assert one.layout is not None
        lines = sum(bool(line.strip()) for block in text_blocks(one.text) for line in block.split("\n"))
        where = "" if alone else f"{one.name}: "
        example = _shortened(one.layout.examples[0])
        yield f"{where}{lines:,} short lines, read as one document (--per-line makes each one of its own), such as {example!r}"
    if len(told) > MOST_NAMED:
        yield f"{len(told) - MOST_NAMED:,} more files of short lines are read as one document each"


def _named(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _shortened(line: str) -> str:
    return line if len(line) <= EXAMPLE_CHARACTERS else f"{line[: EXAMPLE_CHARACTERS - 3].rstrip()}..."
