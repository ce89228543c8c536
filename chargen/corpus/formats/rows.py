"""Keep texts that come one by one, such as a table's rows, as one text and where each of them lies in it."""

from array import array
from collections.abc import Iterable, Iterator
from copy import copy

from chargen.corpus.large_text import LargeText, Text

BLOCK_CHARACTERS = 1 << 20  # that are put together before they are written


class Rows:
    """Several texts in one, each ended by a line end, with a label each or None.

    Large ones lie in a file, so that only the places are in memory.

    >>> rows = Rows([("Good day", "a"), ("And to you", None)])
    >>> rows.text, rows[1], rows.labels
    ('Good day\\nAnd to you\\n', 'And to you', ['a', None])
    """

    def __init__(self, texts: Iterable[tuple[str, str | None]], *, large: bool = False) -> None:
        self._starts, self._stops = array("q"), array("q")
        self.labels: list[str | None] = []
        self.has_line_ends = False  # within a text
        blocks = self._blocks(texts)
        self.text: Text = LargeText(blocks) if large else "".join(blocks)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> Text:
        return self.text[self._starts[place] : self._stops[place]]

    def __iter__(self) -> Iterator[tuple[Text, str | None]]:
        return ((self[place], label) for place, label in enumerate(self.labels))

    def unlabelled(self) -> "Rows":
        """Return the same texts without labels."""
        other = copy(self)
        other.labels = [None] * len(self)
        return other

    def _blocks(self, texts: Iterable[tuple[str, str | None]]) -> Iterator[str]:
        """Yield the texts, and note where each lies and its label."""
        kept: list[str] = []
        size = place = 0
        for text, label in texts:
            self._starts.append(place)
            self._stops.append(place + len(text))
            self.labels.append(label)
            self.has_line_ends |= "\n" in text
            kept += text, "\n"
            place += len(text) + 1
            size += len(text) + 1
            if size > BLOCK_CHARACTERS:
                yield "".join(kept)
                kept, size = [], 0
        yield "".join(kept)
