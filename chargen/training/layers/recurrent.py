"""Compute recurrent layers faster than Keras's own on a CPU, with equal results.

A layer runs on the kernels of `chargen.native` if there are any for this processor, otherwise as loops of XLA
(`chargen.training.layers.loops`) or, on PyTorch, which compiles no loops, on PyTorch's own kernels. What it cannot do in one of
these ways (masks, a GRU's recurrent dropout, other activations) it leaves to the Keras layer it derives from.

Shapes: T steps, B rows, D inputs, H units, V tokens; inside, time comes first.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import layers, ops

from chargen.native.layer import ENDED, CellName
from chargen.native.library import Products
from chargen.training.devices.backend import accelerated
from chargen.training.layers.dropout import hash_masks
from chargen.training.layers.loops import Tensor, look_up, run_gru, run_lstm, run_multiplicative_lstm, run_simple_rnn
from chargen.training.layers.multiplicative import MultiplicativeLSTM
from chargen.training.layers.native import NativeRun, Weights, native_run


class FusedRecurrent(layers.Layer):
    """What the fused layers share; stands before a Keras layer in the bases of each.

    products: what the kernels round the operands of products to. threads: how many share the rows of a batch in the kernels;
    together: how many share the units of each step instead, unless it is 1. drops_on_kernels: whether a layer with recurrent
    dropout runs on the kernels. table: within a call of `TokenRecurrent`, what the layer adds up for each token, (V, G); the
    layer then reads ids, (B, T, 1).
    """

    activations: tuple[Callable[[Tensor], Tensor], ...] = (keras.activations.tanh,)
    products: Products = "float32"
    drops_on_kernels: bool = True
    table: Tensor | None = None
    threads: int = 1
    together: int = 1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.weight_drop: layers.Dropout | None = None  # what the recurrent kernel passes through in training (Wan et al. 2013)
        hash_masks(self.cell)

    def inner_loop(self, sequences: Tensor, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Run all steps; return the last output, (B, H), all outputs, (B, T, H), and the last states."""
        with self._weights_dropped(training):
            return self._inner_loop(sequences, initial_state, mask, training)

    @contextmanager
    def _weights_dropped(self, training: bool) -> Iterator[None]:
        """Have the cell see its recurrent kernel with some weights dropped, within: it is read there, for cuDNN too."""
        if self.weight_drop is None or not training:
            yield
            return
        attributes, kernel = self.cell.__dict__, self.cell.recurrent_kernel
        attributes["recurrent_kernel"] = self.weight_drop(ops.copy(kernel), training=True)
        try:
            yield
        finally:
            attributes["recurrent_kernel"] = kernel

    def _inner_loop(self, sequences: Tensor, initial_state: Any, mask: Any, training: bool) -> Any:
        states = initial_state if isinstance(initial_state, list | tuple) else [initial_state]
        dropping = bool(training and self.cell.recurrent_dropout)
        fused = self.plain and (self.fusable or keras.backend.backend() == "torch") and not dropping
        if mask is None and (run := self._native_run(sequences, *states, dropping=dropping)):
            outputs, *states = run()
        elif mask is not None or not fused:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        elif keras.backend.backend() == "torch":
            outputs, *states = self._run_on_torch(sequences, *states)
            return states[0], outputs, states
        else:
            outputs, *states = self._run(self._projected(sequences), *states)
        return states[0], ops.transpose(outputs, (1, 0, 2)), states  # XLA leaves out what the next layer turns back

    def _native_run(self, sequences: Tensor, *states: Tensor, dropping: bool) -> Callable[[], tuple[Tensor, ...]] | None:
        """Return what runs all steps on the kernels, or None if they cannot: they are for a CPU, and for known shapes.

        dropping: whether values of the hidden state are dropped (Gal and Ghahramani 2016), the same at all steps.
        """
        cell, run = self.native_cell, self._kernels
        if cell is None or run is None or not self._takes_shape(sequences.shape):
            return None
        given: dict[str, Any] = {"threads": self.threads, "together": self.together}
        if dropping:
            masks = self.cell.get_recurrent_dropout_mask(states[0])  # of an LSTM one for each gate
            given["mask"] = ops.stack(masks if isinstance(masks, list) else [masks])
        states = tuple(ops.copy(state) for state in states)
        recurrent_kernel, recurrent_bias = ops.copy(self.cell.recurrent_kernel), self.recurrent_bias
        if self.table is not None:
            ids, weights = _ids(sequences), Weights(self.table, None, recurrent_kernel, recurrent_bias)
            return lambda: run(cell, ids, weights, states, **given)
        weights = Weights(ops.copy(self.cell.kernel), self.input_bias, recurrent_kernel, recurrent_bias)
        return lambda: run(cell, ops.transpose(sequences, (1, 0, 2)), weights, states, **given)

    @property
    def _kernels(self) -> NativeRun | None:
        """What runs the layer on the kernels, for sequences of a shape that they take."""
        if self.native_cell is None or self.compute_dtype != "float32" or accelerated():
            return None
        if self.cell.recurrent_dropout and not self.drops_on_kernels:
            return None
        return native_run(self.products)

    def _takes_shape(self, shape: tuple[Any, ...]) -> bool:
        """Tell whether the kernels take sequences of this shape, (B, T, D).

        TensorFlow may leave B open; Keras on JAX traces layers with symbols for sizes.
        """
        known = [isinstance(size, int) for size in shape]
        return all(known) or (all(known[1:]) and keras.backend.backend() == "tensorflow" and self.products == "float32")

    def _projected(self, sequences: Tensor) -> Tensor:
        """Return the product of the inputs, (T, B, G)."""
        if self.table is not None:
            return look_up(self.table, _ids(sequences))
        return ops.matmul(ops.transpose(sequences, (1, 0, 2)), self.cell.kernel) + self.input_bias

    @property
    def native_cell(self) -> CellName | None:
        """The cell of the kernels that these settings have, if there is one."""
        raise NotImplementedError

    @property
    def plain(self) -> bool:
        """Whether the settings are those of the fused form; masks and recurrent dropout are looked at on each call."""
        cell = self.cell
        plain = cell.use_bias and not (cell.dropout or self.go_backwards or self.unroll)
        return plain and cell.activation in self.activations

    @property
    def fusable(self) -> bool:
        """Whether the loops of this module are the fastest: on a CPU, compiled by XLA.

        In bfloat16 XLA on a CPU is many times slower than Keras's own layers without it.
        """
        compiled = keras.backend.backend() != "torch" and not accelerated()
        drops = bool(self.cell.recurrent_dropout) and self._kernels is None  # the loops cannot
        return compiled and self.compute_dtype == "float32" and self.plain and not drops

    @property
    def input_bias(self) -> Tensor:
        """The bias that joins the input product, (G,)."""
        return ops.copy(self.cell.bias)

    @property
    def recurrent_bias(self) -> Tensor | None:
        """The bias that joins the recurrent product, (G,), if there is one."""
        return None

    def _run(self, projected: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run all steps over projected inputs, (T, B, G); return the outputs, (T, B, H), and the last states."""
        raise NotImplementedError

    def _run_on_torch(self, sequences: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run all steps over inputs, (B, T, D); return the outputs, (B, T, H), and the last states."""
        raise NotImplementedError

    @property
    def _weights(self) -> tuple[Tensor, ...]:
        """Kernel, recurrent kernel and bias for PyTorch, in the type that the layer computes in; not copied if it is theirs."""
        return tuple(ops.convert_to_tensor(one) for one in (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias))


@keras.saving.register_keras_serializable(package="chargen")
class FusedSimpleRNN(FusedRecurrent, layers.SimpleRNN):
    """keras.layers.SimpleRNN, fused."""

    activations = (keras.activations.tanh, keras.activations.relu)

    @property
    def native_cell(self) -> CellName | None:
        if not self.plain:
            return None
        return "relu" if self.cell.activation is keras.activations.relu else "tanh"

    def _run(self, projected: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        relu = self.cell.activation is keras.activations.relu
        return run_simple_rnn(projected, ops.copy(self.cell.recurrent_kernel), *states, relu=relu)

    def _run_on_torch(self, sequences: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        from chargen.training.layers.torch_recurrent import torch_simple_rnn

        return torch_simple_rnn(sequences, *self._weights, *states, relu=self.cell.activation is keras.activations.relu)


@keras.saving.register_keras_serializable(package="chargen")
class FusedLSTM(FusedRecurrent, layers.LSTM):
    """keras.layers.LSTM, fused."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if keras.backend.backend() == "jax" and self.compute_dtype != "float32":
            self.use_cudnn = False  # JAX hands float32 alone to cuDNN, and refuses others when it is too late for Keras

    @property
    def plain(self) -> bool:
        return super().plain and self.cell.recurrent_activation is keras.activations.sigmoid

    @property
    def native_cell(self) -> CellName | None:
        return "lstm" if self.plain else None

    def _run(self, projected: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        return run_lstm(projected, ops.copy(self.cell.recurrent_kernel), *states)

    def _run_on_torch(self, sequences: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        from chargen.training.layers.torch_recurrent import torch_lstm

        return torch_lstm(sequences, *self._weights, *states)


@keras.saving.register_keras_serializable(package="chargen")
class FusedMultiplicativeLSTM(FusedRecurrent, MultiplicativeLSTM):
    """`MultiplicativeLSTM`, fused; PyTorch has no kernels for it."""

    @property
    def _gates_are_plain(self) -> bool:
        return super().plain and self.cell.recurrent_activation is keras.activations.sigmoid

    @property
    def plain(self) -> bool:
        return self._gates_are_plain and keras.backend.backend() != "torch"

    @property
    def native_cell(self) -> CellName | None:
        return "mlstm" if self._gates_are_plain else None

    def _run(self, projected: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        return run_multiplicative_lstm(projected, ops.copy(self.cell.recurrent_kernel), *states)


@keras.saving.register_keras_serializable(package="chargen")
class FusedGRU(FusedRecurrent, layers.GRU):
    """keras.layers.GRU, fused; without reset_after by the kernels only.

    Not with recurrent dropout, which Keras applies to the whole hidden state, not only to what its products see.
    """

    drops_on_kernels = False

    @property
    def plain(self) -> bool:
        return self.cell.reset_after and self._gates_are_plain

    @property
    def _gates_are_plain(self) -> bool:
        return super().plain and self.cell.recurrent_activation is keras.activations.sigmoid

    @property
    def native_cell(self) -> CellName | None:
        if not self._gates_are_plain:
            return None
        return "gru" if self.cell.reset_after else "gru_reset_before"

    @property
    def input_bias(self) -> Tensor:
        bias = ops.copy(self.cell.bias)
        return bias[0] if self.cell.reset_after else bias

    @property
    def recurrent_bias(self) -> Tensor | None:
        return ops.copy(self.cell.bias)[1] if self.cell.reset_after else None

    def _run(self, projected: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        return run_gru(projected, ops.copy(self.cell.recurrent_kernel), self.recurrent_bias, *states)

    def _run_on_torch(self, sequences: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        from chargen.training.layers.torch_recurrent import torch_gru

        return torch_gru(sequences, *self._weights, *states)


class TokenRecurrent(layers.Layer):
    """An embedding (or one-hot vectors) and a fused recurrent layer as one, for token ids (B, T).

    What the recurrent layer adds up for a token is the same wherever the token stands, so it is computed once for each token
    and looked up: embedding @ kernel + bias is a table of V rows.
    """

    def __init__(
        self, recurrent: FusedRecurrent, *, vocab_size: int, embedding: layers.Embedding | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.recurrent, self.embedding, self.vocab_size = recurrent, embedding, vocab_size

    def build(self, ids_shape: tuple[int | None, ...]) -> None:
        """Create the weights of both layers."""
        if self.embedding is not None:
            self.embedding.build(ids_shape)
        self.recurrent.build((*ids_shape, self._width))

    def compute_output_shape(self, ids_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the outputs, for which Keras would otherwise trace the layer."""
        return self.recurrent.compute_output_shape((*ids_shape, self._width))

    @property
    def _width(self) -> int:
        return self.vocab_size if self.embedding is None else self.embedding.output_dim

    def call(self, ids: Tensor) -> Tensor:
        """Return what the recurrent layer returns."""
        kernel = ops.copy(self.recurrent.cell.kernel)
        if self.embedding is not None:
            kernel = ops.matmul(self.embedding.embeddings, kernel)
        with self._table(kernel + self.recurrent.input_bias):
            return self.recurrent(ids[..., None])

    @contextmanager
    def _table(self, table: Tensor) -> Iterator[None]:
        """Have the recurrent layer read ids, within."""
        attributes = self.recurrent.__dict__  # where Keras does not look for weights
        attributes["table"] = table
        try:
            yield
        finally:
            del attributes["table"]

    @property
    def stops_at_ends(self) -> bool:
        """Whether the layer leaves out the steps after the end of a row, which `mark_ends` has marked."""
        return self.recurrent._kernels is not None


def mark_ends(ids: Tensor, sample_weights: Tensor) -> Tensor:
    """Return ids, (B, T), where those after the last position of a row with a weight say that the row has ended."""
    places = ops.arange(1, ids.shape[1] + 1)
    ends = ops.max(ops.where(sample_weights > 0, places, 0), axis=1, keepdims=True)
    return ops.where(places <= ends, ids, ENDED)


def _ids(sequences: Tensor) -> Tensor:
    """Return (B, T, 1) ids as (T, B)."""
    return ops.transpose(sequences[..., 0])
