"""The multiplicative LSTM as a Keras layer, which Keras does not have: the fused one gives the same, and falls back to it.

Shapes: B rows, D inputs, H units.
"""

import inspect
from typing import Any

from keras import layers, ops

from chargen.training.layers.loops import Tensor

GATES = 5  # those of an LSTM in Keras's order, then the factor that the inputs and the state have a part in
OF_THE_CELL = frozenset(inspect.signature(layers.LSTMCell).parameters) - {"units", "kwargs"}


class MultiplicativeLSTMCell(layers.LSTMCell):
    """An LSTM's cell that reads m = (x W + b) * (h U) in place of h (Krause et al. 2016); W, b, U are the last H columns.

    It has the arguments of `keras.layers.LSTMCell`. Inputs are dropped once for all gates, the state once, where m reads it.
    """

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(units, **options)
        self.dropout_mask_count = None  # one mask, whatever the rates

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights: kernel, (D, 5H), recurrent kernel, (H, 5H), and bias, (5H,)."""
        layers.Layer.build(self, input_shape)
        width = GATES * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], width), self.kernel_initializer)
        self.recurrent_kernel = self._weight(
            "recurrent_kernel", (self.units, width), self.recurrent_initializer, of="recurrent"
        )
        self.bias = self._weight("bias", (width,), self._initial_bias) if self.use_bias else None

    def _weight(self, name: str, shape: tuple[int | None, ...], initializer: Any, *, of: str = "") -> Any:
        kind = of or name
        regularizer, constraint = getattr(self, f"{kind}_regularizer"), getattr(self, f"{kind}_constraint")
        return self.add_weight(shape=shape, name=name, initializer=initializer, regularizer=regularizer, constraint=constraint)

    def _initial_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """Return the configured bias, with 1 for the forget gate if configured."""
        bias, H = self.bias_initializer(shape, dtype=dtype), self.units
        return ops.slice_update(bias, (H,), ops.ones((H,), bias.dtype)) if self.unit_forget_bias else bias

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Return the output, (B, H), of inputs, (B, D), and the states after them."""
        hidden, cell = states
        if training and self.dropout:
            inputs = inputs * self.get_dropout_mask(inputs)
        if training and self.recurrent_dropout:
            hidden = hidden * self.get_recurrent_dropout_mask(hidden)
        projected, split = ops.matmul(inputs, self.kernel), (GATES - 1) * self.units
        if self.use_bias:
            projected = projected + self.bias
        multiplied = projected[:, split:] * ops.matmul(hidden, self.recurrent_kernel[:, split:])
        sums = projected[:, :split] + ops.matmul(multiplied, self.recurrent_kernel[:, :split])
        write, forget, candidate, read = ops.split(sums, GATES - 1, axis=1)
        cell = self.recurrent_activation(forget) * cell + self.recurrent_activation(write) * self.activation(candidate)
        hidden = self.recurrent_activation(read) * self.activation(cell)
        return hidden, [hidden, cell]


class MultiplicativeLSTM(layers.RNN):
    """A layer of `MultiplicativeLSTMCell`, with the arguments of `keras.layers.LSTM`."""

    def __init__(self, units: int, **options: Any) -> None:
        of_cell = {name: options.pop(name) for name in OF_THE_CELL & options.keys()}
        super().__init__(MultiplicativeLSTMCell(units, dtype=options.get("dtype"), name="cell", **of_cell), **options)

    @property
    def units(self) -> int:
        """The number of units."""
        units: int = self.cell.units
        return units

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        cell = self.cell.get_config()
        config = super().get_config() | {name: cell[name] for name in OF_THE_CELL & cell.keys()} | {"units": self.units}
        del config["cell"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MultiplicativeLSTM":
        """Return a layer of the arguments that `get_config` returned."""
        return cls(**config)
