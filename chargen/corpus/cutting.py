"""Choose how each text is read (by lines, by separators or as a whole) and cut it into documents."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from chargen.corpus.documents import Spans
from chargen.corpus.large_text import Text, is_blank
from chargen.corpus.layout import Layout, judge_layout
from chargen.corpus.lines import filled_lines
from chargen.corpus.reading import SourceText
from chargen.corpus.separators import (
    BLANK,
    NONE,
    bounds_between,
    cut_at,
    find_blank_separator,
    find_separator,
    is_in,
    separator_name,
    separator_pattern,
)
from chargen.corpus.wording import MAX_NOTED_FILES, listed
from chargen.errors import ConfigError
from chargen.settings.schema import CorpusConfig

LINE, DOCUMENT = "line", "document"
MIN_NOTED_LINES = 4  # a text with fewer short lines gets no note that it is read as a whole
SHORT_LINE = 160  # characters, on average
SHORT_ROW = 200  # characters, on average; rows no longer than this are read like a list of names
EXAMPLE_CHARACTERS = 40


class ReadText(NamedTuple):
    """A text and how it is read: "line", "document" or a separator.

    layout: the judged layout of the text; None for tables and if the settings choose the reading. inline: whether the separator
    is also found inside lines.
    """

    source: SourceText
    reading: str
    layout: Layout | None = None
    inline: bool = False

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.source.name

    @property
    def text(self) -> Text:
        """The whole text."""
        return self.source.text

    @property
    def separated(self) -> bool:
        """Whether a separator divides the documents."""
        return self.reading not in (LINE, DOCUMENT)

    def cut(self) -> Spans:
        """Cut the text, or each row of a table, into documents with the row's label; skip blank ones."""
        rows = self.source.rows
        if rows is None:
            return self._cut(self.text)
        if self.reading == DOCUMENT or (self.reading == LINE and not rows.has_line_ends):
            return rows.spans
        return _within_rows(rows.spans, map(self._cut, rows.spans.texts()))

    def _cut(self, text: Text) -> Spans:
        if self.separated:
            positions = list(bounds_between(text, separator_pattern(self.reading, inline=self.inline)))
            starts, stops = np.array(positions, np.int64).reshape(-1, 2).T
            return Spans(text, starts, stops)
        if self.reading == LINE:
            return Spans(text, *filled_lines(text))
        return Spans.whole(text).take(np.array([not is_blank(text)]))


def _within_rows(rows: Spans, pieces: Iterable[Spans]) -> Spans:
    """Return the pieces of each row as documents of the text of all rows, with the rows' labels."""
    cut = [start + np.stack([piece.starts, piece.stops]) for start, piece in zip(rows.starts, pieces, strict=True)]
    repeated = rows.take(np.repeat(np.arange(len(rows)), [positions.shape[1] for positions in cut]))
    starts, stops = np.concatenate([np.zeros((2, 0), np.int64), *cut], axis=1)
    return replace(repeated, starts=starts, stops=stops)


def choose_readings(sources: Sequence[SourceText], config: CorpusConfig, *, stateful: bool) -> list[ReadText]:
    """Choose how each text, or each row of a table, is read: as the settings say, else by its layout.

    Stateful training continues from line to line, so no text is then judged to be a list. Raises ConfigError if the settings
    hold readings for another number of files, or a separator that occurs in none of them.
    """
    if config.file_readings:
        if len(config.file_readings) != len(sources):
            given, files = len(config.file_readings), len(sources)
            raise ConfigError(
                f"--file-reading is given {given:,} times for {files:,} files", hint="give it once per file, in order"
            )
        return [ReadText(source, how) for source, how in zip(sources, config.file_readings, strict=True)]
    if config.separator not in (None, NONE):
        inline = _is_inline([source.text for source in sources], config.separator)
        return [ReadText(source, config.separator, inline=inline) for source in sources]
    if config.reading != "auto":
        return [ReadText(source, config.reading) for source in sources]
    return _judged(sources, separators=config.separator is None, lists=not stateful)


def _is_inline(texts: Sequence[Text], separator: str) -> bool:
    """Return whether a separator occurs only inside lines. Raises ConfigError if it does not occur at all."""
    for inline in (False, True):
        pattern = separator_pattern(separator, inline=inline)
        if any(is_in(text, pattern) for text in texts):
            return inline
    what = "empty line" if separator == BLANK else f"separator {separator!r}"
    raise ConfigError(f"there is no {what} in the text", hint="give another --separator, or leave it out")


def _judged(sources: Sequence[SourceText], *, separators: bool, lists: bool) -> list[ReadText]:
    """Judge each text by its layout; a text of a few short lines is a list if most of the others are lists."""
    layouts = [None if source.rows else judge_layout(source.text) for source in sources]
    kinds = [layout.kind for layout in layouts if layout]
    by_line = {"list"} if lists else set()
    if lists and kinds.count("list") > kinds.count("text") + kinds.count("doubtful"):
        by_line.add("short")
    judged = []
    for source, layout in zip(sources, layouts, strict=True):
        separator = _separator(source.text, layout) if separators and layout else None
        in_lines = layout.kind in by_line if layout else lists and _has_short_rows(source)
        judged.append(ReadText(source, separator or (LINE if in_lines else DOCUMENT), layout))
    return judged


def _has_short_rows(source: SourceText) -> bool:
    """Return whether the rows of a table are short and have one line each."""
    return source.rows is not None and not source.rows.has_line_ends and len(source.text) <= SHORT_ROW * len(source.rows)


def _separator(text: Text, layout: Layout) -> str | None:
    return find_separator(text) or (None if layout.is_code else find_blank_separator(text))


def cut_like(text: Text, config: CorpusConfig) -> Iterable[Text]:
    """Cut a text at the separator of a run's texts if the text contains it; else return it whole."""
    if config.separator in (None, NONE):
        return [text]
    lines, inline = (separator_pattern(config.separator, inline=inline) for inline in (False, True))
    return cut_at(text, lines if is_in(text, lines) else inline)


def main_reading(texts: Sequence[ReadText]) -> str:
    """Return how most of the characters are read: "line", "document" or a separator."""
    sizes: Counter[str] = Counter()
    for one in texts:
        sizes[one.reading] += len(one.text)
    return sizes.most_common(1)[0][0]


def describe_readings(texts: Sequence[ReadText], cut: Sequence[Spans]) -> Iterator[str]:
    """Yield notes on the chosen readings, each with an example and the option that changes it.

    cut: the documents of each text.
    """
    judged = [(one, documents) for one, documents in zip(texts, cut, strict=True) if one.layout]
    lists = [(one, len(documents)) for one, documents in judged if one.reading == LINE]
    separated = [(one, documents) for one, documents in judged if one.separated]
    whole = [one for one, _ in judged if one.reading == DOCUMENT and not is_blank(one.text)]
    if lists:
        yield _about_lists(lists, alone=len(texts) == 1)
    if separated:
        yield from _about_separators(separated, alone=len(texts) == 1)
    if whole and (lists or separated):
        yield (
            f"{listed([one.name for one in whole])}: read as a whole, one document for each file "
            f"(--file-reading chooses for each file)"
        )
    elif whole:
        yield from _about_short_lines(whole, alone=len(texts) == 1)


def _about_lists(lists: Sequence[tuple[ReadText, int]], *, alone: bool) -> str:
    lines = sum(count for _, count in lists)
    first = lists[0][0]
    examples = ", ".join(repr(_shortened(line)) for line in first.layout.examples) if first.layout else ""
    what = "a list of names or titles" if len(lists) == 1 else f"{len(lists):,} lists of names or titles"
    where = "" if alone else f"{listed([one.name for one, _ in lists])}: "
    return (
        f"{where}{what}, {lines:,} lines such as {examples}: each line is one document "
        f"(--document reads {'the text' if alone else 'each file'} as a whole)"
    )


def _about_separators(texts: Sequence[tuple[ReadText, Spans]], *, alone: bool) -> Iterator[str]:
    for separator in dict.fromkeys(one.reading for one, _ in texts):
        those = [(one, cut) for one, cut in texts if one.reading == separator]
        documents = sum(len(cut) for _, cut in those)
        where = "" if alone else f"{listed([one.name for one, _ in those])}: "
        first = str(those[0][1][0].text[: EXAMPLE_CHARACTERS + 1]).partition("\n")[0]
        yield (
            f"{where}{documents:,} documents with {separator_name(separator)} between them, the first begins "
            f"{_shortened(first)!r} (--document reads {'the text' if alone else 'each file'} as a whole)"
        )


def _about_short_lines(texts: Sequence[ReadText], *, alone: bool) -> Iterator[str]:
    """Yield notes on texts that may nevertheless be lists or poems."""
    notes = [note for one in texts if (note := _about_one(one, "" if alone else f"{one.name}: "))]
    yield from notes[:MAX_NOTED_FILES]
    if len(notes) > MAX_NOTED_FILES:
        yield f"{len(notes) - MAX_NOTED_FILES:,} more files of short lines or stanzas are read as one document each"


def _about_one(one: ReadText, where: str) -> str:
    layout = one.layout
    assert layout is not None
    unsure = layout.kind in ("doubtful", "short") and layout.lines >= MIN_NOTED_LINES and layout.mean_length <= SHORT_LINE
    if layout.stanzas:
        blocks = sum(1 for _ in bounds_between(one.text, separator_pattern(BLANK)))
        hint = "--separator blank makes each block a document" + (", --per-line each line" if unsure else "")
        what = f"{blocks:,} blocks between empty lines"
    elif unsure:
        what, hint = f"{len(filled_lines(one.text)[0]):,} short lines", "--per-line makes each line a document"
    else:
        return ""
    return f"{where}{what}, read as one document ({hint}), such as {_shortened(layout.examples[0])!r}"


def _shortened(line: str) -> str:
    return line if len(line) <= EXAMPLE_CHARACTERS else f"{line[: EXAMPLE_CHARACTERS - 3].rstrip()}..."
