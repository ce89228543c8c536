"""Average the probabilities of several networks over one vocabulary, with the methods of a single network."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from chargen.network.cells import Floats
from chargen.network.native_writer import NativeWriter
from chargen.network.network import Network, NetworkState
from chargen.network.stepper import Stepper

Doubles = npt.NDArray[np.float64]


def log_softmax(logits: npt.NDArray[np.floating]) -> Doubles:
    """Return the log-probabilities, (..., V), of unnormalised scores, (..., V), in float64; each row needs a finite maximum."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def average_logits(logits: Sequence[npt.NDArray[np.floating]]) -> Doubles:
    """Return the logarithm of the mean of the probabilities, (..., V), of several arrays of logits."""
    return np.logaddexp.reduce([log_softmax(one) for one in logits]) - np.log(len(logits))


@final
class NetworkAverage:
    """Several networks that read the same tokens; their probabilities are averaged.

    A state is the states of all layers of the first member, then those of the second, and so on. An output is the outputs of
    the members' last layers, one after the other.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        """Take two or more networks over the same token ids."""
        self.members = tuple(members)
        self.vocab_size = members[0].vocab_size
        self._ends = np.cumsum([one.output_size for one in members])[:-1]

    @property
    def output_size(self) -> int:
        """The size of the outputs of all members together."""
        return sum(one.output_size for one in self.members)

    @property
    def num_parameters(self) -> int:
        """The number of trained parameters of all members."""
        return sum(one.num_parameters for one in self.members)

    def with_temperature(self, temperature: float) -> "NetworkAverage":
        """Return the average of the networks with their logits divided by a temperature."""
        return NetworkAverage([one.with_temperature(temperature) for one in self.members])

    def zero_state(self, batch_size: int) -> NetworkState:
        """Return the initial state, all zeros."""
        return tuple(layer for one in self.members for layer in one.zero_state(batch_size))

    def advance(self, ids: npt.NDArray[np.integer], state: NetworkState) -> tuple[Floats, NetworkState]:
        """Read one token a row, (B,), and return the last layers' outputs, (B, sum of H), and the next state."""
        pairs = [one.advance(ids, own) for one, own in zip(self.members, self._split(state), strict=True)]
        return np.concatenate([output for output, _ in pairs], axis=-1), tuple(layer for _, own in pairs for layer in own)

    def head(self, output: Floats) -> Floats:
        """Return the logarithms of the averaged probabilities, (..., V), of recurrent outputs, (..., sum of H)."""
        outputs = np.split(output, self._ends, axis=-1)
        logits = [one.head(np.ascontiguousarray(own)) for one, own in zip(self.members, outputs, strict=True)]
        return average_logits(logits).astype(np.float32)

    def step(self, ids: npt.NDArray[np.integer], state: NetworkState) -> tuple[Floats, NetworkState]:
        """Read one token a row, (B,), and return the next token's logits, (B, V), and the next state."""
        output, state = self.advance(ids, state)
        return self.head(output), state

    def stepper(self, state: NetworkState) -> "AverageStepper":
        """Return a faster stepper that starts from a copy of the state."""
        return AverageStepper([one.stepper(own) for one, own in zip(self.members, self._split(state), strict=True)])

    def logits(self, ids: npt.NDArray[np.integer], state: NetworkState) -> tuple[Floats, NetworkState]:
        """Read (B, T) ids and return the logits after every position, (B, T, V), and the state after the last."""
        pairs = [one.logits(ids, own) for one, own in zip(self.members, self._split(state), strict=True)]
        averaged = average_logits([logits for logits, _ in pairs]).astype(np.float32)
        return averaged, tuple(layer for _, own in pairs for layer in own)

    def _split(self, state: NetworkState) -> list[NetworkState]:
        return split_state(state, [len(one.cells) for one in self.members])


@final
class AverageStepper:
    """The steppers of several networks, whose probabilities are averaged. Its methods are those of `Stepper`."""

    def __init__(self, steppers: Sequence[Stepper]) -> None:
        self._steppers = steppers

    @property
    def state(self) -> tuple[Any, ...]:
        """A copy of the state of each layer of each network; assign one with the same number of rows to continue from it."""
        return tuple(layer for one in self._steppers for layer in one.state)

    @state.setter
    def state(self, values: Sequence[Any]) -> None:
        for one, own in zip(self._steppers, split_state(values, [one.num_layers for one in self._steppers]), strict=True):
            one.state = own

    def take(self, rows: npt.NDArray[np.integer]) -> None:
        """Set row i to the state of row rows[i]; rows: (B,)."""
        for one in self._steppers:
            one.take(rows)

    def step(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read one token per row, (B,), and return the next token's logits, (B, V)."""
        return self._average([one.step(ids) for one in self._steppers])

    def read(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read S tokens per row, (B, S), and return the next token's logits, (B, V)."""
        return self._average([one.read(ids) for one in self._steppers])

    def outputs(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read S tokens per row, (B, S), and return the last layers' outputs after each of them, (S, B, sum of H)."""
        return np.concatenate([one.outputs(ids) for one in self._steppers], axis=-1)

    def writer(self, **options: Any) -> NativeWriter | None:
        """Return what draws and reads tokens from here on by itself, see `Stepper.writer`."""
        networks = [one.native() for one in self._steppers]
        native = [one for one in networks if one]
        return NativeWriter(native, logits=self._logits, **options) if len(native) == len(networks) else None

    def _average(self, logits: Sequence[Floats]) -> Floats:
        self._logits: Floats = average_logits(logits).astype(np.float32)
        return self._logits


def split_state(state: Sequence[Any], layers: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return the part of a state of each network, given their numbers of layers."""
    ends = np.cumsum(layers).tolist()
    return [tuple(state[end - count : end]) for end, count in zip(ends, layers, strict=True)]


AnyNetwork = Network | NetworkAverage
AnyStepper = Stepper | AverageStepper
