"""Mix predictions with those of n-grams that are counted while a text is read or written: a cache of its own phrases.

The text is counted from its first token, and what is predicted is counted afterwards, so that every prediction is made from
what stands before it. With p the probabilities of the network, or of the network and its n-gram memory, c(token, context) the
count of a token after a context of n tokens, and D the discount:

    p_1(token) = p(token)
    p_n(token) = (max(c(token, context) - D, 0) + (D kinds + s_n) p_n-1(token)) / (sum of c(., context) + s_n)

for n from SHORTEST to ORDER - 1, as far as the context has occurred; kinds is how many tokens have followed it. The counts are
those of interpolated Kneser-Ney smoothing: the longest grams are counted by occurrence, all others by the number of different
tokens before them. p takes the place of the unigrams, so where nothing recurs the prediction is p. The strengths s_n are those
of a hierarchical Pitman-Yor process (Teh 2006); they fall with the length of the context, since a long one rarely recurs by
chance. The constants were chosen on texts that are not in our reports.

No context reaches over the beginning of a document. A cache remembers up to WINDOW tokens; then it forgets the older half.
"""

import ctypes
from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.native.library import Kernels, find_kernels

Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]

ORDER = 8
SHORTEST = 2  # tokens of a context; shorter ones predict worse than a network
DISCOUNT = 0.9
STRENGTHS = 4.0 ** (6 - np.arange(ORDER))  # by the length of the context
WINDOW = 1 << 17  # tokens; about 10 MB
WEIGHT = 0.9  # for reading a text
GRAM_FIELDS = 6  # int32 numbers of the struct `Gram` of cache.c


class Cache(ABC):
    """The counts of B texts side by side, and their weight in the mixture, from 0 to 1."""

    def __init__(self, vocabulary: Vocabulary, rows: int, weight: float, window: int) -> None:
        self.vocab_size, self.rows, self.weight, self.window = len(vocabulary), rows, weight, window
        self.first_label = self.vocab_size - len(vocabulary.labels)

    @abstractmethod
    def step(self, ids: TokenIds) -> None:
        """Read one id a row, (B,)."""

    @abstractmethod
    def mix(self, logits: Singles) -> None:
        """Replace the logits of each row's next token, (B, V), by the logarithms of the mixture, in place."""

    @abstractmethod
    def follow(self, ids: TokenIds, mixed: Flags, logits: Singles) -> None:
        """Read (N,) ids of one text, and mix the logits after each id that is `mixed`, (number of them, V), in place."""


def make_cache(vocabulary: Vocabulary, rows: int, weight: float, *, window: int = WINDOW) -> Cache:
    """Return the cache of `rows` texts of which nothing was read."""
    kernels = find_kernels()
    if kernels is None:
        return PlainCache(vocabulary, rows, weight, window)
    return NativeCache(vocabulary, rows, weight, window, kernels)


class CacheStruct(ctypes.Structure):
    """The struct `Cache` of cache.c."""

    _fields_: ClassVar = [
        *((name, ctypes.c_long) for name in ("V", "order", "shortest", "first_label", "window", "capacity")),
        *((name, ctypes.c_double) for name in ("weight", "discount")),
        *((name, ctypes.c_void_p) for name in ("strengths", "used", "remembered", "contexts", "ids", "grams")),
    ]


@final
class NativeCache(Cache):
    """A cache in C. struct: what the kernels read and change, as long as the cache exists."""

    def __init__(self, vocabulary: Vocabulary, rows: int, weight: float, window: int, kernels: Kernels) -> None:
        super().__init__(vocabulary, rows, weight, window)
        self._library = kernels.library
        self._used, self._remembered = np.ones(rows, np.int32), np.zeros(rows, np.int32)
        self._contexts, self._room = np.zeros((rows, ORDER), np.int32), np.empty(self.vocab_size)
        self._ids, self._grams = np.empty((rows, 0), np.int32), np.zeros((rows, 1, GRAM_FIELDS), np.int32)
        addresses = [one.ctypes.data for one in (STRENGTHS, self._used, self._remembered, self._contexts)]
        sizes = (self.vocab_size, ORDER, SHORTEST, self.first_label, window, 0)
        self.struct = CacheStruct(*sizes, weight, DISCOUNT, *addresses)

    def reserve(self, steps: int) -> None:
        """Make room for the next ids of each row."""
        known = int(self._remembered.max())
        capacity, needed = self.struct.capacity, min(known + steps, self.window)
        if needed <= capacity:
            return
        self.struct.capacity = min(max(needed, 2 * capacity), self.window)
        self._ids = _grown(self._ids, known, self.struct.capacity)
        self._grams = _grown(self._grams, int(self._used.max()), self.struct.capacity * ORDER + 1)
        self.struct.ids, self.struct.grams = self._ids.ctypes.data, self._grams.ctypes.data

    def step(self, ids: TokenIds) -> None:
        self.reserve(1)
        self._call("cache_read", 0, self.rows, np.ascontiguousarray(ids, np.int32))

    def mix(self, logits: Singles) -> None:
        self._call("cache_mix", 0, self.rows, logits, self._room)

    def follow(self, ids: TokenIds, mixed: Flags, logits: Singles) -> None:
        self.reserve(len(ids))
        self._call("cache_follow", len(ids), np.ascontiguousarray(ids, np.int32), mixed, logits, self._room)

    def _call(self, name: str, *arguments: int | npt.NDArray[Any]) -> None:
        given = [ctypes.c_long(one) if isinstance(one, int) else ctypes.c_void_p(one.ctypes.data) for one in arguments]
        getattr(self._library, name)(ctypes.byref(self.struct), *given)


def _grown(array: npt.NDArray[np.int32], used: int, length: int) -> npt.NDArray[np.int32]:
    """Return a longer array with the first columns of another; the system gives it memory when it is written to."""
    longer = np.empty((len(array), length, *array.shape[2:]), np.int32)
    longer[:, :used] = array[:, :used]
    return longer


@final
class PlainCache(Cache):
    """A cache in Python's dictionaries, where there are no kernels."""

    def __init__(self, vocabulary: Vocabulary, rows: int, weight: float, window: int) -> None:
        super().__init__(vocabulary, rows, weight, window)
        self._texts = [_Text(window, self.first_label) for _ in range(rows)]

    def step(self, ids: TokenIds) -> None:
        for text, token in zip(self._texts, ids.tolist(), strict=True):
            text.read(token)

    def mix(self, logits: Singles) -> None:
        for text, row in zip(self._texts, logits, strict=True):
            self._mix(text, row)

    def follow(self, ids: TokenIds, mixed: Flags, logits: Singles) -> None:
        (text,), rows = self._texts, iter(logits)
        for token, wanted in zip(ids.tolist(), mixed.tolist(), strict=True):
            text.read(token)
            if wanted:
                self._mix(text, next(rows))

    def _mix(self, text: "_Text", logits: Singles) -> None:
        network = np.exp(logits - logits.max(), dtype=np.float64)
        network /= network.sum()
        mixture = (1 - self.weight) * network + self.weight * text.interpolate(network)
        with np.errstate(divide="ignore"):
            logits[:] = np.log(mixture)


class _Text:
    """The grams of one text, by their context."""

    def __init__(self, window: int, first_label: int) -> None:
        self._window, self._first_label = window, first_label
        self._ids: list[int] = []
        self._forget()

    def _forget(self) -> None:
        self._counts: dict[tuple[int, ...], dict[int, int]] = {}
        self._context: tuple[int, ...] = ()  # the last tokens of the document, ORDER - 1 at most

    def read(self, token: int) -> None:
        if len(self._ids) == self._window:
            self._ids = self._ids[-(self._window // 2) :]
            self._forget()
            for known in self._ids:
                self._count(known)
        self._ids.append(token)
        self._count(token)

    def _count(self, token: int) -> None:
        new = True  # no longer gram with this token was known
        for first in range(len(self._context) + 1):
            counts = self._counts.setdefault(self._context[first:], {})
            known = token in counts
            if new:
                counts[token] = counts.get(token, 0) + 1
            new = not known
        begins = token == BOUNDARY or token >= self._first_label
        self._context = (token,) if begins else (*self._context, token)[1 - ORDER :]

    def interpolate(self, network: Doubles) -> Doubles:
        """Return the probabilities of the next token, (V,), given the network's."""
        found = network
        for length in range(SHORTEST, len(self._context) + 1):
            counts = self._counts.get(self._context[-length:])
            if not counts:
                continue
            total = sum(counts.values()) + STRENGTHS[length]
            found = found * ((DISCOUNT * len(counts) + STRENGTHS[length]) / total)
            found[list(counts)] += (np.array(list(counts.values())) - DISCOUNT) / total
        return found
