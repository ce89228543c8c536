"""Implement recurrent cells in NumPy: one step of a batch, with weights in Keras's layout and gate order.

A cell's step is (projected inputs, state) -> (output, next state). The projection `inputs @ kernel + bias` is a separate
method, so that the first layer can look it up in a table instead. No input is changed in place. All arrays are float32; B is
the batch size, D the number of inputs, H the hidden size.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from chargen.errors import NetworkError
from chargen.settings.schema import NetworkConfig

Floats = npt.NDArray[np.float32]

LARGEST_HIDDEN = 1e10  # of a ReLU, which has no upper bound; products with the largest weights do not overflow float32


class HiddenState(NamedTuple):
    """The state of a SimpleRNN or GRU: the hidden state, (B, H)."""

    hidden: Floats


class LSTMState(NamedTuple):
    """The state of an LSTM: hidden state and cell state, each (B, H)."""

    hidden: Floats
    cell: Floats


State = TypeVar("State", HiddenState, LSTMState)


class Cell(ABC, Generic[State]):
    """The weights of a recurrent layer and the equations of one step."""

    num_gates: ClassVar[int]
    state_type: type[State]

    def __init__(self, kernel: Floats, recurrent_kernel: Floats, bias: Floats) -> None:
        self.kernel = kernel  # (D, gates * H)
        self.recurrent_kernel = recurrent_kernel  # (H, gates * H)
        self.bias = bias  # (gates * H,), or (2, gates * H) for a GRU with reset_after
        self.hidden_size = len(recurrent_kernel)

    def zero_state(self, batch_size: int) -> State:
        """Return the initial state, all zeros."""
        zeros = np.zeros((batch_size, self.hidden_size), np.float32)
        return self.state_type(*[zeros] * len(self.state_type._fields))

    @property
    def input_bias(self) -> Floats:
        """The bias of the input projection, (gates * H,)."""
        return self.bias

    def project(self, inputs: Floats) -> Floats:
        """Return the inputs' contribution to every gate: (B, D) -> (B, gates * H)."""
        return inputs @ self.kernel + self.input_bias

    @abstractmethod
    def step(self, projected: Floats, state: State) -> tuple[Floats, State]:
        """Advance one step: projected inputs (B, gates * H) and a state to the output (B, H) and the next state."""


class SimpleRNNCell(Cell[HiddenState]):
    """The cell h = tanh(x W + b + h U) (Elman 1990)."""

    num_gates = 1
    state_type = HiddenState

    def step(self, projected: Floats, state: HiddenState) -> tuple[Floats, HiddenState]:
        hidden = self.activate(projected + state.hidden @ self.recurrent_kernel)
        return hidden, HiddenState(hidden)

    @staticmethod
    def activate(sums: Floats, out: Floats | None = None) -> Floats:
        """Apply the activation to the sums; write to `out` if given."""
        return np.tanh(sums, out=out)


class ReluRNNCell(SimpleRNNCell):
    """The cell h = max(0, x W + b + h U); initialized with the identity it is the IRNN (Le, Jaitly and Hinton 2015).

    The hidden state has no upper bound; NetworkError is raised before it overflows. Other cells are bounded.
    """

    @staticmethod
    def activate(sums: Floats, out: Floats | None = None) -> Floats:
        return check_bounded(np.maximum(sums, 0, out=out))


def check_bounded(hidden: Floats) -> Floats:
    """Return the hidden states of a ReLU. Raises NetworkError if they are near overflow."""
    if not hidden.max() <= LARGEST_HIDDEN:  # NaN is not smaller either
        raise NetworkError(
            f"the hidden state of the network has grown beyond {LARGEST_HIDDEN:.0e}, so its probabilities are undefined",
            hint="this happens with --activation relu; train again with a lower --learning-rate or --clip-norm",
        )
    return hidden


class LSTMCell(Cell[LSTMState]):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000). Gate order: input, forget, cell, output."""

    num_gates = 4
    state_type = LSTMState

    def step(self, projected: Floats, state: LSTMState) -> tuple[Floats, LSTMState]:
        return lstm_step(projected + state.hidden @ self.recurrent_kernel, state.cell)


class MultiplicativeLSTMCell(Cell[LSTMState]):
    """An LSTM that reads m = (x W + b) * (h U) in place of h (Krause et al. 2016). Gate order: that of an LSTM, then m."""

    num_gates = 5
    state_type = LSTMState

    def step(self, projected: Floats, state: LSTMState) -> tuple[Floats, LSTMState]:
        H = self.hidden_size
        multiplied: Floats = projected[:, 4 * H :] * (state.hidden @ self.recurrent_kernel[:, 4 * H :])  # (B, H)
        return lstm_step(projected[:, : 4 * H] + multiplied @ self.recurrent_kernel[:, : 4 * H], state.cell)


class GRUCell(Cell[HiddenState]):
    """Gated recurrent unit with the reset gate applied after the recurrent product. Gate order: update, reset, candidate.

    The second row of the bias belongs to the recurrent product.
    """

    num_gates = 3
    state_type = HiddenState

    @property
    def input_bias(self) -> Floats:
        return self.bias[0]

    def step(self, projected: Floats, state: HiddenState) -> tuple[Floats, HiddenState]:
        recurrent = state.hidden @ self.recurrent_kernel + self.bias[1]  # (B, 3H)
        H = self.hidden_size
        update_and_reset = sigmoid(projected[:, : 2 * H] + recurrent[:, : 2 * H])
        candidate = np.tanh(projected[:, 2 * H :] + update_and_reset[:, H:] * recurrent[:, 2 * H :])
        hidden = candidate + update_and_reset[:, :H] * (state.hidden - candidate)
        return hidden, HiddenState(hidden)


class GRUResetBeforeCell(Cell[HiddenState]):
    """Gated recurrent unit with the reset gate applied before the recurrent product (Cho et al. 2014)."""

    num_gates = 3
    state_type = HiddenState

    def step(self, projected: Floats, state: HiddenState) -> tuple[Floats, HiddenState]:
        H = self.hidden_size
        update_and_reset = sigmoid(projected[:, : 2 * H] + state.hidden @ self.recurrent_kernel[:, : 2 * H])
        reset_hidden = update_and_reset[:, H:] * state.hidden
        candidate = np.tanh(projected[:, 2 * H :] + reset_hidden @ self.recurrent_kernel[:, 2 * H :])
        hidden = candidate + update_and_reset[:, :H] * (state.hidden - candidate)
        return hidden, HiddenState(hidden)


def lstm_step(gates: Floats, cell: Floats) -> tuple[Floats, LSTMState]:
    """Return the output, (B, H), and the next state of an LSTM, from the sums of its gates, (B, 4H), and its cell state."""
    H = cell.shape[1]
    input_and_forget = sigmoid(gates[:, : 2 * H])
    candidate = np.tanh(gates[:, 2 * H : 3 * H])
    after = input_and_forget[:, H:] * cell + input_and_forget[:, :H] * candidate  # (B, H)
    hidden = sigmoid(gates[:, 3 * H :]) * np.tanh(after)
    return hidden, LSTMState(hidden, after)


def sigmoid(values: Floats) -> Floats:
    """Return 1 / (1 + exp(-values)), computed with tanh so that it cannot overflow."""
    return np.float32(0.5) * np.tanh(np.float32(0.5) * values) + np.float32(0.5)


def cell_type(config: NetworkConfig) -> type[Cell[Any]]:
    """Return the class of a network's cells; "dense" is another way of training a SimpleRNN."""
    if config.cell == "gru":
        return GRUCell if config.reset_after else GRUResetBeforeCell
    if config.cell == "lstm":
        return LSTMCell
    if config.cell == "mlstm":
        return MultiplicativeLSTMCell
    return ReluRNNCell if config.activation == "relu" else SimpleRNNCell
