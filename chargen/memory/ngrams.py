"""Predict the next token from the n-grams of a training text, beside a network.

The n-grams are a tree: the children of a context are the tokens that continue it. Nodes are numbered level by level, siblings
in the order of their tokens: 0 is the root, 1 + t the unigram of token t. The probability of a token after a context is

    p(token | context) = kept(token, context) + (1 - sum of kept(., context)) p(token | context without its first token)

and after the empty context the rest is shared by all tokens. `kept` is 0 for tokens that are not children of the context.

The mixture of both at weight w is the mean of the square roots of their probabilities, squared,

    p(token) ~ ((1 - w) sqrt(p_network(token)) + w sqrt(p_ngrams(token)))^2,

which is between the arithmetic and the geometric mean (Amari 2007, Integration of stochastic models by minimizing
alpha-divergence, with alpha 0). benchmarks/mixtures.py compares the three.

The memory of a list of lines also knows its lines, see chargen/memory/lines.py.
"""

import ctypes
from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, narrowest_dtype
from chargen.memory.lines import INSIDE, KnownLines, read_lines
from chargen.native.library import find_kernels

# (..., width): the node of the last 0, 1, ... tokens, or `nowhere`; then the hash of the line so far, if lines are known.
Contexts = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.integer]

LONGEST_ORDER = 32
LARGEST_SUM = 1 + 1e-3  # of `kept` in half precision


class MemoryStruct(ctypes.Structure):
    """The struct `Memory` of memory.c."""

    _fields_: ClassVar = [
        *((name, ctypes.c_long) for name in ("V", "order", "width", "nowhere", "first_label", "num_lines")),
        ("weight", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("firsts", "tokens", "kept", "rest", "lines", "log_factors")),
    ]


@final
class NgramMemory:
    """An n-gram model over ids, and its weight in a mixture with a network.

    tokens: (N,) the last token of each node. children: (N,) how many nodes follow it. kept: (N,) float16, see above. weight:
    the share of the n-grams in the mixture, from 0 to 1. first_label: ids from here on are labels. rest: (N + 1,) what the
    children of each node, and of `nowhere`, leave over. lines: the lines of the text, or None.
    """

    def __init__(
        self,
        grams: Mapping[str, npt.NDArray[Any]],
        *,
        vocab_size: int,
        first_label: int,
        weight: float,
        lines: KnownLines | None = None,
    ) -> None:
        """Take the arrays tokens, children and kept. Raises ValueError for arrays that are not a tree of n-grams."""
        self.vocab_size, self.first_label, self.weight, self.lines = vocab_size, first_label, weight, lines
        self.tokens, self.children, self.kept = (grams[name] for name in ("tokens", "children", "kept"))
        if not 0 < weight <= 1:
            raise ValueError(f"its memory has the weight {weight}, expected a number above 0 and up to 1")
        self.nowhere = len(self.tokens)  # the number of a context that the tree does not hold; it has no children
        children = np.cumsum(self.children, dtype=np.int64)
        if children[0] != vocab_size or children[-1] != self.nowhere - 1 or self.tokens.max() >= vocab_size:
            raise ValueError("the n-grams of its memory are not those of its vocabulary")
        self._firsts = np.concatenate([[1], 1 + children, [self.nowhere]]).astype(np.int32)
        self.order = _num_levels(self.children, self._firsts)
        self._kept = self.kept.astype(np.float32)
        parents = np.repeat(np.arange(self.nowhere), self.children)  # of nodes 1 to N - 1
        sums = np.bincount(parents, self._kept[1:], self.nowhere)
        if not (self._kept.min() >= 0 and sums.max() <= LARGEST_SUM):  # also for nan
            raise ValueError("its memory holds numbers that are not probabilities")
        self.rest = np.append(np.clip(1 - sums, 0, 1), 1).astype(np.float32)
        self._tokens = self.tokens.astype(np.int32)
        self._keys = parents * vocab_size + self._tokens[1:]
        if (np.diff(self._keys) <= 0).any():
            raise ValueError("the n-grams of its memory are not in order")
        self._root = self._kept[1 : 1 + vocab_size].astype(np.float64) + float(self.rest[0]) / vocab_size

    @property
    def width(self) -> int:
        """The size of the last axis of contexts."""
        return self.order + (self.lines is not None)

    @property
    def grams(self) -> dict[str, npt.NDArray[Any]]:
        """The stored arrays of the n-grams by name."""
        return {"tokens": self.tokens, "children": self.children, "kept": self.kept}

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All stored arrays by name."""
        return self.grams | ({"lines": self.lines.keys} if self.lines else {})

    @property
    def num_bytes(self) -> int:
        """The bytes of the stored arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def weighted(self, weight: float) -> "NgramMemory":
        """Return the same n-grams with another weight."""
        return self._changed(weight=weight)

    def with_lines(self, lines: KnownLines | None) -> "NgramMemory":
        """Return the same n-grams with other known lines."""
        return self._changed(lines=lines)

    def _changed(self, **changes: Any) -> "NgramMemory":
        other = copy(self)
        other.__dict__.update(changes)
        other.__dict__.pop("struct", None)
        return other

    @cached_property
    def struct(self) -> MemoryStruct:
        """What the kernels read; it is valid as long as this memory."""
        arrays = (self._firsts, self._tokens, self._kept, self.rest)
        lines = (self.lines.keys, self.lines.logarithms) if self.lines else ()
        sizes = (self.vocab_size, self.order, self.width, self.nowhere, self.first_label, len(lines[0]) if lines else 0)
        return MemoryStruct(*sizes, self.weight, *(array.ctypes.data for array in (*arrays, *lines)))

    def start(self, rows: int) -> Contexts:
        """Return the contexts of rows that have read nothing, (rows, width)."""
        contexts = np.full((rows, self.width), self.nowhere, np.int32)
        contexts[:, 0] = 0
        contexts[:, self.order :] = INSIDE
        return contexts

    def read(self, ids: TokenIds, contexts: Contexts) -> Contexts:
        """Read (B, S) ids after the contexts of B rows, and return the contexts after each id, (B, S, width).

        A document begins with the boundary or a label; no context contains what stands before it.
        """
        found = np.empty((*ids.shape, self.width), np.int32)
        found[..., 0] = 0
        begins = (ids == BOUNDARY) | (ids >= self.first_label)
        for length in range(1, self.order):
            before = np.concatenate([contexts[:, None, length - 1], found[:, :-1, length - 1]], axis=1)
            found[..., length] = self.child(before, ids)
            if length > 1:
                found[..., length][begins] = self.nowhere
        if self.lines:
            found[..., self.order] = read_lines(ids, begins, contexts[:, self.order])
        return found

    def child(self, nodes: TokenIds, ids: TokenIds) -> TokenIds:
        """Return the node of each id after a node, or `nowhere`."""
        wanted = nodes.astype(np.int64) * self.vocab_size + ids
        places = np.searchsorted(self._keys, wanted)
        found = self._keys[np.minimum(places, len(self._keys) - 1)] == wanted
        return np.where(found, places + 1, self.nowhere)

    def probabilities(self, contexts: Contexts) -> Doubles:
        """Return the probability of each next token, (N, V), after contexts, (N, width), by the n-grams alone."""
        contexts = contexts[:, : self.order]
        rest = self.rest[contexts].astype(np.float64)
        longer = np.ones_like(rest)  # what all longer contexts leave over
        longer[:, :-1] = np.cumprod(rest[:, :0:-1], axis=1)[:, ::-1]
        found = longer[:, :1] * self._root
        nodes, scale = contexts[:, 1:].ravel(), longer[:, 1:].ravel()
        counts = self._firsts[nodes + 1] - self._firsts[nodes]
        places = np.repeat(self._firsts[nodes] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        rows = np.repeat(np.repeat(np.arange(len(contexts)), self.order - 1), counts)
        kept = self._kept[places] * np.repeat(scale, counts)
        found += np.bincount(rows * self.vocab_size + self._tokens[places], kept, found.size).reshape(found.shape)
        return found

    def mix(self, logits: Singles, contexts: Contexts) -> None:
        """Replace a network's logits, (N, V), by those of the mixture after contexts, (N, width), in place."""
        if kernels := find_kernels():
            contexts, room = np.ascontiguousarray(contexts), np.empty(self.vocab_size)
            arrays = [ctypes.c_void_p(array.ctypes.data) for array in (contexts, logits, room)]
            kernels.library.memory_mix(ctypes.byref(self.struct), ctypes.c_long(len(logits)), *arrays)
            return
        network = np.exp((logits - logits.max(axis=-1, keepdims=True)) / 2, dtype=np.float64)
        network /= np.linalg.norm(network, axis=-1, keepdims=True)
        with np.errstate(divide="ignore"):
            logits[:] = 2 * np.log((1 - self.weight) * network + self.weight * np.sqrt(self.probabilities(contexts)))
        if self.lines:
            logits[:, BOUNDARY] += self.lines.log_factors(contexts[:, self.order])

    def step(self, ids: TokenIds, contexts: Contexts) -> None:
        """Read one id a row, (B,), and change the contexts, (B, width)."""
        if kernels := find_kernels():
            ids = np.ascontiguousarray(ids, np.int32)
            arrays = [ctypes.c_void_p(array.ctypes.data) for array in (ids, contexts)]
            kernels.library.memory_read(ctypes.byref(self.struct), ctypes.c_long(len(ids)), *arrays)
        else:
            contexts[:] = self.read(ids[:, None], contexts)[:, 0]


def pack_grams(levels: list[tuple[npt.NDArray[np.int64], ...]], vocab_size: int) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a tree from its levels below the root: (parents, tokens, kept), parents within the level before."""
    sizes = [1, *(len(tokens) for _, tokens, _ in levels)]
    children = np.concatenate(
        [
            *(np.bincount(parents, minlength=size) for (parents, *_), size in zip(levels, sizes, strict=False)),
            np.zeros(sizes[-1]),
        ]
    )
    tokens = np.concatenate([[0], *(tokens for _, tokens, _ in levels)])
    kept = np.concatenate([[0.0], *(kept for *_, kept in levels)])
    return {
        "tokens": tokens.astype(narrowest_dtype(vocab_size)),
        "children": children.astype(narrowest_dtype(vocab_size + 1)),
        "kept": kept.astype(np.float16),
    }


def _num_levels(children: npt.NDArray[Any], firsts: npt.NDArray[np.int32]) -> int:
    """Return the levels of a tree below its root. Raises ValueError for numbers of children that do not make one tree."""
    begin, end, levels = 0, 1, 0
    while end < len(children):
        begin, end, levels = end, int(firsts[end]), levels + 1
        if end <= begin or levels > LONGEST_ORDER:
            raise ValueError("the n-grams of its memory are not a tree")
    return levels
