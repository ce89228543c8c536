"""Export to a `.keras` file of Keras's own layers, which loads where chargen is not installed."""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from chargen.export.contents import ascii_json, describe
from chargen.network.model_file import TextModel
from chargen.settings.schema import NetworkConfig
from chargen.training.export import find_variable

DESCRIPTION = "chargen.json"  # beside Keras's own entries, which do not know the tokens


def stock_file(model: TextModel) -> bytes:
    """Return a `.keras` archive of `stock_model` with the model's weights, and its description as `chargen.json`."""
    built = stock_model(model.network.config, len(model.vocabulary))
    for name, weight in model.network.weights.items():
        find_variable(built, name).assign(weight)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        keras.saving.save_model(built, path)
        archive = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(archive, "a") as entries:
        entries.writestr(DESCRIPTION, ascii_json(describe(model, "float32")))
    return archive.getvalue()


def stock_model(network: NetworkConfig, vocab_size: int) -> keras.Model:
    """Build a network from Keras's own layers, named as in `weight_shapes` but "_" for ".", without dropout.

    Inputs are ids, (B, T), for any T; outputs float32 logits, (B, T, V), or (B, V) with targets "last".
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    values = _inputs(network, ids, vocab_size)
    last = network.num_layers - 1
    for layer in range(network.num_layers):
        every_step = network.targets == "all" or layer < last
        values = _recurrent_layer(network, layer, return_sequences=every_step)(values)
        if network.layer_norm and layer < last:
            values = layers.LayerNormalization(name=f"norm_{layer}")(values)
    if network.dense_size:
        values = layers.Dense(network.dense_size, activation="relu", name="dense")(values)
    return keras.Model(ids, layers.Dense(vocab_size, name="output")(values), name="chargen")


def _inputs(network: NetworkConfig, ids: keras.KerasTensor, vocab_size: int) -> keras.KerasTensor:
    """Return what the first recurrent layer reads: (B, T, E), or (B, T, V) of one-hot vectors."""
    if not network.embedding_size:
        return ops.one_hot(ids, vocab_size)
    vectors = layers.Embedding(vocab_size, network.embedding_size, name="embedding")(ids)
    if network.embedding_norm == "batch":
        vectors = layers.BatchNormalization(name="embedding_norm")(vectors)
    return vectors


def _recurrent_layer(network: NetworkConfig, layer: int, *, return_sequences: bool) -> layers.Layer:
    shared: dict[str, Any] = {"return_sequences": return_sequences, "name": f"recurrent_{layer}"}
    if network.cell == "lstm":
        return layers.LSTM(network.hidden_size, **shared)
    if network.cell == "gru":
        return layers.GRU(network.hidden_size, reset_after=network.reset_after, **shared)
    return layers.SimpleRNN(network.hidden_size, activation=network.activation, **shared)
