"""Build a network from Keras's own layers, and export it to a `.keras` file, which loads where chargen is not installed.

Only a multiplicative LSTM needs chargen there.
"""

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import keras
from keras import layers, ops

from chargen.export.contents import describe
from chargen.inline import ascii_json
from chargen.network.cells import Floats
from chargen.network.description import FORMAT_VERSION
from chargen.network.keras_file import DESCRIPTION, WEIGHTS
from chargen.network.model_file import TextModel, num_class_outputs
from chargen.settings.schema import NetworkConfig
from chargen.training.export import find_variable
from chargen.training.layers.dense_recurrent import DenseRecurrent
from chargen.training.layers.recurrent import FusedMultiplicativeLSTM
from chargen.writing.classifier import TextClassifier

STOCK_LAYERS: Mapping[str, type[layers.RNN]] = {
    "simplernn": layers.SimpleRNN,
    "lstm": layers.LSTM,
    "mlstm": FusedMultiplicativeLSTM,  # Keras has none
    "gru": layers.GRU,
}


def stock_file(model: TextModel) -> bytes:
    """Return a `.keras` archive of the model in Keras's own layers, without dropout, and its description as `chargen.json`.

    Its inputs are ids, (B, T), for any T, but those of a network of Dense layers, which has T layers; its outputs are logits.
    """
    network = model.one_network.config
    length = model.context_length if network.cell == "dense" else None
    built = stock_model(network.undropped(), len(model.vocabulary), context_length=length)
    set_weights(built, model.one_network.weights)
    return _archive(built, lambda weights: _description(model, built, weights))


def classifier_file(model: TextClassifier) -> bytes:
    """Return a `.keras` archive of a classifier, as `stock_file` does.

    Its inputs are ids, (B, T), each text cut or padded as training did; its outputs are logits, (B, labels), or (B, 1) for two
    labels: the logit of the second one, whose sigmoid is its probability.
    """
    network, num_outputs = model.network.config, num_class_outputs(len(model.labels))
    length = model.context_length if network.cell == "dense" else None
    built = stock_model(network.undropped(), len(model.vocabulary), num_outputs=num_outputs, context_length=length)
    set_weights(built, model.network.weights)
    described = {
        "format_version": FORMAT_VERSION,
        "task": "classify",
        "labels": list(model.labels),
        "context_length": model.context_length,
        "network": asdict(network),
        "vocabulary": model.vocabulary.to_mapping(),
        "provenance": {},
    }
    return _archive(
        built,
        lambda weights: (
            described
            | {"sha256": hashlib.sha256(weights).hexdigest(), "offsets": _offsets(model.network.weights, built, weights)}
        ),
    )


def _archive(built: keras.Model, describe_weights: Callable[[bytes], dict[str, Any]]) -> bytes:
    """Return the `.keras` archive of a model, with a description made from the bytes of its arrays."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        keras.saving.save_model(built, path)
        archive = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(archive, "a") as entries:
        entries.writestr(DESCRIPTION, ascii_json(describe_weights(entries.read(WEIGHTS))))
    return archive.getvalue()


def _description(model: TextModel, built: keras.Model, weights: bytes) -> dict[str, Any]:
    """Return what `chargen.network.model_file` reads of the file, beside the bytes of its arrays."""
    described = describe(model, "float32")
    provenance = {"corpus": described["name"], "bits_per_character": described["bits_per_character"]}
    return {
        "format_version": FORMAT_VERSION,
        "sha256": hashlib.sha256(weights).hexdigest(),
        **described,
        "provenance": provenance,
        "offsets": _offsets(model.one_network.weights, built, weights),
    }


def _offsets(names: Iterable[str], built: keras.Model, weights: bytes) -> dict[str, int]:
    """Return at which byte of the HDF5 file that Keras has written of a model each weight begins."""
    begins: dict[int, int] = {}  # by the id of a variable
    with h5py.File(io.BytesIO(weights), "r") as file:
        for group in file["layers"].values():
            arrays: list[h5py.Dataset] = []
            group.visititems(lambda _, item, to=arrays: to.append(item) if isinstance(item, h5py.Dataset) else None)
            if arrays:
                layer = built.get_layer(group["vars"].attrs["name"])
                begins |= {id(one): array.id.get_offset() for one, array in zip(layer.weights, arrays, strict=True)}
    return {name: begins[id(find_variable(built, name))] for name in names}


def set_weights(model: keras.Model, weights: Mapping[str, Floats]) -> None:
    """Set the weights of a model whose layers are named as in `weight_shapes`."""
    for name, weight in weights.items():
        find_variable(model, name).assign(weight)


def stock_model(
    network: NetworkConfig,
    vocab_size: int,
    *,
    kinds: Mapping[str, type[layers.RNN]] = STOCK_LAYERS,
    context_length: int | None = None,
    batch_size: int | None = None,
    softmax: bool = False,
    num_outputs: int | None = None,
    time_distributed: bool = False,
) -> keras.Model:
    """Build a network from Keras's own layers, named as in `weight_shapes` but "_" for ".".

    Inputs are ids, (B, T), of any length unless context_length gives it, which a network of Dense layers needs. Outputs are
    float32 logits, or probabilities with `softmax`: (B, T, V), or (B, V) with targets "last";
    num_outputs stands for V if given. With a `batch_size` the layers are stateful. `kinds` are the recurrent layers by cell.
    `time_distributed` puts TimeDistributed around the Dense layers.
    Weights dropped inside the recurrent kernel (weight_drop) are left out: Keras has no layer for it.
    """
    ids = keras.Input((context_length,), batch_size=batch_size, dtype="int32", name="ids")
    values = _dropped(_inputs(network, ids, vocab_size), network, network.input_dropout)
    last = network.num_layers - 1
    for layer in range(network.num_layers):
        every_step = network.targets == "all" or layer < last
        recurrent = _recurrent_layer(network, layer, kinds, return_sequences=every_step, stateful=batch_size is not None)
        values = recurrent(values)
        if network.layer_norm and layer < last:
            values = layers.LayerNormalization(name=f"norm_{layer}")(values)
        values = _dropped(values, network, network.dropout, every_step=every_step)
    wraps = time_distributed and network.targets == "all"
    if network.dense_size:
        values = _dense(network.dense_size, "relu", "dense", wraps=wraps)(values)
        values = _dropped(values, network, network.dropout, every_step=network.targets == "all")
    outputs = _dense(num_outputs or vocab_size, "softmax" if softmax else "linear", "output", wraps=wraps)(values)
    return keras.Model(ids, outputs, name="chargen")


def _dense(units: int, activation: str, name: str, *, wraps: bool) -> layers.Layer:
    """Return a Dense layer for every position, which Dense alone is too."""
    dense = layers.Dense(units, activation=activation, name=f"{name}_of_a_step" if wraps else name)
    return layers.TimeDistributed(dense, name=name) if wraps else dense


def _inputs(network: NetworkConfig, ids: keras.KerasTensor, vocab_size: int) -> keras.KerasTensor:
    """Return what the first recurrent layer reads: (B, T, E), or (B, T, V) of one-hot vectors."""
    if not network.embedding_size:
        return ops.one_hot(ids, vocab_size)
    vectors = layers.Embedding(vocab_size, network.embedding_size, name="embedding")(ids)
    if network.embedding_norm == "batch":
        vectors = layers.BatchNormalization(name="embedding_norm")(vectors)
    return vectors


def _recurrent_layer(
    network: NetworkConfig, layer: int, kinds: Mapping[str, type[layers.RNN]], *, return_sequences: bool, stateful: bool
) -> Any:
    name = f"recurrent_{layer}"
    if network.cell == "dense":
        return DenseRecurrent(network.hidden_size, network.activation, return_sequences=return_sequences, name=name)
    options: dict[str, dict[str, Any]] = {
        "simplernn": {"activation": network.activation},
        "lstm": {"unit_forget_bias": network.unit_forget_bias},
        "mlstm": {"unit_forget_bias": network.unit_forget_bias},
        "gru": {"reset_after": network.reset_after},
    }
    return kinds[network.cell](
        network.hidden_size,
        return_sequences=return_sequences,
        stateful=stateful,
        recurrent_initializer=network.recurrent_init,
        recurrent_dropout=network.recurrent_dropout,
        name=name,
        **options[network.cell],
    )


def _dropped(values: keras.KerasTensor, network: NetworkConfig, rate: float, *, every_step: bool = True) -> keras.KerasTensor:
    """Drop a share of values in training; if locked, the same of a row at all its steps."""
    if not rate:
        return values
    return layers.Dropout(rate, noise_shape=(None, 1, None) if network.locked_dropout and every_step else None)(values)
