"""Step a network fast, one token a row at a time: with the kernels in C if they have been built, otherwise in NumPy.

The NumPy layers have preallocated buffers and in-place operations.
A test checks that it is equal to `Network.step`. For one row of a small network the time is spent in calls, not in arithmetic,
so there are few of them: all gates use one tanh (sigmoid(x) = 0.5 tanh(0.5 x) + 0.5, the inner 0.5 multiplied into the weights
beforehand), gates of one kind are adjacent, and a layer's two products are one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.native.library import find_kernels
from chargen.network.cells import Cell, Floats, GRUCell, HiddenState, LSTMCell, LSTMState, ReluRNNCell, SimpleRNNCell
from chargen.network.dense import Head
from chargen.network.native_layer import NativeLayer
from chargen.network.native_writer import NativeNetwork, NativeWriter
from chargen.network.normalization import LayerNorm

HALF = np.float32(0.5)
TOKENS_AT_ONCE = 8192  # steps of all rows in one layer before the next layer reads its outputs


class Stepper:
    """Recurrent layers and a head with their own state of B rows.

    table: the first layer's projection of each token, (V, gates * H), or, if it is not folded, each token's inputs, (V, D).
    norms: the normalisation of the inputs of each layer after the first. head: the Dense layers after the recurrent ones.
    state: one cell state per layer, copied.
    """

    def __init__(
        self,
        cells: Sequence[Cell[Any]],
        *,
        table: Floats,
        folded: bool = True,
        norms: Sequence[LayerNorm | None],
        head: Head,
        state: Sequence[Any],
    ) -> None:
        batch_size = len(state[0].hidden)
        tables = [table if folded else None, *[None] * (len(cells) - 1)]
        self._embedding = None if folded else table
        self._layers = [_layer(cell, batch_size, one) for cell, one in zip(cells, tables, strict=True)]
        self.state = tuple(state)
        self._norms = norms
        self._head = head

    @property
    def num_layers(self) -> int:
        """The number of recurrent layers, and of the parts of a state."""
        return len(self._layers)

    @property
    def state(self) -> tuple[Any, ...]:
        """A copy of the state of each layer; assign a state with the same number of rows to continue from it."""
        return tuple(layer.state for layer in self._layers)

    @state.setter
    def state(self, values: Sequence[Any]) -> None:
        for layer, one in zip(self._layers, values, strict=True):
            layer.state = one

    def take(self, rows: npt.NDArray[np.integer]) -> None:
        """Set row i to the state of row rows[i]; rows: (B,)."""
        for layer in self._layers:
            state = layer.state
            layer.state = type(state)(*[array[rows] for array in state])

    def step(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read one token per row, (B,), and return the next token's logits, (B, V), valid until the next step."""
        first, embedding = self._layers[0], self._embedding
        output = first.step_token(ids) if embedding is None else first.step_inputs(embedding[ids])
        for layer, norm in zip(self._layers[1:], self._norms, strict=True):
            output = layer.step_inputs(norm(output) if norm else output)
        self._logits = self._head(output)
        return self._logits

    def read(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read S tokens per row, (B, S), and return the next token's logits, (B, V), valid until the next step."""
        steps = max(1, TOKENS_AT_ONCE // len(ids))
        for first in range(0, ids.shape[1], steps):
            outputs = self.outputs(ids[:, first : first + steps])
        self._logits = self._head(outputs[-1])
        return self._logits

    def outputs(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read S tokens per row, (B, S), and return the last layer's output after each of them, (S, B, H).

        Each layer reads all steps before the next layer does, so that its input products are one.
        """
        first, *others = self._layers
        outputs = first.read_tokens(ids.T) if self._embedding is None else first.read_inputs(self._embedding[ids.T])
        for layer, norm in zip(others, self._norms, strict=True):
            outputs = layer.read_inputs(norm(outputs) if norm else outputs)
        return outputs

    def writer(self, **options: Any) -> NativeWriter | None:
        """Return what draws and reads tokens from here on by itself, or None if that takes Python.

        options: those of `NativeWriter`, but the logits, which are those of the last step.
        """
        network = self.native()
        return NativeWriter([network], logits=self._logits, **options) if network else None

    def native(self) -> NativeNetwork | None:
        """Return the layers and the head for a `NativeWriter`, or None if it cannot run them."""
        kernels, layers = find_kernels(), self._layers
        if kernels is None or self._embedding is not None or any(self._norms):
            return None
        native = [one for one in layers if isinstance(one, NativeLayer)]
        if len(native) < len(layers) or any(isinstance(one.cell, ReluRNNCell) for one in native):
            return None
        return NativeNetwork(kernels, native, self._head)


def _layer(cell: Cell[Any], batch_size: int, table: Floats | None) -> "_Layer | NativeLayer":
    if kernels := find_kernels():
        return NativeLayer(kernels, cell, batch_size, table)
    kinds: dict[type[Cell[Any]], type[_Layer]] = {
        SimpleRNNCell: _SimpleRNN,
        ReluRNNCell: _SimpleRNN,
        LSTMCell: _LSTM,
        GRUCell: _GRU,
    }
    return kinds.get(type(cell), _GenericLayer)(cell, batch_size, table)


class _Layer(ABC):
    """The state and the buffers of one recurrent layer. The first layer reads rows of a table instead of inputs."""

    hidden_size: int

    @abstractmethod
    def __init__(self, cell: Any, batch_size: int, table: Floats | None) -> None: ...

    @property
    @abstractmethod
    def state(self) -> Any:
        """A copy of the cell's state; it may be assigned."""

    @state.setter
    @abstractmethod
    def state(self, values: Any) -> None: ...

    @abstractmethod
    def step_token(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read ids, (B,), and return the output, (B, H), valid until the next step."""

    @abstractmethod
    def step_inputs(self, inputs: Floats) -> Floats:
        """Read inputs, (B, D), and return the output, (B, H), valid until the next step."""

    def read_tokens(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read ids, (S, B), and return the outputs, (S, B, H)."""
        return self._each(self.step_token, ids)

    def read_inputs(self, inputs: Floats) -> Floats:
        """Read inputs, (S, B, D), and return the outputs, (S, B, H)."""
        projected = self.project(inputs.reshape(-1, inputs.shape[-1])).reshape(*inputs.shape[:2], -1)
        return self._each(self.step_projected, projected)

    def _each(self, step: Callable[[Any], Floats], rows: npt.NDArray[Any]) -> Floats:
        """Return the output of each step, (S, B, H)."""
        outputs = np.empty((*rows.shape[:2], self.hidden_size), np.float32)
        for row, output in zip(rows, outputs, strict=True):
            output[:] = step(row)
        return outputs

    @abstractmethod
    def project(self, inputs: Floats) -> Floats:
        """Return the projection of inputs, (N, D), for `step_projected`: (N, gates * H)."""

    @abstractmethod
    def step_projected(self, projected: Floats) -> Floats:
        """Read projected inputs, (B, gates * H), and return the output, (B, H), valid until the next step."""


class _GenericLayer(_Layer):
    """A layer that uses the step of its cell, for the kinds without an optimized layer."""

    def __init__(self, cell: Cell[Any], batch_size: int, table: Floats | None) -> None:
        self._cell, self._table, self.hidden_size = cell, table, cell.hidden_size

    @property
    def state(self) -> Any:
        return self._state

    @state.setter
    def state(self, values: Any) -> None:
        self._state = values

    def step_token(self, ids: npt.NDArray[np.integer]) -> Floats:
        assert self._table is not None
        return self.step_projected(self._table[ids])

    def step_inputs(self, inputs: Floats) -> Floats:
        return self.step_projected(self._cell.project(inputs))

    def project(self, inputs: Floats) -> Floats:
        return self._cell.project(inputs)

    def step_projected(self, projected: Floats) -> Floats:
        output, self._state = self._cell.step(projected, self._state)
        return output


class _FusedLayer(_Layer):
    """A layer whose input and recurrent products are one: [inputs, hidden] @ [kernel; recurrent kernel].

    `order` is the order of the gates' columns, `scale` multiplies each column.
    """

    def _prepare(self, cell: Cell[Any], batch_size: int, table: Floats | None, order: list[int], scale: list[float]) -> None:
        H = self.hidden_size = cell.hidden_size
        columns = np.concatenate([np.arange(gate * H, (gate + 1) * H) for gate in order])
        factors = np.repeat(np.array(scale, np.float32), H)
        kernels = [cell.recurrent_kernel] if table is not None else [cell.kernel, cell.recurrent_kernel]
        self._kernel = np.ascontiguousarray(np.concatenate(kernels)[:, columns] * factors)
        bias = cell.input_bias[columns] * factors
        self._bias = bias
        self._table = None if table is None else np.ascontiguousarray(table[:, columns] * factors)
        self._read = np.zeros((batch_size, len(self._kernel)), np.float32)  # [inputs, hidden]
        self._inputs, self._hidden = self._read[:, :-H], self._read[:, -H:]
        self._input_kernel, self._recurrent_kernel = self._kernel[:-H], self._kernel[-H:]
        self._sums = np.empty((batch_size, len(columns)), np.float32)

    def step_token(self, ids: npt.NDArray[np.integer]) -> Floats:
        assert self._table is not None
        np.dot(self._read, self._kernel, out=self._sums)
        np.add(self._sums, self._table[ids[0]] if len(ids) == 1 else self._table[ids], out=self._sums)
        return self._finish()

    def step_inputs(self, inputs: Floats) -> Floats:
        self._inputs[:] = inputs
        np.dot(self._read, self._kernel, out=self._sums)
        self._sums += self._bias
        return self._finish()

    def project(self, inputs: Floats) -> Floats:
        return inputs @ self._input_kernel + self._bias

    def step_projected(self, projected: Floats) -> Floats:
        np.dot(self._hidden, self._recurrent_kernel, out=self._sums)
        np.add(self._sums, projected, out=self._sums)
        return self._finish()

    @abstractmethod
    def _finish(self) -> Floats:
        """Compute the output from the gates' scaled sums."""


class _SimpleRNN(_FusedLayer):
    def __init__(self, cell: SimpleRNNCell, batch_size: int, table: Floats | None) -> None:
        self._prepare(cell, batch_size, table, [0], [1])
        self._activate = cell.activate

    @property
    def state(self) -> HiddenState:
        return HiddenState(self._hidden.copy())

    @state.setter
    def state(self, values: HiddenState) -> None:
        self._hidden[:] = values.hidden

    def _finish(self) -> Floats:
        return self._activate(self._sums, self._hidden)


class _LSTM(_FusedLayer):
    def __init__(self, cell: LSTMCell, batch_size: int, table: Floats | None) -> None:
        self._prepare(cell, batch_size, table, [0, 1, 3, 2], [0.5, 0.5, 0.5, 1])
        H = cell.hidden_size
        self._sigmoids = self._sums[:, : 3 * H]
        self._i, self._f, self._o, self._g = (self._sums[:, gate * H : (gate + 1) * H] for gate in range(4))
        self._cell = np.zeros((batch_size, H), np.float32)
        self._tanh_cell = np.empty_like(self._cell)

    @property
    def state(self) -> LSTMState:
        return LSTMState(self._hidden.copy(), self._cell.copy())

    @state.setter
    def state(self, values: LSTMState) -> None:
        self._hidden[:], self._cell[:] = values

    def _finish(self) -> Floats:
        np.tanh(self._sums, out=self._sums)
        sigmoids, cell = self._sigmoids, self._cell
        np.multiply(sigmoids, HALF, out=sigmoids)
        np.add(sigmoids, HALF, out=sigmoids)
        np.multiply(cell, self._f, out=cell)
        np.multiply(self._g, self._i, out=self._g)
        np.add(cell, self._g, out=cell)
        np.tanh(cell, out=self._tanh_cell)
        return np.multiply(self._o, self._tanh_cell, out=self._hidden)


class _GRU(_FusedLayer):
    """A GRU layer; the candidate's two products stay separate because the reset gate is applied between them."""

    def __init__(self, cell: GRUCell, batch_size: int, table: Floats | None) -> None:
        self._prepare(cell, batch_size, table, [0, 1, 2], [0.5, 0.5, 1])
        H = cell.hidden_size
        self._recurrent_bias = cell.bias[1] * np.repeat(np.array([0.5, 0.5, 1], np.float32), H)
        self._own_hidden = np.zeros((batch_size, H), np.float32)
        self._recurrent = np.empty_like(self._sums)
        self._sigmoids, self._candidate = self._sums[:, : 2 * H], self._sums[:, 2 * H :]
        self._z, self._r = self._sums[:, :H], self._sums[:, H : 2 * H]
        self._recurrent_sigmoids, self._product = self._recurrent[:, : 2 * H], self._recurrent[:, 2 * H :]

    @property
    def state(self) -> HiddenState:
        return HiddenState(self._own_hidden.copy())

    @state.setter
    def state(self, values: HiddenState) -> None:
        self._own_hidden[:] = values.hidden

    def step_token(self, ids: npt.NDArray[np.integer]) -> Floats:
        assert self._table is not None
        np.take(self._table, ids, axis=0, out=self._sums, mode="clip")
        return self._finish()

    def step_inputs(self, inputs: Floats) -> Floats:
        np.dot(inputs, self._input_kernel, out=self._sums)
        self._sums += self._bias
        return self._finish()

    def step_projected(self, projected: Floats) -> Floats:
        self._sums[:] = projected
        return self._finish()

    def _finish(self) -> Floats:
        hidden, candidate, sigmoids = self._own_hidden, self._candidate, self._sigmoids
        np.dot(hidden, self._recurrent_kernel, out=self._recurrent)
        np.add(self._recurrent, self._recurrent_bias, out=self._recurrent)
        np.add(sigmoids, self._recurrent_sigmoids, out=sigmoids)
        np.tanh(sigmoids, out=sigmoids)
        np.multiply(sigmoids, HALF, out=sigmoids)
        np.add(sigmoids, HALF, out=sigmoids)
        np.multiply(self._product, self._r, out=self._product)
        np.add(candidate, self._product, out=candidate)
        np.tanh(candidate, out=candidate)
        np.subtract(hidden, candidate, out=hidden)
        np.multiply(hidden, self._z, out=hidden)
        return np.add(hidden, candidate, out=hidden)
