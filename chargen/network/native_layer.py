"""Step a recurrent layer with the kernels of `chargen.native`; large layers share their rows among the cores."""

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.cores import num_cores
from chargen.native.layer import CELLS, CellName, Layer
from chargen.native.library import Kernels
from chargen.network.cells import (
    Cell,
    Floats,
    GRUCell,
    GRUResetBeforeCell,
    HiddenState,
    LSTMCell,
    LSTMState,
    MultiplicativeLSTMCell,
    ReluRNNCell,
    SimpleRNNCell,
    check_bounded,
)

KINDS: dict[type[Cell[Any]], CellName] = {
    SimpleRNNCell: "tanh",
    ReluRNNCell: "relu",
    LSTMCell: "lstm",
    MultiplicativeLSTMCell: "mlstm",
    GRUCell: "gru",
    GRUResetBeforeCell: "gru_reset_before",
}
WORTH_A_THREAD = 1 << 22  # multiplications
WORTH_TOGETHER = 1 << 18  # multiplications of a step for each thread that shares its units
FEW_ROWS = 8  # fewer than these share units
FEW_STEPS = 16  # fewer than these are not worth starting threads


def num_threads(work: int, worth_one: int = WORTH_A_THREAD) -> int:
    """Return how many threads so many multiplications are worth, at most as many as there are cores."""
    return max(1, min(num_cores(), work // worth_one))


def threads_together(rows: int, weights: int) -> int:
    """Return how many threads should share the units of each step, 1 for steps of many rows, whose rows are shared."""
    return num_threads(rows * weights, WORTH_TOGETHER) if rows < FEW_ROWS else 1


class NativeLayer:
    """A layer and its state of B rows. The first layer reads rows of a table instead of inputs."""

    def __init__(self, kernels: Kernels, cell: Cell[Any], batch_size: int, table: Floats | None) -> None:
        self._library, self.cell = kernels.library, cell
        self.hidden_size = cell.hidden_size
        self._hidden = np.zeros((batch_size, cell.hidden_size), np.float32)
        self._cell_state = np.zeros_like(self._hidden) if cell.state_type is LSTMState else None
        self._ids = np.zeros((1, batch_size), np.int32)
        self._table = None if table is None else np.ascontiguousarray(table)
        self.layer = self._new_layer(batch_size)
        self._packed = np.empty(self._library.packed_floats(ctypes.byref(self.layer)), np.float32)  # kept for the kernels
        self.layer.packed = self._packed.ctypes.data
        self._library.pack_layer(ctypes.byref(self.layer))

    def _new_layer(self, batch_size: int) -> Layer:
        cell = self.cell
        layer = Layer(cell=CELLS.index(KINDS[type(cell)]), T=1, B=batch_size, all_rows=batch_size, H=cell.hidden_size)
        layer.threads = num_threads(batch_size * cell.recurrent_kernel.size)
        layer.recurrent_kernel = cell.recurrent_kernel.ctypes.data
        if isinstance(cell, GRUCell):
            layer.recurrent_bias = cell.bias[1].ctypes.data
        if self._table is None:
            layer.D, layer.kernel, layer.bias = len(cell.kernel), cell.kernel.ctypes.data, cell.input_bias.ctypes.data
        else:
            layer.V, layer.table, layer.ids = len(self._table), self._table.ctypes.data, self._ids.ctypes.data
        layer.h0 = layer.h = self._hidden.ctypes.data
        if self._cell_state is not None:
            layer.c0 = layer.last_cell = self._cell_state.ctypes.data
        return layer

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(self._hidden)

    @property
    def weights(self) -> int:
        """The number of weights that each step multiplies."""
        return self.cell.recurrent_kernel.size + (self.cell.kernel.size if self._table is None else 0)

    @property
    def state(self) -> Any:
        """A copy of the cell's state; it may be assigned."""
        hidden = self._hidden.copy()
        return HiddenState(hidden) if self._cell_state is None else LSTMState(hidden, self._cell_state.copy())

    @state.setter
    def state(self, values: Any) -> None:
        self._hidden[:] = values.hidden
        if self._cell_state is not None:
            self._cell_state[:] = values.cell

    def step_token(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read ids, (B,), and return the output, (B, H), valid until the next step."""
        self._ids[0] = ids
        return self._step()

    def step_inputs(self, inputs: Floats) -> Floats:
        """Read inputs, (B, D), and return the output, (B, H), valid until the next step."""
        inputs = np.ascontiguousarray(inputs, np.float32)
        self.layer.x = inputs.ctypes.data
        return self._step()

    def read_tokens(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read ids, (S, B), and return the outputs, (S, B, H)."""
        outputs = self._all_steps("ids", np.ascontiguousarray(ids, np.int32))
        self.layer.ids = self._ids.ctypes.data
        return outputs

    def read_inputs(self, inputs: Floats) -> Floats:
        """Read inputs, (S, B, D), and return the outputs, (S, B, H)."""
        return self._all_steps("x", np.ascontiguousarray(inputs, np.float32))

    def _step(self) -> Floats:
        self._forward()
        return check_bounded(self._hidden) if isinstance(self.cell, ReluRNNCell) else self._hidden

    def _all_steps(self, name: str, array: npt.NDArray[Any]) -> Floats:
        layer, outputs = self.layer, np.empty((len(array), *self._hidden.shape), np.float32)
        setattr(layer, name, array.ctypes.data)
        layer.T, layer.h = len(array), outputs.ctypes.data
        layer.together = threads_together(len(self._hidden), self.weights) if layer.T >= FEW_STEPS else 1
        self._forward()
        if isinstance(self.cell, ReluRNNCell):
            check_bounded(outputs)
        layer.T, layer.together, layer.h = 1, 1, self._hidden.ctypes.data
        self._hidden[:] = outputs[-1]
        return outputs

    def _forward(self) -> None:
        if self._library.layer_forward(ctypes.byref(self.layer)):
            raise MemoryError("there is not enough memory for a recurrent layer")
