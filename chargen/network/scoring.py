"""What a text costs a network, in nats: every token of it, given those before.

A text that is known beforehand is read layer by layer: the input products of many steps are one matrix product, and so is the
head; only the recurrent product stays in the loop. B is the rows, T the tokens of each, V the vocabulary, H the hidden size.
"""

import numpy as np
import numpy.typing as npt

from chargen.network.cells import Floats
from chargen.network.network import Network, NetworkState
from chargen.network.stepper import run_layer

TOKENS_AT_ONCE = 8192  # that go through a layer before the next one reads what it made of them
LOGITS_AT_ONCE = 1 << 21  # in float64

TokenIds = npt.NDArray[np.integer]
Doubles = npt.NDArray[np.float64]


def token_nats(network: Network, ids: TokenIds, targets: TokenIds, state: NetworkState) -> tuple[Doubles, NetworkState]:
    """Read (B, T) ids from a state, and return the cross-entropy of every target, (B, T), and the state after the last.

    Nats in float64, from logits in float32, at temperature 1. targets: (B, T), the token that follows each.
    """
    nats = np.empty(ids.shape)
    steps = max(1, TOKENS_AT_ONCE // len(ids))
    for first in range(0, ids.shape[1], steps):
        part = slice(first, first + steps)
        outputs, state = read_outputs(network, ids[:, part], state)
        nats[:, part] = _cross_entropies(network, outputs, targets[:, part].T).T
    return nats, state


def read_outputs(network: Network, ids: TokenIds, state: NetworkState) -> tuple[Floats, NetworkState]:
    """Read (B, T) ids and return the last recurrent layer's outputs, (T, B, H), and the state after the last token."""
    table, rows = network.table, np.ascontiguousarray(ids.T).astype(np.intp)  # (T, B)
    if not network.folded:
        table, rows = _as_table(network.cells[0].project(table[rows]))
    outputs, first = run_layer(network.cells[0], table, rows, state[0])
    following = [first]
    for cell, norm, before in zip(network.cells[1:], network.norms, state[1:], strict=True):
        inputs = (norm(outputs) if norm else outputs).reshape(-1, outputs.shape[-1])  # (T B, H)
        table, rows = _as_table(cell.project(inputs).reshape(*rows.shape, -1))
        outputs, after = run_layer(cell, table, rows, before)
        following.append(after)
    return outputs, tuple(following)


def _as_table(projected: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return (T, B, G) projected inputs as a table, (T B, G), and which row of it each step reads, (T, B)."""
    steps, batch_size, width = projected.shape
    return projected.reshape(-1, width), np.arange(steps * batch_size).reshape(steps, batch_size)


def _cross_entropies(network: Network, outputs: Floats, targets: TokenIds) -> Doubles:
    """Return the cross-entropy of targets, (T, B), given the recurrent outputs before them, (T, B, H)."""
    rows, wanted = outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)
    nats = np.empty(len(rows))
    at_once = max(1, LOGITS_AT_ONCE // network.vocab_size)
    for first in range(0, len(rows), at_once):
        part = slice(first, first + at_once)
        logits = network.head(rows[part])
        shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)  # so that no power overflows
        chosen = shifted[np.arange(len(shifted)), wanted[part]]
        nats[part] = np.log(np.exp(shifted).sum(axis=-1)) - chosen
    return nats.reshape(targets.shape)
