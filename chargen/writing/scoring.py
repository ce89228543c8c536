"""Measure the cross-entropy of each token of a text, given the tokens before it, in nats.

A known text is read layer by layer: the input products of many steps are one matrix product, and so is the output layer; only
the recurrent product stays in the loop. B is the rows, T the tokens of each, V the vocabulary, H the hidden size.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.memory.ngrams import Contexts, NgramMemory
from chargen.network.average import AnyNetwork
from chargen.network.cells import Floats
from chargen.network.network import NetworkState
from chargen.network.stepper import TOKENS_AT_ONCE
from chargen.network.stretches import read_text, read_together

LOGITS_AT_ONCE = 1 << 21  # in float64

IdArray = npt.NDArray[np.integer]
Doubles = npt.NDArray[np.float64]


class Nats(NamedTuple):
    """The cross-entropy of each target, in float64, from logits in float32 at temperature 1.

    whole: under the model. alone: under its network without the n-gram memory, the same if there is none.
    """

    whole: Doubles
    alone: Doubles


def token_nats(
    network: AnyNetwork,
    ids: IdArray,
    targets: IdArray,
    state: NetworkState,
    *,
    memory: NgramMemory | None = None,
    contexts: Contexts | None = None,
) -> tuple[Nats, NetworkState]:
    """Read (B, T) ids from a state, and return the cross-entropy of every target, (B, T), and the state after the last.

    targets: (B, T), the token that follows each. memory: mixed with the network. contexts: of the memory, after each id,
    (B, T, width).
    """
    nats = Nats(np.empty(ids.shape), np.empty(ids.shape))
    steps = max(1, TOKENS_AT_ONCE // len(ids))
    for first in range(0, ids.shape[1], steps):
        part = slice(first, first + steps)
        outputs, state = read_outputs(network, ids[:, part], state)
        after = None if contexts is None else contexts[:, part].swapaxes(0, 1)
        found = _cross_entropies(network, outputs, targets[:, part].T, memory, after)
        for kept, one in zip(nats, found, strict=True):
            kept[:, part] = one.T
    return nats, state


def read_outputs(network: AnyNetwork, ids: IdArray, state: NetworkState) -> tuple[Floats, NetworkState]:
    """Read (B, T) ids and return the last recurrent layer's outputs, (T, B, H), and the state after the last token."""
    return read_text(network, ids, state) if len(ids) == 1 else read_together(network, ids, state)


def window_outputs(network: AnyNetwork, windows: IdArray) -> Floats:
    """Read windows, (N, T), each from the zero state, and return the last recurrent layer's output after each, (N, H)."""
    found = np.empty((len(windows), network.output_size), np.float32)
    at_once = max(1, TOKENS_AT_ONCE // max(1, windows.shape[1]))
    for first in range(0, len(windows), at_once):
        some = windows[first : first + at_once]
        outputs, _ = read_outputs(network, some, network.zero_state(len(some)))
        found[first : first + at_once] = outputs[-1]
    return found


def _cross_entropies(
    network: AnyNetwork, outputs: Floats, targets: IdArray, memory: NgramMemory | None, contexts: Contexts | None
) -> Nats:
    """Return the cross-entropy of targets, (T, B), given the recurrent outputs, (T, B, H), and contexts before them."""
    rows, wanted = outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)
    nats, alone = np.empty(len(rows)), np.empty(len(rows))
    at_once = max(1, LOGITS_AT_ONCE // network.vocab_size)
    for first in range(0, len(rows), at_once):
        part = slice(first, first + at_once)
        logits = network.head(rows[part])
        nats[part] = alone[part] = cross_entropies(logits, wanted[part])
        if memory and contexts is not None:
            memory.mix(logits, contexts.reshape(len(rows), -1)[part])
            nats[part] = cross_entropies(logits, wanted[part])
    return Nats(nats.reshape(targets.shape), alone.reshape(targets.shape))


def cross_entropies(logits: npt.NDArray[np.floating], targets: IdArray) -> Doubles:
    """Return the cross-entropy of each target, (N,), given the logits before it, (N, V)."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)  # so that no power overflows
    return np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(shifted)), targets]
