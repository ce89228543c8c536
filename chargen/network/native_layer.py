"""Step a recurrent layer with the kernels of `chargen.native`; large layers share their rows among the cores."""

import ctypes
import os
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.native.layer import CELLS, CellName, Layer, threads
from chargen.native.library import Kernels
from chargen.network.cells import (
    Cell,
    Floats,
    GRUCell,
    GRUResetBeforeCell,
    HiddenState,
    LSTMCell,
    LSTMState,
    ReluRNNCell,
    SimpleRNNCell,
    check_bounded,
)

KINDS: dict[type[Cell[Any]], CellName] = {
    SimpleRNNCell: "tanh",
    ReluRNNCell: "relu",
    LSTMCell: "lstm",
    GRUCell: "gru",
    GRUResetBeforeCell: "gru_reset_before",
}
WORTH_A_THREAD = 1 << 22  # multiplications of a step that are worth another thread


class NativeLayer:
    """A layer and its state of B rows. The first layer reads rows of a table instead of inputs."""

    def __init__(self, kernels: Kernels, cell: Cell[Any], batch_size: int, table: Floats | None) -> None:
        self._library, self.cell = kernels.library, cell
        self.hidden_size = cell.hidden_size
        self._hidden = np.zeros((batch_size, cell.hidden_size), np.float32)
        self._cell_state = np.zeros_like(self._hidden) if isinstance(cell, LSTMCell) else None
        self._ids = np.zeros((1, batch_size), np.int32)
        self._table = None if table is None else np.ascontiguousarray(table)
        self._parts = self._cut(batch_size)
        self.layer = self._parts[0]
        packed = np.empty(self._library.packed_floats(ctypes.byref(self.layer)), np.float32)
        for layer in self._parts:
            layer.packed = packed.ctypes.data
        self._packed = packed  # keeps the memory of the structs alive
        self._library.pack_layer(ctypes.byref(self.layer))

    def _cut(self, batch_size: int) -> list[Layer]:
        """Return the layers of the threads, each with a part of the rows."""
        work = batch_size * self.cell.recurrent_kernel.size
        count = max(1, min(len(os.sched_getaffinity(0)), batch_size, work // WORTH_A_THREAD))
        cuts = [batch_size * part // count for part in range(count + 1)]
        return [self._part(first, last, batch_size) for first, last in pairwise(cuts)]

    def _part(self, first: int, last: int, batch_size: int) -> Layer:
        cell = self.cell
        layer = Layer(cell=CELLS.index(KINDS[type(cell)]), T=1, B=last - first, all_rows=batch_size, H=cell.hidden_size)
        layer.recurrent_kernel = cell.recurrent_kernel.ctypes.data
        if isinstance(cell, GRUCell):
            layer.recurrent_bias = cell.bias[1].ctypes.data
        if self._table is None:
            layer.D, layer.kernel, layer.bias = len(cell.kernel), cell.kernel.ctypes.data, cell.input_bias.ctypes.data
        else:
            layer.V, layer.table = len(self._table), self._table.ctypes.data
            layer.ids = self._ids[:, first:].ctypes.data
        layer.h0 = layer.h = self._hidden[first:].ctypes.data
        if self._cell_state is not None:
            layer.c0 = layer.last_cell = self._cell_state[first:].ctypes.data
        return layer

    @property
    def token(self) -> npt.NDArray[np.int32]:
        """The array from which the kernels read the ids of a step, (1, B)."""
        return self._ids

    @property
    def on_one_thread(self) -> bool:
        """Whether one thread has all rows."""
        return len(self._parts) == 1

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
        self._read_from("x", inputs[None])
        return self._step()

    def read_tokens(self, ids: npt.NDArray[np.integer]) -> Floats:
        """Read ids, (S, B), and return the outputs, (S, B, H)."""
        outputs = self._all_steps("ids", np.ascontiguousarray(ids, np.int32))
        self._read_from("ids", self._ids)
        return outputs

    def read_inputs(self, inputs: Floats) -> Floats:
        """Read inputs, (S, B, D), and return the outputs, (S, B, H)."""
        return self._all_steps("x", np.ascontiguousarray(inputs, np.float32))

    def _step(self) -> Floats:
        self._forward()
        return check_bounded(self._hidden) if isinstance(self.cell, ReluRNNCell) else self._hidden

    def _read_from(self, name: str, array: npt.NDArray[Any]) -> None:
        first = 0
        for layer in self._parts:
            setattr(layer, name, array[:, first:].ctypes.data)
            first += layer.B

    def _all_steps(self, name: str, array: npt.NDArray[Any]) -> Floats:
        outputs = np.empty((len(array), *self._hidden.shape), np.float32)
        self._read_from(name, array)
        self._read_from("h", outputs)
        for layer in self._parts:
            layer.T = len(array)
        self._forward()
        if isinstance(self.cell, ReluRNNCell):
            check_bounded(outputs)
        for layer in self._parts:
            layer.T = 1
        self._read_from("h", self._hidden[None])
        self._hidden[:] = outputs[-1]
        return outputs

    def _forward(self) -> None:
        if len(self._parts) == 1:
            failed = self._library.layer_forward(ctypes.byref(self.layer))
        else:
            failed = any(threads().map(lambda layer: self._library.layer_forward(ctypes.byref(layer)), self._parts))
        if failed:
            raise MemoryError("there is not enough memory for a recurrent layer")
