"""Call the kernels of a recurrent layer on NumPy arrays.

Shapes: T steps, B rows, D inputs, H units, V tokens, G the columns of a kernel (gates * H); time comes first, arrays are
contiguous float32, ids int32.
"""

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from chargen.native.library import Kernels

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
CellName = Literal["tanh", "relu", "lstm", "gru", "gru_reset_before"]

CELLS: tuple[CellName, ...] = ("tanh", "relu", "lstm", "gru", "gru_reset_before")  # as CELLS of kernels.c has them

# The fields of the struct `Layer` of kernels.c
SIZES = ("cell", "T", "B", "all_rows", "D", "H", "V")
ROWS_OF_STEPS, ROWS = ("ids", "x"), ("h0", "c0")  # (T, B, ...), (B, H)
WEIGHTS = ("table", "kernel", "bias", "recurrent_kernel", "recurrent_bias")
FIELDS = (
    *(
        "ids",
        "table",
        "x",
        "kernel",
        "bias",
        "recurrent_kernel",
        "recurrent_bias",
        "h0",
        "c0",
        "packed",
        "kept",
        "h",
        "last_cell",
    ),
    *("d_h", "d_last_cell"),
    *("d_table", "d_x", "d_kernel", "d_bias", "d_recurrent_kernel", "d_recurrent_bias", "d_h0", "d_c0"),
)


class Layer(ctypes.Structure):
    """Hold the sizes of a layer and the addresses of its arrays."""

    _fields_: ClassVar = [
        *((name, ctypes.c_long) for name in SIZES),
        *((name, ctypes.c_void_p) for name in FIELDS),
    ]


def kept_floats(kernels: Kernels, cell: CellName, *, T: int, B: int, D: int, H: int) -> int:
    """Return how many numbers the forward pass keeps for the backward pass; D is 0 for ids."""
    return int(kernels.library.kept_floats(ctypes.byref(Layer(cell=CELLS.index(cell), T=T, B=B, all_rows=B, D=D, H=H))))


class LayerPass:
    """One pass of a layer over all steps, forward and then backward, its rows shared among some threads.

    given: by the names of the struct's fields, `ids` and `table` or `x`, `kernel` and `bias`; `recurrent_kernel`,
    `recurrent_bias` if the cell has one, `h0`, and `c0` of an LSTM.
    """

    def __init__(self, kernels: Kernels, cell: CellName, given: Mapping[str, Array], *, threads: int = 1) -> None:
        self._library, self._cell, self._given = kernels.library, cell, given
        self._num_steps, batch_size = given["ids" if "ids" in given else "x"].shape[:2]
        self._shape = (self._num_steps, *given["h0"].shape)
        parts = min(threads, batch_size)
        cuts = [batch_size * part // parts for part in range(parts + 1)]
        self._parts = [slice(*cut) for cut in pairwise(cuts)]
        sizes = {"T": self._num_steps, "D": given["x"].shape[2] if "x" in given else 0, "H": given["h0"].shape[1]}
        self._kept = [
            np.empty(kept_floats(kernels, cell, B=part.stop - part.start, **sizes), np.float32) for part in self._parts
        ]

    def forward(self) -> tuple[Floats, Floats | None]:
        """Return the outputs, (T, B, H), and the cell state after them, (B, H), of an LSTM. Raises MemoryError."""
        hidden = np.empty(self._shape, np.float32)
        last_cell = np.empty(self._shape[1:], np.float32) if "c0" in self._given else None

        def run(part: slice, kept: Floats) -> None:
            own = {"kept": kept, "h": hidden[:, part]} | ({} if last_cell is None else {"last_cell": last_cell[part]})
            self._call(self._library.layer_forward, part, own)

        self._on_threads(run)
        return hidden, last_cell

    def backward(self, d_hidden: Floats, d_last_cell: Floats | None) -> dict[str, Floats]:
        """Return the gradients of all that was given but the ids, from those of the outputs. Raises MemoryError."""
        rows = {f"d_{name}": np.empty_like(self._given[name]) for name in ("x", *ROWS) if name in self._given}
        weights = [
            {f"d_{name}": np.empty_like(self._given[name]) for name in WEIGHTS if name in self._given} for _ in self._parts
        ]

        def run(part: slice, kept: Floats) -> None:
            own = {name: array[:, part] if name == "d_x" else array[part] for name, array in rows.items()}
            own |= weights[self._parts.index(part)]
            upstream = {"kept": kept, "d_h": d_hidden[:, part]} | (
                {} if d_last_cell is None else {"d_last_cell": d_last_cell[part]}
            )
            self._call(self._library.layer_backward, part, own | upstream)

        self._on_threads(run)
        summed = {name: sum(one[name] for one in weights[1:]) + first for name, first in weights[0].items()}
        return {name.removeprefix("d_"): array for name, array in (rows | summed).items()}

    def _on_threads(self, run: Callable[[slice, Floats], None]) -> None:
        if len(self._parts) == 1:
            run(self._parts[0], self._kept[0])
        else:
            list(threads().map(run, self._parts, self._kept))

    def _call(self, function: Any, part: slice, own: Mapping[str, Array]) -> None:
        """Call a function of the library for some rows."""
        given = dict(self._given)
        given |= {name: given[name][:, part] for name in ROWS_OF_STEPS if name in given}
        given |= {name: given[name][part] for name in ROWS if name in given}
        layer = Layer(cell=CELLS.index(self._cell), T=self._num_steps, B=part.stop - part.start)
        layer.all_rows, layer.H = self._shape[1:]
        layer.D = given["x"].shape[2] if "x" in given else 0
        layer.V = len(given["table"]) if "table" in given else 0
        for name, array in (given | dict(own)).items():
            setattr(layer, name, array.ctypes.data)
        if function(ctypes.byref(layer)):
            raise MemoryError("there is not enough memory for a recurrent layer")


@cache
def threads() -> "ThreadPoolExecutor":
    """Return the threads that share the rows of a layer; they run while the kernels do, without Python's lock."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(thread_name_prefix="kernels")
