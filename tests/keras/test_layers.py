"""The layers of chargen.keras stand in for Keras's own in anybody's model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402
from keras import layers  # noqa: E402

import chargen.keras  # noqa: E402
from chargen.training.layers.multiplicative import MultiplicativeLSTM  # noqa: E402
from chargen.training.layers.recurrent import FusedRecurrent  # noqa: E402

B, T, D, H = 2, 3, 4, 5
PAIRS = [
    (layers.SimpleRNN, chargen.keras.SimpleRNN),
    (layers.LSTM, chargen.keras.LSTM),
    (layers.GRU, chargen.keras.GRU),
    (MultiplicativeLSTM, chargen.keras.MultiplicativeLSTM),
]
TOLERANCE = 1e-5


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def make_model(kind: type, *, masked: bool = False) -> keras.Model:
    """Return a model with a layer of a kind; equal weights for equal shapes."""
    first = [layers.Masking()] if masked else []
    model = keras.Sequential([keras.Input((T, D)), *first, kind(H), layers.Dense(1)])
    model.set_weights([0.5 * random(*weight.shape) for weight in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_training_ends_with_the_weights_of_keras(pair: tuple[type, type], masked: bool) -> None:
    inputs, targets = random(2 * B, T, D), random(2 * B, 1)
    inputs[:, -1, :] *= np.array([1, 0] * B)[:, None]  # some steps that a mask leaves out
    fitted = []
    for kind in pair:
        model = make_model(kind, masked=masked)
        for first in range(0, len(inputs), B):
            model.train_on_batch(inputs[first : first + B], targets[first : first + B])
        fitted.append(model.get_weights())
    for ours, theirs in zip(*reversed(fitted), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
def test_a_saved_model_is_loaded_again(pair: tuple[type, type], tmp_path: Path) -> None:
    model = make_model(pair[1])
    before = np.asarray(model(random(B, T, D)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is pair[1]
    np.testing.assert_array_equal(np.asarray(loaded(random(B, T, D))), before)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
def test_the_config_is_that_of_keras(pair: tuple[type, type]) -> None:
    stock, ours = (kind(H, dropout=0.5, stateful=True, name="one") for kind in pair)
    assert ours.get_config() == stock.get_config()
    copy = keras.models.clone_model(make_model(pair[1]))
    assert type(copy.layers[0]) is pair[1]


def test_states_are_carried_and_returned_as_in_keras() -> None:
    outputs = []
    for kind in PAIRS[1]:
        layer = kind(H, stateful=True, return_state=True)
        layer.build((B, T, D))
        layer.set_weights([random(*weight.shape) for weight in layer.get_weights()])
        layer(random(B, T, D))
        outputs.append([np.asarray(one) for one in layer(random(B, T, D))])
    for ours, theirs in zip(*reversed(outputs), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


def test_the_steps_are_compiled_on_a_cpu_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without compilation the fast layers would be slower than Keras's in `fit`, which compiles nothing on a CPU."""
    layer = chargen.keras.LSTM(H)
    layer(random(B, T, D))
    assert layer._compiled is not None
    monkeypatch.setattr("chargen.training.layers.recurrent.accelerated", lambda: True)
    other = chargen.keras.LSTM(H)
    other(random(B, T, D))
    assert other._compiled is None


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
@pytest.mark.parametrize("cores", [1, 2, 3])
def test_fit_leaves_the_number_of_rows_open(pair: tuple[type, type], cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last batch of an epoch is smaller; the kernels take both sizes, and share the rows of each among the cores."""
    monkeypatch.setattr("chargen.keras.layers.num_cores", lambda: cores)
    rows: list[int | None] = []
    run = FusedRecurrent._native_run

    def noting(self: Any, sequences: Any, *states: Any, dropping: bool) -> Any:
        rows.append(sequences.shape[0])
        return run(self, sequences, *states, dropping=dropping)

    monkeypatch.setattr(FusedRecurrent, "_native_run", noting)
    inputs, targets = random(7, T, D), random(7, 1)
    fitted = []
    for kind in pair:
        model = make_model(kind)
        model.fit(inputs, targets, batch_size=4, epochs=2, verbose=0, shuffle=False)
        fitted.append([*model.get_weights(), model.predict(inputs, verbose=0)])
    assert rows[-1] is None
    for ours, theirs in zip(*reversed(fitted), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1].__name__)
def test_fit_carries_the_state_of_stateful_layers(pair: tuple[type, type]) -> None:
    inputs, targets = random(4 * B, T, D), random(4 * B, 1)
    fitted = []
    for kind in pair:
        model = keras.Sequential([keras.Input((T, D), batch_size=B), kind(H, stateful=True), layers.Dense(1)])
        model.set_weights([0.5 * random(*weight.shape) for weight in model.get_weights()])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(inputs, targets, batch_size=B, verbose=0, shuffle=False)
        fitted.append([*model.get_weights(), *model.layers[0].states])
    for ours, theirs in zip(*reversed(fitted), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)
