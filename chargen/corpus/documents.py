"""Store documents as spans of texts: the start and the end of each, not a copy of its text.

A list of a million names takes about 20 MB this way; a string and an object for each would take 300 MB.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from chargen.corpus.large_text import Text

CHUNK = 1 << 14  # documents whose bounds are converted to Python integers at a time
READ_AHEAD = 1 << 16  # characters read at a time from a text in a file
SHORT = 500  # characters; shorter documents of a text in a file are read into memory

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Document(NamedTuple):
    """A piece of text that shares no window with another.

    part: the number of its text in a mix. ends: whether the document ends here; False for a piece that was cut before the end
    of its document, whose end is not predicted.
    """

    text: Text
    label: str | None = None
    part: int = 0
    ends: bool = True


@dataclass(frozen=True, eq=False)
class Spans:
    """The documents of one text, in text order.

    starts, stops: (N,) bounds of each document. labels: (N,) indices into `names`; None if all documents have the label
    names[0]. ends: (N,) whether each document ends at `stops`, see `Document`; None if all do.
    """

    text: Text
    starts: Indices
    stops: Indices
    labels: npt.NDArray[np.int32] | None = None
    names: tuple[str | None, ...] = (None,)
    part: int = 0
    ends: Flags | None = None

    @classmethod
    def whole(cls, text: Text) -> "Spans":
        """Return a text as one document."""
        return cls(text, np.array([0]), np.array([len(text)]))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> Indices:
        """Characters of each document, (N,)."""
        return self.stops - self.starts

    def take(self, numbers: npt.NDArray[np.integer] | Flags) -> "Spans":
        """Return some of the documents, by index or by a boolean mask."""
        return replace(
            self,
            starts=self.starts[numbers],
            stops=self.stops[numbers],
            labels=None if self.labels is None else self.labels[numbers],
            ends=None if self.ends is None else self.ends[numbers],
        )

    def narrowed(self, starts: Indices, stops: Indices) -> "Spans":
        """Return a part of each document, with bounds of shape (N,); a part that stops early has no end."""
        ends = stops == self.stops
        return replace(self, starts=starts, stops=stops, ends=ends if self.ends is None else ends & self.ends)

    def labelled(self, label: str | None) -> "Spans":
        """Return the documents with this label where they have none."""
        names = tuple(label if name is None else name for name in self.names)
        return replace(self, names=names)

    @property
    def label_numbers(self) -> npt.NDArray[np.int32]:
        """Indices of the labels in `names`, (N,)."""
        return np.zeros(len(self), np.int32) if self.labels is None else self.labels

    def label_names(self) -> set[str]:
        """Return the distinct labels."""
        return {name for number in np.unique(self.label_numbers).tolist() if (name := self.names[number]) is not None}

    def __getitem__(self, number: int) -> Document:
        text = self.text[int(self.starts[number]) : int(self.stops[number])]
        return self._document(number, str(text) if len(text) <= SHORT else text)

    def documents(self) -> Iterator[Document]:
        """Yield the documents."""
        return (self._document(number, text) for number, text in enumerate(self.texts()))

    def _document(self, number: int, text: Text) -> Document:
        label = self.names[0 if self.labels is None else int(self.labels[number])]
        return Document(text, label, self.part, self.ends is None or bool(self.ends[number]))

    def texts(self) -> Iterator[Text]:
        """Yield the text of each document; short documents of a text in a file are read many at a time."""
        held, offset = ("", 0) if not isinstance(self.text, str) else (self.text, 0)
        for start, stop in self._bounds():
            if stop <= offset + len(held) and start >= offset:
                yield held[start - offset : stop - offset]
            elif stop - start > SHORT:
                yield self.text[start:stop]
            else:
                held, offset = str(self.text[start : start + READ_AHEAD]), start
                yield held[: stop - start]

    def _bounds(self) -> Iterator[tuple[int, int]]:
        for first in range(0, len(self), CHUNK):
            chunk = slice(first, first + CHUNK)
            yield from zip(self.starts[chunk].tolist(), self.stops[chunk].tolist(), strict=True)


class Documents(Sequence[Document]):
    """Documents of one or several texts, in order.

    >>> documents = Documents.of([Document("Ada"), Document("Grace")])
    >>> len(documents), documents[1].text, documents.lengths.tolist()
    (2, 'Grace', [3, 5])
    """

    def __init__(self, groups: Iterable[Spans] = ()) -> None:
        self.groups = tuple(group for group in groups if len(group))
        self._first = np.cumsum([0, *map(len, self.groups)])

    @classmethod
    def of(cls, documents: Iterable[Document]) -> "Documents":
        """Join documents; neighbours in memory become spans of one text."""
        groups = groupby(documents, key=lambda one: (one.part, isinstance(one.text, str) or object()))
        return cls(_joined(list(group)) for _, group in groups)

    def __len__(self) -> int:
        return int(self._first[-1])

    @overload
    def __getitem__(self, number: int) -> Document: ...
    @overload
    def __getitem__(self, number: slice) -> "Documents": ...
    def __getitem__(self, number: int | slice) -> "Document | Documents":
        if isinstance(number, slice):
            return self.take(np.arange(len(self))[number])
        number = range(len(self))[number]
        group = int(np.searchsorted(self._first, number, side="right")) - 1
        return self.groups[group][number - int(self._first[group])]

    def __iter__(self) -> Iterator[Document]:
        return (document for group in self.groups for document in group.documents())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as for a list

    def __add__(self, other: "Documents") -> "Documents":
        return Documents(self.groups + other.groups)

    def __repr__(self) -> str:
        return f"Documents.of({list(self)!r})"

    def take(self, numbers: npt.NDArray[np.integer]) -> "Documents":
        """Return the documents with the given indices, which must be in ascending order."""
        bounds = np.searchsorted(numbers, self._first)
        return Documents(
            group.take(numbers[low:high] - first)
            for group, first, low, high in zip(self.groups, self._first, bounds, bounds[1:], strict=False)
        )

    def of_part(self, part: int) -> "Documents":
        """Return the documents of one text of a mix."""
        return Documents(group for group in self.groups if group.part == part)

    def texts(self) -> Iterator[Text]:
        """Yield the text of each document."""
        return (text for group in self.groups for text in group.texts())

    @cached_property
    def lengths(self) -> Indices:
        """Characters of each document, (N,)."""
        return np.concatenate([np.array([], np.int64), *(group.lengths for group in self.groups)])

    @property
    def ends(self) -> Flags:
        """Whether each document ends at its last character, (N,)."""
        flags = [np.ones(len(group), bool) if group.ends is None else group.ends for group in self.groups]
        return np.concatenate([np.array([], bool), *flags])

    @property
    def num_characters(self) -> int:
        """Characters of all documents."""
        return int(self.lengths.sum())

    @property
    def labels(self) -> Iterator[str | None]:
        """The label of each document."""
        return (group.names[number] for group in self.groups for number in group.label_numbers.tolist())

    @property
    def label_names(self) -> tuple[str, ...]:
        """The distinct labels, in alphabetical order."""
        return tuple(sorted(set().union(*(group.label_names() for group in self.groups))))


def _joined(documents: Sequence[Document]) -> Spans:
    """Return consecutive documents, all in memory or one in a file, as spans of one text."""
    first = documents[0]
    stops = np.cumsum([len(one.text) for one in documents])
    names = tuple(dict.fromkeys(one.label for one in documents))
    return Spans(
        first.text if len(documents) == 1 else "".join(map(str, (one.text for one in documents))),
        np.concatenate([[0], stops[:-1]]),
        stops,
        labels=np.array([names.index(one.label) for one in documents], np.int32),
        names=names,
        part=first.part,
        ends=np.array([one.ends for one in documents]),
    )
