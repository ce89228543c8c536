"""Hand-written losses and gradients are equal to those of the Keras model."""

from collections.abc import Callable

import numpy as np
import pytest

from chargen.corpus.windows import Batch
from chargen.scratch.network import ScratchNetwork
from chargen.settings.schema import NetworkConfig
from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.training.export import export_network  # noqa: E402
from chargen.training.model import build_model  # noqa: E402

N, T, V = 2, 3, 7
TOLERANCE = 1e-5


def random_model(config: NetworkConfig) -> keras.Model:
    model = build_model(config, vocab_size=V, context_length=T, batch_size=N)
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.7, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


def exported_weights(model: keras.Model, config: NetworkConfig) -> dict[str, np.ndarray]:
    return dict(export_network(model, config, V).weights)


def keras_loss_and_gradients(model: keras.Model, batch: Batch) -> tuple[float, list[np.ndarray]]:
    """Return the summed cross-entropy and the gradients of its mean, in the order of the model's variables."""
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(batch.targets, model(batch.inputs), from_logits=True)
        loss = tf.reduce_sum(losses * batch.sample_weights)
        mean = loss / batch.sample_weights.sum()
    return float(loss), [tf.convert_to_tensor(one).numpy() for one in tape.gradient(mean, model.trainable_weights)]


def test_loss_and_gradients_equal(form: NetworkConfig, make_batch: Callable[..., Batch]) -> None:
    model = random_model(form)
    weights = exported_weights(model, form)
    network = ScratchNetwork(form, V, weights)
    before, batch = make_batch(form, seed=3), make_batch(form, seed=4)
    model(before.inputs)  # both sides carry a state into the compared batch
    _, state = network.loss(before, network.zero_state(N))
    loss, gradients = keras_loss_and_gradients(model, batch)
    result = network.loss_and_gradients(batch, state, np.random.default_rng(1))
    assert result.loss == pytest.approx(loss, abs=TOLERANCE)
    names = {weight.tobytes(): name for name, weight in weights.items()}
    assert len(gradients) == len(result.gradients) == len(names)
    for variable, gradient in zip(model.get_weights(), gradients, strict=True):
        name = names[variable.tobytes()]
        np.testing.assert_allclose(result.gradients[name], gradient, atol=TOLERANCE, err_msg=name)
