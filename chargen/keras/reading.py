"""Read a Keras model, layer by layer, as a network of chargen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import keras
import numpy as np
from keras import layers

from chargen.corpus.vocabulary import Vocabulary
from chargen.errors import ConfigError
from chargen.network.cells import Floats
from chargen.network.network import BATCH_NORM_WEIGHTS, LAYER_NORM_WEIGHTS, Network, weight_shapes
from chargen.network.normalization import EPSILON
from chargen.settings.schema import NetworkConfig
from chargen.training.export import find_variable
from chargen.training.layers.multiplicative import MultiplicativeLSTM
from chargen.training.layers.recurrent import TokenRecurrent
from chargen.training.model import OneHot

TRAINING_ONLY = (
    layers.InputLayer,
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AlphaDropout,
    layers.ActivityRegularization,
)
CELLS = {layers.SimpleRNN: "simplernn", layers.LSTM: "lstm", MultiplicativeLSTM: "mlstm", layers.GRU: "gru"}
ACTIVATIONS = {"simplernn": ("tanh", "relu"), "lstm": ("tanh",), "mlstm": ("tanh",), "gru": ("tanh",)}
NEVER = -100.0  # a logit whose token has no probability
WHAT_FITS = (
    "chargen reads Embedding or one-hot inputs, SimpleRNN, LSTM, MultiplicativeLSTM or GRU layers of one size, "
    "LayerNormalization between them, "
    "Dropout, a Dense layer with relu, and a Dense output"
)


@dataclass(frozen=True)
class ReadModel:
    """What a Keras model computes, as chargen describes it; a model of one-hot or embedded ids, to logits or probabilities."""

    config: NetworkConfig
    weights: Mapping[str, Floats]
    context_length: int | None  # None where a model reads windows of any length

    @property
    def num_inputs(self) -> int:
        """Tokens that the model reads."""
        return len(self.weights["embedding" if self.config.embedding_size else "recurrent.0.kernel"])

    @property
    def num_outputs(self) -> int:
        """Tokens that the model predicts."""
        return len(self.weights["output.bias"])

    def network(self, vocabulary: Vocabulary) -> Network:
        """Return the network over a vocabulary.

        A model over all tokens but the boundary, as one with `chars = sorted(set(text))`, gets one that it never predicts.
        Raises ConfigError for one of another size.
        """
        check_size(vocabulary, self.num_outputs)
        if self.num_inputs != self.num_outputs:
            raise ConfigError(f"the model reads {self.num_inputs} tokens and predicts {self.num_outputs}, expected as many")
        weights = self.weights if self.num_outputs == len(vocabulary) else self._with_boundary()
        return Network(self.config, len(vocabulary), weights)

    def _with_boundary(self) -> dict[str, Floats]:
        weights = dict(self.weights)
        inputs = "embedding" if self.config.embedding_size else "recurrent.0.kernel"
        weights[inputs] = np.pad(weights[inputs], ((1, 0), (0, 0)))
        weights["output.kernel"] = np.pad(weights["output.kernel"], ((0, 0), (1, 0)))
        weights["output.bias"] = np.pad(weights["output.bias"], (1, 0), constant_values=NEVER)
        return weights


def check_size(vocabulary: Vocabulary, num_outputs: int) -> None:
    """Raise ConfigError unless a model with so many outputs predicts a vocabulary, with or without the boundary token."""
    if num_outputs not in (len(vocabulary), len(vocabulary) - 1):
        raise ConfigError(
            f"the model has {num_outputs} outputs, the vocabulary has {len(vocabulary)} tokens, the boundary token among them",
            hint="give the vocabulary of the text that the model learns",
        )


def read_model(model: keras.Model) -> ReadModel:
    """Read a Sequential or functional model. Raises ConfigError, naming the layer, for one that chargen does not compute."""
    if (own := _read_dense_cells(model)) is not None:
        return own
    stack = _Stack(model)
    weights: dict[str, Any] = {}
    embedding, normalized = _read_inputs(stack, weights)
    recurrents: list[layers.RNN] = []
    norms: list[layers.Layer | None] = []
    while (recurrent := stack.take(*CELLS)) is not None:
        recurrents.append(recurrent)
        norms.append(stack.take(layers.LayerNormalization))
    config = _read_recurrents(stack, recurrents, norms, weights)
    config |= {
        "embedding_size": embedding.output_dim if embedding is not None else 0,
        "embedding_norm": "batch" if normalized else "none",
        "dense_size": _read_head(stack, weights),
    }
    arrays = {name: _array(value) for name, value in weights.items()}
    return ReadModel(NetworkConfig(**config), arrays, model.input_shape[1])


def _read_dense_cells(model: keras.Model) -> ReadModel | None:
    """Read an RNN of shared Dense layers as `build` makes it, by the names of its layers; return None for any other model."""
    named = {layer.name: layer for layer in getattr(model, "layers", ())}
    cells = [name for name in named if name.endswith("_input_to_hidden")]
    if not cells or "output" not in named:
        return None
    embedding, dense = named.get("embedding"), named.get("dense")
    config = NetworkConfig(
        cell="dense",
        num_layers=len(cells),
        hidden_size=named["recurrent_0_input_to_hidden"].units,
        activation="relu" if any(type(one).__name__ == "ReLU" for one in model.operations) else "tanh",
        embedding_size=embedding.output_dim if embedding is not None else 0,
        embedding_norm="batch" if "embedding_norm" in named else "none",
        layer_norm="norm_0" in named,
        dense_size=dense.units if dense is not None else 0,
        targets="all" if len(model.output_shape) == 3 else "last",
    )
    names = weight_shapes(config, model.output_shape[-1])
    return ReadModel(config, {name: _array(find_variable(model, name)) for name in names}, model.input_shape[1])


def _array(value: Any) -> Floats:
    return np.array(keras.ops.convert_to_numpy(value), np.float32)


class _Stack:
    """The layers of a model, which are taken one after another; those that do nothing but in training are left out."""

    def __init__(self, model: keras.Model) -> None:
        self._layers = [*_chain(model)]

    def take(self, *kinds: type) -> Any:
        """Return the next layer if it is of a kind, else None and leave it there."""
        if self._layers and isinstance(self._layers[0], kinds):
            return self._layers.pop(0)
        return None

    def take_one_hot(self) -> None:
        """Pass over the layer or the operation `keras.ops.one_hot`."""
        if self._layers and type(self._layers[0]).__name__ == "OneHot":
            self._layers.pop(0)

    def fail(self) -> NoReturn:
        """Raise ConfigError for the next layer."""
        if not self._layers:
            raise ConfigError("the model ends without a Dense output", hint=WHAT_FITS)
        refuse(self._layers[0], "is not expected there")


def refuse(layer: Any, problem: str) -> NoReturn:
    """Raise ConfigError for a layer."""
    raise ConfigError(f"cannot convert the model: its layer {layer.name!r} ({type(layer).__name__}) {problem}", hint=WHAT_FITS)


def _chain(model: keras.Model) -> Iterator[Any]:
    """Yield the layers and operations of a model in their order, nested models opened."""
    for operation in _operations(model):
        if isinstance(operation, TRAINING_ONLY) or type(operation).__name__ == "Cast":
            continue
        if isinstance(operation, TokenRecurrent):
            yield operation.embedding or OneHot(operation.vocab_size)
            yield operation.recurrent
        elif isinstance(operation, keras.Model):
            yield from _chain(operation)
        else:
            yield operation.layer if isinstance(operation, layers.TimeDistributed) else operation


def _operations(model: keras.Model) -> list[Any]:
    """Return the layers and operations of a model. Raises ConfigError unless each is called once, on the one before it."""
    if not getattr(model, "built", False):
        raise ConfigError("the model is not built yet", hint="call it on a batch, or give it a keras.Input")
    if isinstance(model, keras.Sequential):
        return list(model.layers)
    calls = getattr(model, "_nodes_by_depth", None)  # of a functional model: how far from the output, and what is called there
    if calls is None or any(len(nodes) > 1 for nodes in calls.values()) or len(calls) > len(model.operations):
        raise ConfigError("cannot convert the model: its layers are not called once each, one after another", hint=WHAT_FITS)
    return list(model.operations)


def _read_inputs(stack: _Stack, weights: dict[str, Any]) -> tuple[layers.Embedding | None, bool]:
    """Read the embedding and its normalisation, if there are any."""
    embedding = stack.take(layers.Embedding)
    if embedding is None:
        stack.take_one_hot()
        return None, False
    if embedding.mask_zero:
        refuse(embedding, "has mask_zero=True")
    weights["embedding"] = embedding.embeddings
    norm = stack.take(layers.BatchNormalization)
    if norm is not None:
        _read_norm(norm, "embedding_norm", BATCH_NORM_WEIGHTS, weights)
    return embedding, norm is not None


def _read_norm(layer: Any, name: str, kinds: tuple[str, ...], weights: dict[str, Any]) -> None:
    if abs(layer.epsilon - float(EPSILON)) > 1e-9:
        refuse(layer, f"has epsilon={layer.epsilon:g}, expected {float(EPSILON):g}")
    if layer.gamma is None or layer.beta is None:
        refuse(layer, "has no scale or no center")
    weights |= {f"{name}.{kind}": getattr(layer, kind) for kind in kinds}


def _read_recurrents(
    stack: _Stack, recurrents: list[layers.RNN], norms: list[layers.Layer | None], weights: dict[str, Any]
) -> dict[str, Any]:
    """Read the recurrent layers and what normalises between them; return their part of the config."""
    if not recurrents:
        stack.fail()
    first, last = recurrents[0], recurrents[-1]
    shape = _shape_of(first)
    for layer in recurrents:
        if _shape_of(layer) != shape:
            refuse(layer, f"differs from {first.name!r} in its kind or size")
        if layer is not last and not layer.return_sequences:
            refuse(layer, "has return_sequences=False before another recurrent layer")
    for number, layer in enumerate(recurrents):
        _read_cell(layer.cell, f"recurrent.{number}", weights)
    if norms[-1] is not None:
        refuse(norms[-1], "stands after the last recurrent layer")
    between = [norm for norm in norms if norm is not None]
    if between and len(between) < len(recurrents) - 1:
        refuse(between[0], "stands between some of the recurrent layers only")
    for number, norm in enumerate(between):
        _read_norm(norm, f"norm.{number}", LAYER_NORM_WEIGHTS, weights)
    return shape | {
        "num_layers": len(recurrents),
        "layer_norm": bool(between),
        "targets": "all" if last.return_sequences else "last",
    }


def _shape_of(layer: layers.RNN) -> dict[str, Any]:
    """Return the settings of a recurrent layer. Raises ConfigError for one that the NumPy cells do not compute."""
    cell = next(cell for kind, cell in CELLS.items() if isinstance(layer, kind))
    activation = keras.activations.serialize(layer.cell.activation)
    if activation not in ACTIVATIONS[cell]:
        refuse(layer, f"has the activation {activation}, expected {' or '.join(ACTIVATIONS[cell])}")
    gates = None if cell == "simplernn" else layer.cell.recurrent_activation
    if gates not in (None, keras.activations.sigmoid):
        refuse(layer, f"has the recurrent activation {keras.activations.serialize(gates)}, expected sigmoid")
    if layer.go_backwards or layer.return_state:
        refuse(layer, "reads backwards" if layer.go_backwards else "returns its states")
    return {
        "cell": cell,
        "hidden_size": layer.units,
        "activation": activation if cell == "simplernn" else "tanh",
        "reset_after": layer.cell.reset_after if cell == "gru" else True,
    }


def _read_cell(cell: Any, name: str, weights: dict[str, Any]) -> None:
    weights[f"{name}.kernel"], weights[f"{name}.recurrent_kernel"] = cell.kernel, cell.recurrent_kernel
    width = cell.kernel.shape[1]
    no_bias = np.zeros((2, width) if getattr(cell, "reset_after", False) else width, np.float32)
    weights[f"{name}.bias"] = cell.bias if cell.use_bias else no_bias


def _read_head(stack: _Stack, weights: dict[str, Any]) -> int:
    """Read the Dense layers to the model's end; return the size of the hidden one, 0 if there is none."""
    dense, activation = _take_dense(stack)
    size = 0
    if activation == "relu":
        _read_dense(dense, "dense", weights)
        size = dense.units
        dense, activation = _take_dense(stack)
    if activation not in ("linear", "softmax"):
        refuse(dense, f"has the activation {activation}, expected softmax or none for the output")
    _read_dense(dense, "output", weights)
    if stack.take(object) is not None:
        refuse(dense, "is followed by other layers")
    return size


def _take_dense(stack: _Stack) -> tuple[layers.Dense, str]:
    """Return the next Dense layer and its activation, which may be a layer of its own."""
    dense = stack.take(layers.Dense)
    if dense is None:
        stack.fail()
    activation = keras.activations.serialize(dense.activation)
    if activation != "linear":
        return dense, activation
    following = stack.take(layers.Activation, layers.Softmax, layers.ReLU)
    if following is None:
        return dense, "linear"
    if isinstance(following, layers.Activation):
        return dense, keras.activations.serialize(following.activation)
    return dense, type(following).__name__.lower()


def _read_dense(dense: layers.Dense, name: str, weights: dict[str, Any]) -> None:
    weights[f"{name}.kernel"] = dense.kernel
    weights[f"{name}.bias"] = dense.bias if dense.use_bias else np.zeros(dense.units, np.float32)
