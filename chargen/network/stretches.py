"""Read one long text in stretches side by side, with the outputs of reading it from start to end.

To read one token of one text takes about as long as to read one token of many texts, because all weights have to be loaded for
it. And a trained network forgets: after some hundred tokens, its state hardly depends on the state in which it began. So all
stretches of a text are read side by side first, each but the first from a zero state. Then each is read again from the state at
the end of the one before it, until its state is that of the first reading. If a stretch ends in another state, the next one is
read again, and so on. So the zero states only save time; the outputs do not depend on them.

S is the number of stretches, L their length, N the size of a state, R some of the stretches.
"""

import numpy as np
import numpy.typing as npt

from chargen.network.average import AnyNetwork
from chargen.network.cells import Floats
from chargen.network.network import NetworkState

MOST_STRETCHES = 32
SHORTEST_STRETCH = 1024  # tokens; some hundred of each are read twice
OUTPUTS_AT_ONCE = 1 << 24  # numbers
CHECKED_EVERY = 64  # tokens
TOLERANCE = 1e-6  # between two states; relative for numbers above 1

Ids = npt.NDArray[np.integer]
Rows = npt.NDArray[np.intp]


def tokens_at_once(output_size: int) -> int:
    """Return of how many tokens to read the outputs together: enough for all stretches, unless they take too much memory."""
    return max(SHORTEST_STRETCH, min(MOST_STRETCHES * SHORTEST_STRETCH, OUTPUTS_AT_ONCE // output_size))


def read_text(network: AnyNetwork, ids: Ids, state: NetworkState) -> tuple[Floats, NetworkState]:
    """Read ids, (1, T), and return the last recurrent layer's outputs, (T, 1, H), and the state after the last id."""
    count = min(MOST_STRETCHES, ids.size // SHORTEST_STRETCH)
    if count < 2:
        return read_together(network, ids, state)
    outputs = np.empty((ids.size, 1, network.output_size), np.float32)
    length = ids.size // count
    whole = slice(count * length)
    stretches = _Stretches(network, ids[0, whole].reshape(count, length), outputs[whole].reshape(count, length, -1))
    state = stretches.read_from(state)
    if whole.stop < ids.size:
        outputs[whole.stop :], state = read_together(network, ids[:, whole.stop :], state)
    return outputs, state


def read_together(network: AnyNetwork, ids: Ids, state: NetworkState) -> tuple[Floats, NetworkState]:
    """Read ids, (B, T), step by step, and return the last recurrent layer's outputs, (T, B, H), and the state."""
    stepper = network.stepper(state)
    return stepper.outputs(ids), stepper.state


class _Stretches:
    """The stretches of a text, ids (S, L), and what is known of them: the outputs, (S, L, H), which are changed in place.

    states: (parts of a stretch, S, N), after each part of `CHECKED_EVERY` tokens.
    """

    def __init__(self, network: AnyNetwork, ids: Ids, outputs: Floats) -> None:
        self._network, self._ids, self._outputs = network, ids, outputs
        self._parts = [slice(first, first + CHECKED_EVERY) for first in range(0, ids.shape[1], CHECKED_EVERY)]
        zeros = _flat(network.zero_state(len(ids)))
        self._states = np.full((len(self._parts), *zeros.shape), np.nan, np.float32)

    def read_from(self, state: NetworkState) -> NetworkState:
        """Read the text from a state of one row, and return the state at its end."""
        begins = np.zeros_like(self._states[-1])
        begins[:1] = _flat(state)
        self._read(np.arange(len(begins)), begins)
        stale = np.ones(len(begins), bool)  # read from another state than that at the end of the stretch before
        stale[0] = False
        at_once = len(begins)
        while len(rows := np.flatnonzero(stale)[:at_once]):
            stale[rows] = False
            changed = self._read(rows, self._states[-1, rows - 1])
            stale[changed[changed < len(begins) - 1] + 1] = True
            in_vain = 2 * len(changed) > len(rows)  # for most of them
            at_once = max(1, len(rows) // 4) if in_vain else 4 * len(rows)
        return self._layers(self._states[-1, -1:])

    def _read(self, rows: Rows, begins: Floats) -> Rows:
        """Read stretches, (R,), from states, (R, N), each until its state is the known one; return those with a new end."""
        stepper = self._network.stepper(self._layers(begins))
        for part, known in zip(self._parts, self._states, strict=True):
            self._outputs[rows, part] = stepper.outputs(self._ids[rows, part]).swapaxes(0, 1)
            states = _flat(stepper.state)
            new = ~_same(states, known[rows])
            known[rows] = states
            if not new.any():
                return rows[:0]
            if not new.all():
                rows, stepper = rows[new], self._network.stepper(self._layers(states[new]))
        return rows

    def _layers(self, states: Floats) -> NetworkState:
        """Return states, (R, N), as the network takes them."""
        zeros = self._network.zero_state(len(states))
        ends = np.cumsum([array.shape[1] for layer in zeros for array in layer])[:-1]
        arrays = iter(np.split(states, ends, axis=1))
        return tuple(type(layer)(*[next(arrays) for _ in layer]) for layer in zeros)


def _flat(state: NetworkState) -> Floats:
    """Return the state of all layers as one array, (R, N)."""
    return np.concatenate([array for layer in state for array in layer], axis=1)


def _same(states: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Return which states, (R, N), are equal to others but for rounding; none with NaN is."""
    return (np.abs(states - others) <= TOLERANCE * np.maximum(1, np.abs(others))).all(axis=1)
