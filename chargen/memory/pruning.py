"""Prune an n-gram memory, so that a file that holds it is not too large."""

import numpy as np
import numpy.typing as npt

from chargen.memory.ngrams import Doubles, NgramMemory

TINY = 1e-300  # instead of 0 in a logarithm

Nodes = npt.NDArray[np.int64]


def prune(memory: NgramMemory, num_bytes: int) -> NgramMemory:
    """Return a memory whose stored n-grams have at most `num_bytes`, without the n-grams that it predicts best without.

    These are chosen by the weighted difference (Seymore and Rosenfeld 1996). The single tokens are always kept.
    """
    size = len(memory.tokens)
    num_bytes_now = sum(array.nbytes for array in memory.grams.values())
    most = max(num_bytes * size // num_bytes_now, 1 + memory.vocab_size)
    if size <= most:
        return memory
    parents = np.concatenate([[0], np.repeat(np.arange(size), memory.children)])
    chosen = np.zeros(size, bool)
    chosen[np.argsort(-_worth(memory, parents), kind="stable")[:most]] = True  # of equal ones parents come first
    children = np.bincount(parents[1:][chosen[1:]], minlength=size)
    grams = {name: array[chosen] for name, array in (memory.grams | {"children": children}).items()}
    grams["children"] = grams["children"].astype(memory.children.dtype)
    sizes = {"vocab_size": memory.vocab_size, "first_label": memory.first_label}
    return NgramMemory(grams, **sizes, weight=memory.weight, lines=memory.lines)


def _worth(memory: NgramMemory, parents: Nodes) -> Doubles:
    """Return what each n-gram saves, in nats times its probability, or an n-gram that it begins if that is more, (N,)."""
    kept, suffixes = memory.kept.astype(np.float64), np.zeros(len(parents), np.int64)  # suffix: without the first token
    last = np.ones(len(parents) + 1)  # the probability of the last token; 1 for a suffix that is nowhere
    whole = np.ones(len(parents))
    worth = np.full(len(parents), np.inf)
    last[1 : 1 + memory.vocab_size] = kept[1 : 1 + memory.vocab_size] + memory.rest[0] / memory.vocab_size
    whole[1 : 1 + memory.vocab_size] = last[1 : 1 + memory.vocab_size]
    levels = _levels(memory.children)
    for level in levels[2:]:
        above, rest = parents[level], memory.rest[parents[level]]
        suffixes[level] = memory.child(suffixes[above], memory.tokens[level])
        lower = last[suffixes[level]]
        last[level] = kept[level] + rest * lower
        whole[level] = whole[above] * last[level]
        worth[level] = whole[level] * np.log(np.maximum(last[level], TINY) / np.maximum((kept[level] + rest) * lower, TINY))
    for level in levels[:1:-1]:
        np.maximum.at(worth, parents[level], worth[level])
    return worth


def _levels(children: npt.NDArray[np.integer]) -> list[slice]:
    """Return the nodes of each level: the root, the single tokens, and so on."""
    levels = [slice(0, 1)]
    while levels[-1].stop < len(children):
        levels.append(slice(levels[-1].stop, levels[-1].stop + int(children[levels[-1]].sum())))
    return levels
