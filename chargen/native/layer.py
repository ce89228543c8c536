"""Call the kernels of a recurrent layer on NumPy arrays.

Shapes: T steps, B rows, D inputs, H units, V tokens, G the columns of a kernel (gates * H); time comes first, arrays are
contiguous float32, ids int32.
"""

import ctypes
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from chargen.native.library import Kernels

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
CellName = Literal["tanh", "relu", "lstm", "gru", "gru_reset_before", "mlstm"]

ENDED = np.iinfo(np.int32).min  # the id of the steps after the end of a row; its outputs are zeros there
CELLS: tuple[CellName, ...] = get_args(CellName)  # in the order of CELLS in kernels.c

# The fields of the struct `Layer` of kernels.c
SIZES = ("cell", "T", "B", "all_rows", "D", "H", "V", "masks", "threads", "together")
WEIGHTS = ("table", "x", "kernel", "bias", "recurrent_kernel", "recurrent_bias", "h0", "c0")
RESULTS = ("packed", "kept", "h", "last_cell", "d_h", "d_last_cell")
FIELDS = ("ids", *WEIGHTS, "mask", *RESULTS, *(f"d_{name}" for name in WEIGHTS))
WITHOUT_GRADIENT = ("ids", "mask")


class Layer(ctypes.Structure):
    """Hold the sizes of a layer and the addresses of its arrays."""

    _fields_: ClassVar = [
        *((name, ctypes.c_long) for name in SIZES),
        *((name, ctypes.c_void_p) for name in FIELDS),
    ]


def kept_floats(kernels: Kernels, cell: CellName, *, T: int, D: int, H: int, masks: int = 0) -> int:
    """Return how many numbers a row of the forward pass keeps for the backward pass; D is 0 for ids.

    With an odd number of rows there has to be room for one more.
    """
    return int(kernels.library.kept_floats(ctypes.byref(Layer(cell=CELLS.index(cell), T=T, D=D, H=H, masks=masks))))


class LayerPass:
    """One pass of a layer over all steps, forward and then backward.

    Some `threads` share its rows; or if more than one are `together`, they share the units of each step.

    given: by the names of the struct's fields, `ids` and `table` or `x`, `kernel` and `bias`; `recurrent_kernel`,
    `recurrent_bias` if the cell has one, `h0`, and `c0` of an LSTM; `mask`, (1, B, H) or (gates, B, H), if the products see the
    hidden state times it.
    """

    def __init__(
        self, kernels: Kernels, cell: CellName, given: Mapping[str, Array], *, threads: int = 1, together: int = 1
    ) -> None:
        self._library, self._given = kernels.library, given
        T, B = given["ids" if "ids" in given else "x"].shape[:2]
        D, H = given["x"].shape[2] if "x" in given else 0, given["h0"].shape[1]
        V, masks = (len(given[name]) if name in given else 0 for name in ("table", "mask"))
        sizes = {"T": T, "D": D, "H": H, "masks": masks}
        self._layer = Layer(cell=CELLS.index(cell), B=B, all_rows=B, V=V, threads=threads, together=together, **sizes)
        self._kept = np.empty((B + B % 2, kept_floats(kernels, cell, **sizes)), np.float32)
        self._point_to({**given, "kept": self._kept})

    def forward(self) -> tuple[Floats, Floats | None]:
        """Return the outputs, (T, B, H), and the cell state after them, (B, H), of an LSTM. Raises MemoryError."""
        layer = self._layer
        hidden = np.empty((layer.T, layer.B, layer.H), np.float32)
        last_cell = np.empty_like(hidden[0]) if "c0" in self._given else None
        self._point_to({"h": hidden} | ({} if last_cell is None else {"last_cell": last_cell}))
        self._run(self._library.layer_forward)
        return hidden, last_cell

    def backward(self, d_hidden: Floats, d_last_cell: Floats | None) -> dict[str, Floats]:
        """Return the gradients of all that was given but ids and mask, from those of the outputs. Raises MemoryError."""
        gradients = {name: np.empty_like(array) for name, array in self._given.items() if name not in WITHOUT_GRADIENT}
        self._point_to({f"d_{name}": array for name, array in gradients.items()})
        self._point_to({"d_h": d_hidden} | ({} if d_last_cell is None else {"d_last_cell": d_last_cell}))
        self._run(self._library.layer_backward)
        return gradients

    def _point_to(self, arrays: Mapping[str, Array]) -> None:
        for name, array in arrays.items():
            setattr(self._layer, name, array.ctypes.data)

    def _run(self, function: Any) -> None:
        if function(ctypes.byref(self._layer)):
            raise MemoryError("there is not enough memory for a recurrent layer")
