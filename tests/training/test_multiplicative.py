"""The multiplicative LSTM as a Keras layer: its equations, its config and what it drops."""

import numpy as np
import pytest

from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402

from chargen.network.cells import LSTMState, MultiplicativeLSTMCell  # noqa: E402
from chargen.training.layers.multiplicative import MultiplicativeLSTM  # noqa: E402

B, T, D, H = 2, 3, 4, 5


def made(**options: object) -> MultiplicativeLSTM:
    layer = MultiplicativeLSTM(H, return_sequences=True, **options)
    layer.build((B, T, D))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=one.shape) for one in layer.get_weights()])
    return layer


def inputs() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(B, T, D)).astype(np.float32)


def test_a_step_is_that_of_the_numpy_cell() -> None:
    layer = made()
    cell = MultiplicativeLSTMCell(*layer.get_weights())
    state = LSTMState(*[np.zeros((B, H), np.float32)] * 2)
    for step, output in enumerate(np.asarray(layer(inputs())).transpose(1, 0, 2)):
        expected, state = cell.step(cell.project(inputs()[:, step]), state)
        np.testing.assert_allclose(output, expected, atol=1e-5)


def test_the_config_makes_the_same_layer() -> None:
    layer = made(dropout=0.2, recurrent_dropout=0.3, kernel_regularizer="l2", stateful=True, name="own", activation="relu")
    again = MultiplicativeLSTM.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.name, again.units, again.stateful, again.cell.dropout) == ("own", H, True, 0.2)


def test_the_forget_gate_begins_open_unless_told() -> None:
    for unit_forget_bias in (True, False):
        layer = MultiplicativeLSTM(H, unit_forget_bias=unit_forget_bias)
        layer.build((B, T, D))
        bias = np.zeros(5 * H)
        bias[H : 2 * H] = unit_forget_bias
        np.testing.assert_array_equal(layer.get_weights()[2], bias)


@pytest.mark.parametrize("option", ["dropout", "recurrent_dropout"])
def test_dropout_changes_outputs_in_training_only(option: str) -> None:
    keras.utils.set_random_seed(1)
    plain, dropped = made(), made(**{option: 0.5})
    expected = np.asarray(plain(inputs()))
    np.testing.assert_array_equal(np.asarray(dropped(inputs())), expected)
    assert not np.allclose(np.asarray(dropped(inputs(), training=True))[:, 1:], expected[:, 1:])


def test_a_layer_without_biases_has_none() -> None:
    assert [one.shape for one in made(use_bias=False).weights] == [(D, 5 * H), (H, 5 * H)]
