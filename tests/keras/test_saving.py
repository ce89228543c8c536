"""A Keras model becomes a model file that predicts the same."""

import doctest
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from chargen.errors import ConfigError, ModelFileError
from chargen.network.model_file import load_model
from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402
from keras import layers  # noqa: E402

from chargen.keras import GRU, LSTM, MultiplicativeLSTM, build, building, sample_text, save, saving, vocabularies, windows  # noqa: E402
from chargen.keras import layers as our_layers  # noqa: E402

B, T, E, H, DENSE = 2, 3, 4, 5, 6
CHARACTERS = sorted("abcde\n")
DOCUMENTED = [building, our_layers, sample_text, saving, vocabularies, sys.modules["chargen.keras.text_windows"]]
V = len(CHARACTERS)  # of the user's own ids, which know no boundary

Layers = list[Any]
ONE_HOT: Layers = [keras.Input((T, V))]
EMBEDDED: Layers = [keras.Input((T,)), layers.Embedding(V, E)]


def stack(*some: Any) -> keras.Model:
    model = keras.Sequential([*some])
    rng = np.random.default_rng(7)
    model.set_weights([np.abs(rng.normal(0, 0.5, weight.shape)) for weight in model.get_weights()])
    return model


def functional() -> keras.Model:
    ids = keras.Input((None,), dtype="int32")
    values = LSTM(H, return_sequences=True)(keras.ops.one_hot(ids, V))
    values = layers.SpatialDropout1D(0.5)(values)
    return keras.Model(ids, layers.Activation("softmax")(layers.Dense(V)(values)))


def our_own() -> keras.Model:
    return build(V, cell="simplernn", activation="relu", layers=2, hidden_size=H, one_hot=True, dropout=0.5, context_length=T)


MODELS: dict[str, Callable[[], keras.Model]] = {
    "classic": lambda: stack(*ONE_HOT, layers.LSTM(H), layers.Dense(V, activation="softmax")),
    "multiplicative": lambda: stack(*EMBEDDED, MultiplicativeLSTM(H, dropout=0.1), layers.Dense(V)),
    "embedded": lambda: stack(*EMBEDDED, layers.GRU(H, dropout=0.1), layers.Dense(V)),
    "without biases": lambda: stack(*EMBEDDED, GRU(H, use_bias=False), layers.Dense(V, use_bias=False)),
    "reset before": lambda: stack(*ONE_HOT, layers.GRU(H, reset_after=False), layers.Dense(V), layers.Softmax()),
    "lecture": lambda: stack(
        *EMBEDDED,
        layers.BatchNormalization(),
        LSTM(H, return_sequences=True, dropout=0.2, recurrent_dropout=0.2),
        layers.Dropout(0.2),
        layers.LSTM(H, return_sequences=True),
        layers.TimeDistributed(layers.Dense(DENSE, activation="relu")),
        layers.Dropout(0.1),
        layers.TimeDistributed(layers.Dense(V, activation="softmax")),
    ),
    "normalised": lambda: stack(
        *ONE_HOT,
        layers.SimpleRNN(H, return_sequences=True),
        layers.LayerNormalization(),
        layers.SimpleRNN(H),
        layers.Dense(DENSE),
        layers.ReLU(),
        layers.Dense(V),
    ),
    "nested": lambda: stack(*ONE_HOT, keras.Sequential([layers.LSTM(H)]), layers.Dense(V)),
    "functional": functional,
    "built": our_own,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_predicts_what_keras_predicts(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    save(model, CHARACTERS, tmp_path / "my.safetensors", context_length=T)
    loaded = load_model(tmp_path / "my.safetensors")
    ids = np.random.default_rng(1).integers(0, V, (B, T))
    inputs = np.eye(V, dtype=np.float32)[ids] if len(model.input_shape) == 3 else ids
    outputs = np.asarray(model(inputs))
    logits, _ = loaded.network.logits(ids + 1, loaded.network.zero_state(B))
    logits = logits if outputs.ndim == 3 else logits[:, -1]
    assert (logits[..., 0] < -50).all()  # the boundary, which the model does not know
    expected = np.log(outputs) if np.allclose(outputs.sum(axis=-1), 1) else outputs
    centred = [one - one.mean(axis=-1, keepdims=True) for one in (logits[..., 1:], expected)]
    np.testing.assert_allclose(*centred, atol=2e-5)


def shared_layer() -> keras.Model:
    inputs = keras.Input((T, V))
    layer = layers.LSTM(V, return_sequences=True)
    return keras.Model(inputs, layers.Dense(V)(layer(layer(inputs))))


def joined() -> keras.Model:
    inputs = keras.Input((T, V))
    return keras.Model(inputs, layers.Dense(V)(layers.Add()([layers.LSTM(H)(inputs), layers.GRU(H)(inputs)])))


class Subclassed(keras.Model):
    def call(self, inputs: Any) -> Any:
        return inputs


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (lambda: stack(*ONE_HOT, layers.Bidirectional(layers.LSTM(H)), layers.Dense(V)), r"\(Bidirectional\) is not expected"),
        (lambda: stack(*ONE_HOT, layers.LSTM(H, activation="relu"), layers.Dense(V)), "has the activation relu, expected tanh"),
        (lambda: stack(*ONE_HOT, layers.GRU(H, recurrent_activation="hard_sigmoid"), layers.Dense(V)), "recurrent activation"),
        (lambda: stack(*ONE_HOT, layers.LSTM(H, go_backwards=True), layers.Dense(V)), "reads backwards"),
        (lambda: stack(*ONE_HOT, layers.LSTM(H, return_sequences=True), layers.LSTM(E), layers.Dense(V)), "differs from 'lstm"),
        (lambda: stack(*ONE_HOT, layers.LSTM(H, return_sequences=True), layers.GRU(H), layers.Dense(V)), "differs from 'lstm"),
        (
            lambda: stack(*ONE_HOT, layers.LSTM(H), layers.Dense(V, activation="tanh")),
            "activation tanh, expected softmax",
        ),
        (lambda: stack(*ONE_HOT, layers.LSTM(H)), "the model ends without a Dense output"),
        (lambda: stack(*ONE_HOT, layers.LSTM(H), layers.LayerNormalization(), layers.Dense(V)), "after the last recurrent"),
        (lambda: stack(keras.Input((T,)), layers.Embedding(V, E, mask_zero=True), layers.LSTM(H)), "mask_zero"),
        (lambda: stack(*EMBEDDED, layers.BatchNormalization(epsilon=1e-5), layers.LSTM(H), layers.Dense(V)), "epsilon=1e-05"),
        (lambda: stack(*ONE_HOT, layers.Flatten(), layers.Dense(V)), r"'flatten.*' \(Flatten\) is not expected there"),
        (shared_layer, "not called once each"),
        (joined, "not called once each"),
        (Subclassed, "not built yet"),
        (lambda: stack(*ONE_HOT, layers.LSTM(H), layers.Dense(V + 3)), "has 9 outputs, the vocabulary has 7 tokens"),
    ],
)
def test_another_model_is_one_clear_error(model: Callable[[], keras.Model], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        save(model(), CHARACTERS, tmp_path / "my.safetensors", context_length=T)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_bad_places_are_refused(tmp_path: Path) -> None:
    model = MODELS["classic"]()
    with pytest.raises(ConfigError, match=r"expected a name that ends in .safetensors"):
        save(model, CHARACTERS, tmp_path / "my.h5")
    with pytest.raises(ModelFileError, match="cannot write"):
        save(model, CHARACTERS, tmp_path / "missing" / "my.safetensors")
    with pytest.raises(ConfigError, match="give context_length"):
        save(functional(), CHARACTERS, tmp_path / "my.safetensors")


def test_the_commands_take_a_saved_model(invoke: Callable[..., Result], in_folder: Path) -> None:
    text = "the cat sat on the mat.\n" * 20
    (in_folder / "text.txt").write_text(text, encoding="utf-8")
    data = windows("text.txt", context_length=8, stride=1, one_hot=False, targets="all")
    save(build(data, hidden_size=H, embedding=E), data, "my.safetensors")
    assert len(invoke("sample", "--run", "my.safetensors", "--length", 30, "-q").stdout) >= 30
    for command in (
        ("evaluate", "my.safetensors", "text.txt"),
        ("surprise", "my.safetensors", "text.txt"),
        ("export", "my.safetensors", "--output", "my.html"),
        ("next", "the", "--run", "my.safetensors"),
    ):
        result = invoke(*command)
        assert result.exit_code == 0, result.stderr


def test_the_settings_of_build_are_those_of_the_network() -> None:
    model = build(
        9, cell="gru", layers=2, hidden_size=H, embedding=E, dense_size=DENSE, context_length=T, time_distributed=True
    )
    names = [type(layer).__name__ for layer in model.layers]
    assert names == ["InputLayer", "Embedding", "GRU", "GRU", "TimeDistributed", "TimeDistributed"]
    assert build(9, targets="last", softmax=True, hidden_size=H).output_shape == (None, 9)
    assert all(layer.stateful for layer in build(9, batch_size=B, hidden_size=H).layers if isinstance(layer, layers.RNN))
    dense = build(9, cell="dense", hidden_size=H, context_length=T, targets="last")
    assert dense.get_layer("recurrent_0_hidden_to_hidden").units == H
    for wrong, message in (
        ({"epochs": 3}, "training.epochs is not a setting of the network"),
        ({"cel": "gru"}, "did you mean cell"),
        ({"cell": "dense"}, "give context_length"),
        ({"weight_drop": 0.5}, "weight_drop is not for build"),
        ({"batch_size": 0}, "batch_size is 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            build(9, **wrong)


@pytest.mark.parametrize(
    "module", [building, our_layers, sample_text, saving, vocabularies], ids=lambda module: module.__name__
)
def test_the_examples_work(module: Any, in_folder: Path) -> None:
    names = {"keras": keras, "windows": windows, "LSTM": LSTM}
    failed, tried = doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert not failed
    assert tried
