"""Store separate texts, such as a table's rows, as one text and the bounds of each."""

from array import array
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import replace

import numpy as np

from chargen.corpus.documents import Spans
from chargen.corpus.large_text import LargeText, Text

BLOCK_CHARACTERS = 1 << 20  # texts joined before they are written


class Rows:
    """Separate texts in one, each followed by a line end and with a label or None; blank texts are left out.

    Large ones are stored in a file, so that only the bounds are in memory.

    >>> rows = Rows([("Good day", "a"), ("And to you", None)])
    >>> rows.text, rows[1], rows.spans.label_names()
    ('Good day\\nAnd to you\\n', 'And to you', {'a'})
    """

    def __init__(self, texts: Iterable[tuple[str, str | None]], *, large: bool = False) -> None:
        self._starts, self._stops, self._labels = array("q"), array("q"), array("i")
        self._names: dict[str | None, int] = {}
        self.has_line_ends = False  # within a text
        blocks = self._blocks(texts)
        self.text: Text = LargeText(blocks) if large else "".join(blocks)
        starts, stops = np.array(self._starts, np.int64), np.array(self._stops, np.int64)
        self.spans = Spans(self.text, starts, stops, np.array(self._labels, np.int32), tuple(self._names))

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> Text:
        return self.spans[index].text

    def unlabelled(self) -> "Rows":
        """Return the same texts without labels."""
        other = copy(self)
        other.spans = replace(self.spans, labels=None, names=(None,))
        return other

    def _blocks(self, texts: Iterable[tuple[str, str | None]]) -> Iterator[str]:
        """Yield the texts, and append the bounds and the label of each."""
        kept: list[str] = []
        size = index = 0
        for text, label in texts:
            if not text.strip():
                continue
            self._starts.append(index)
            self._stops.append(index + len(text))
            self._labels.append(self._names.setdefault(label, len(self._names)))
            self.has_line_ends |= "\n" in text
            kept += text, "\n"
            index += len(text) + 1
            size += len(text) + 1
            if size > BLOCK_CHARACTERS:
                yield "".join(kept)
                kept, size = [], 0
        yield "".join(kept)
