"""List the layers of a network like Keras's `model.summary()`, without Keras."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

from chargen.network.network import weight_shapes
from chargen.settings.schema import NetworkConfig

KERAS_NAMES = {"simplernn": "SimpleRNN", "lstm": "LSTM", "mlstm": "MultiplicativeLSTM", "gru": "GRU"}
NOT_TRAINED = ("moving_mean", "moving_variance")  # of a batch normalisation

Shape = tuple[int, ...]  # without the batch


class LayerRow(NamedTuple):
    """A layer: its name, Keras's class, its output shape for one window, and its numbers of parameters."""

    name: str
    kind: str
    shape: Shape
    trainable: int = 0
    non_trainable: int = 0

    @property
    def parameters(self) -> int:
        """The number of all parameters of the layer."""
        return self.trainable + self.non_trainable


def describe_networks(configs: Sequence[NetworkConfig]) -> str:
    """Return the cells and sizes of the networks of a model, such as "lstm 2x256" or "3 networks, each lstm 2x256"."""
    shapes = [f"{one.cell} {one.num_layers}x{one.hidden_size}" for one in configs]
    if len(shapes) == 1:
        return shapes[0]
    return f"{len(shapes)} networks, {f'each {shapes[0]}' if len(set(shapes)) == 1 else ', '.join(shapes)}"


def layer_rows(
    network: NetworkConfig, vocab_size: int, *, context_length: int, num_outputs: int | None = None
) -> list[LayerRow]:
    """Return the layers of a network in order; num_outputs: of a classifier, by default one output per token."""
    counts = _counts(network, vocab_size, num_outputs)
    return [
        LayerRow(name, kind, shape, *counts.get(name, (0, 0)))
        for name, kind, shape in _layers(network, vocab_size, context_length, num_outputs or vocab_size)
    ]


def _layers(network: NetworkConfig, vocab_size: int, T: int, num_outputs: int) -> Iterator[tuple[str, str, Shape]]:
    """Yield the name, the class and the output shape of each layer."""
    yield "ids", "InputLayer", (T,)
    if network.embedding_size:
        yield "embedding", "Embedding", (T, network.embedding_size)
    else:
        yield "one_hot", "OneHot", (T, vocab_size)
    if network.embedding_norm == "batch":
        yield "embedding_norm", "BatchNormalization", (T, network.embedding_size)
    if network.input_dropout:
        yield "input_dropout", "Dropout", (T, network.embedding_size or vocab_size)
    last = network.num_layers - 1
    for layer in range(network.num_layers):
        every_step = network.targets == "all" or layer < last
        shape = (T, network.hidden_size) if every_step else (network.hidden_size,)
        yield from _recurrent(network, layer, T, shape)
        if network.layer_norm and layer < last:
            yield f"norm_{layer}", "LayerNormalization", shape
        if network.dropout:
            yield f"dropout_{layer}", "Dropout", shape
    head = (T,) if network.targets == "all" else ()
    if network.dense_size:
        yield "dense", "Dense", (*head, network.dense_size)
        if network.dropout:
            yield "dense_dropout", "Dropout", (*head, network.dense_size)
    yield "output", "Dense", (*head, num_outputs)


def _recurrent(network: NetworkConfig, layer: int, T: int, shape: Shape) -> Iterator[tuple[str, str, Shape]]:
    name = f"recurrent_{layer}"
    if network.cell != "dense":
        yield name, KERAS_NAMES[network.cell], shape
        return
    yield f"{name}_input_to_hidden", "Dense", (T, network.hidden_size)
    yield f"{name}_hidden_to_hidden", "Dense", (network.hidden_size,)


def _counts(network: NetworkConfig, vocab_size: int, num_outputs: int | None) -> dict[str, tuple[int, int]]:
    """Return the numbers of trained and of other parameters of each layer."""
    counts: dict[str, tuple[int, int]] = {}
    for name, shape in weight_shapes(network, vocab_size, num_outputs=num_outputs).items():
        layer, _, weight = name.rpartition(".")
        layer = (layer or name).replace(".", "_")
        if network.cell == "dense" and layer.startswith("recurrent"):
            layer += "_hidden_to_hidden" if weight == "recurrent_kernel" else "_input_to_hidden"
        trained, fixed = counts.get(layer, (0, 0))
        size = prod(shape)
        counts[layer] = (trained, fixed + size) if weight in NOT_TRAINED else (trained + size, fixed)
    return counts
