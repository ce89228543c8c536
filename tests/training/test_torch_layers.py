"""PyTorch's kernels compute what the Keras layers do, from the same weights."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test-backends installs it")

from chargen.training.devices.backend import load_backend  # noqa: E402

load_backend()

import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

from chargen.training.layers.torch_recurrent import torch_gru, torch_lstm, torch_simple_rnn  # noqa: E402

B, T, D, H = 2, 3, 4, 5
KINDS = [
    (layers.SimpleRNN, torch_simple_rnn, {"relu": False}, {}),
    (layers.SimpleRNN, torch_simple_rnn, {"relu": True}, {"activation": "relu"}),
    (layers.LSTM, torch_lstm, {}, {}),
    (layers.GRU, torch_gru, {}, {}),
]


@pytest.mark.parametrize(("kind", "run", "extra", "options"), KINDS)
def test_outputs_states_and_gradients_are_those_of_keras(
    kind: type[layers.RNN], run: Any, extra: dict[str, Any], options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(1)
    layer = kind(H, return_sequences=True, return_state=True, **options)
    layer.build((B, T, D))
    layer.set_weights([rng.normal(size=one.shape).astype(np.float32) for one in layer.get_weights()])
    inputs, *states = (rng.normal(size=shape).astype(np.float32) for shape in [(B, T, D), *[(B, H)] * len(layer.state_size)])

    given = [torch.tensor(one, requires_grad=True) for one in (inputs, *layer.get_weights(), *states)]
    outputs = run(*given, **extra)
    sum((torch.sin(one) * (1 + number)).sum() for number, one in enumerate(outputs)).backward()

    variables = [tf.Variable(one) for one in (inputs, *states)]
    with tf.GradientTape() as tape:
        expected = layer(variables[0], initial_state=variables[1:])
        loss = tf.add_n([tf.reduce_sum(tf.sin(one) * (1 + number)) for number, one in enumerate(expected)])
    sources = [variables[0], *[one.value for one in layer.trainable_variables], *variables[1:]]
    for one, other in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(one.detach(), other, atol=1e-5)
    for one, other in zip(given, tape.gradient(loss, sources), strict=True):
        np.testing.assert_allclose(one.grad, other, atol=1e-5, rtol=1e-5)
