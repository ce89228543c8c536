"""PyTorch's kernels compute what the Keras layers do, from the same weights."""

from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test-backends installs it")

from chargen.training.devices.backend import load_backend  # noqa: E402

load_backend()

import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

from chargen.training.layers.torch_recurrent import (  # noqa: E402
    store_in_one_piece,
    torch_gru,
    torch_lstm,
    torch_simple_rnn,
)

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


@pytest.mark.parametrize(("run", "gates", "states"), [(torch_lstm, 4, 2), (partial(torch_simple_rnn, relu=False), 1, 1)])
def test_weights_in_one_piece_are_where_cudnn_reads_them_and_compute_the_same(
    run: Any, gates: int, states: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch hands weights to cuDNN as they are if each lies at its place in a piece that holds nothing else."""
    generator = torch.Generator().manual_seed(1)

    def parameter(*shape: int) -> Any:
        return torch.nn.Parameter(torch.randn(shape, generator=generator))

    weights = [parameter(D, gates * H), parameter(H, gates * H), parameter(gates * H)]
    inputs = [torch.randn(shape, generator=generator) for shape in [(B, T, D), *[(B, H)] * states]]

    def computed() -> list[Any]:
        outputs, *_ = run(inputs[0], *weights, *inputs[1:])
        return [outputs, *torch.autograd.grad(torch.sin(outputs).sum(), weights)]

    before, values = computed(), [one.detach().clone() for one in weights]
    store_in_one_piece(*weights)
    handed: list[Any] = []
    for name in ("lstm", "rnn_tanh"):
        kernel = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *given, kernel=kernel: handed.append(given[2]) or kernel(*given))
    for one, other in zip(computed(), before, strict=True):
        torch.testing.assert_close(one, other)
    for one, value in zip(weights, values, strict=True):
        torch.testing.assert_close(one, value, rtol=0, atol=0)
    (read,) = handed
    sizes = [gates * H * D, gates * H * H, gates * H, gates * H]
    assert [one.numel() for one in read] == sizes
    assert [one.storage_offset() for one in read] == np.cumsum([0, *sizes[:-1]]).tolist()
    assert len({one.untyped_storage().data_ptr() for one in read}) == 1
    assert read[0].untyped_storage().nbytes() == 4 * sum(sizes)
    assert all(one.is_contiguous() for one in read)
    assert not read[-1].any()
