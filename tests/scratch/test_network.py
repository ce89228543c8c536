from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import Batch, SlidingWindows, tokenize
from chargen.errors import ConfigError
from chargen.network.network import Network, weight_shapes
from chargen.scratch.initializers import glorot_uniform, initial_weights, orthogonal
from chargen.scratch.layers import dropout_mask
from chargen.scratch.network import ScratchNetwork
from chargen.scratch.optimizers import Adam
from chargen.settings.schema import NetworkConfig

Make = Callable[..., Any]

N, T, E, H, V = 2, 3, 4, 5, 7


def test_logits_equal_those_of_the_network_that_samples(form: NetworkConfig, make_network: Make, make_state: Make) -> None:
    network = make_network(form, np.float32)
    sampled = Network(form, V, network.weights)
    state = make_state(network)
    ids = np.random.default_rng(1).integers(0, V, (N, T))
    logits, after = network.logits(ids, state)
    expected, expected_after = sampled.logits(ids, state)
    np.testing.assert_allclose(logits, expected[:, -1] if form.targets == "last" else expected, atol=1e-5)
    for one, other in zip(after, expected_after, strict=True):
        assert type(one) is type(other)
        np.testing.assert_allclose(np.stack(one), np.stack(other), atol=1e-5)


def test_everything_is_float32_where_the_weights_are(form: NetworkConfig, make_network: Make, make_batch: Make) -> None:
    network = make_network(replace(form, dropout=0.5), np.float32)
    result = network.loss_and_gradients(make_batch(form), network.zero_state(N), np.random.default_rng(1))
    assert {one.dtype for one in result.gradients.values()} == {np.dtype(np.float32)}
    assert {part.dtype for one in result.state for part in one} == {np.dtype(np.float32)}


def test_two_batches_with_carried_state_lose_what_one_long_batch_does(make_network: Make) -> None:
    network = make_network(NetworkConfig(hidden_size=H, embedding_size=E, num_layers=2))
    rng = np.random.default_rng(1)
    ids, targets, weights = rng.integers(0, V, (N, 2 * T)), rng.integers(0, V, (N, 2 * T)), np.ones((N, 2 * T), np.float32)
    whole, _ = network.loss(Batch(ids, targets, weights), network.zero_state(N))
    state, total = network.zero_state(N), 0.0
    for half in (slice(0, T), slice(T, None)):
        loss, state = network.loss(Batch(ids[:, half], targets[:, half], weights[:, half]), state)
        total += loss
    assert total == pytest.approx(whole, rel=1e-12)


def test_a_run_leaves_its_inputs_as_they_were(form: NetworkConfig, make_network: Make, make_batch: Make) -> None:
    network, batch = make_network(form), make_batch(form)
    state = network.zero_state(N)
    weights = {name: one.copy() for name, one in network.weights.items()}
    first = network.loss_and_gradients(batch, state, np.random.default_rng(1))
    assert all((part == 0).all() for one in state for part in one)
    for name, one in weights.items():
        np.testing.assert_array_equal(network.weights[name], one)
    assert (
        network.loss_and_gradients(batch, state, np.random.default_rng(1)).loss == first.loss == network.loss(batch, state)[0]
    )


def test_the_dense_cell_is_a_simple_rnn(make_network: Make, make_batch: Make) -> None:
    config = NetworkConfig(cell="simplernn", hidden_size=H, embedding_size=E)
    dense, simple = make_network(replace(config, cell="dense")), make_network(config)
    batch = make_batch(config)
    assert dense.loss(batch, dense.zero_state(N))[0] == simple.loss(batch, simple.zero_state(N))[0]


@pytest.mark.parametrize("size", [0, E])
def test_dropout_is_for_training_only(size: int, make_network: Make, make_batch: Make) -> None:
    config = NetworkConfig(hidden_size=H, embedding_size=size, dropout=0.5)
    network, batch = make_network(config), make_batch(config)
    state = network.zero_state(N)
    plain = make_network(replace(config, dropout=0.0)).loss(batch, state)[0]
    assert network.loss(batch, state)[0] == plain
    one, other = (network.loss_and_gradients(batch, state, np.random.default_rng(seed)).loss for seed in (1, 2))
    assert len({one, other, plain}) == 3


def test_dropout_keeps_the_mean() -> None:
    mask = dropout_mask((400, 300), 0.2, np.random.default_rng(1))
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1.25)}
    assert mask.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    "settings", [{"recurrent_dropout": 0.1}, {"embedding_norm": "batch"}, {"layer_norm": True, "num_layers": 2}]
)
def test_what_only_keras_can_do_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))) as caught:
        ScratchNetwork(NetworkConfig(**settings), V, {})
    assert caught.value.hint == "use --backend tensorflow"


def test_initial_weights_are_named_and_shaped_as_described(form: NetworkConfig) -> None:
    weights = initial_weights(form, V, np.random.default_rng(1))
    assert {name: one.shape for name, one in weights.items()} == weight_shapes(form, V)
    assert {one.dtype for one in weights.values()} == {np.dtype(np.float32)}
    assert all(one.flags.c_contiguous for one in weights.values())


@pytest.mark.parametrize("shape", [(5, 20), (7, 3), (4, 4)])
def test_orthogonal_kernels(shape: tuple[int, int]) -> None:
    kernel = orthogonal(shape, np.random.default_rng(1))
    assert kernel.shape == shape
    product = kernel @ kernel.T if shape[0] < shape[1] else kernel.T @ kernel
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-6)


def test_glorot_uniform_fills_its_range() -> None:
    kernel = glorot_uniform((100, 200), np.random.default_rng(1))
    limit = np.sqrt(6 / 300)
    assert 0.99 * limit < kernel.max() <= limit
    assert -limit <= kernel.min() < -0.99 * limit


@pytest.mark.parametrize(("init", "expected"), [("identity", np.eye(H)), ("glorot_uniform", None), ("orthogonal", None)])
def test_recurrent_weights_start_as_configured(init: str, expected: np.ndarray | None) -> None:
    config = NetworkConfig(cell="simplernn", hidden_size=H, recurrent_init=init)
    kernel = initial_weights(config, V, np.random.default_rng(1))["recurrent.0.recurrent_kernel"]
    if expected is not None:
        np.testing.assert_array_equal(kernel, expected)
    assert np.allclose(kernel @ kernel.T, np.eye(H), atol=1e-6) == (init != "glorot_uniform")


@pytest.mark.parametrize("forget", [True, False])
def test_the_forget_gate_starts_as_configured(forget: bool) -> None:
    config = NetworkConfig(hidden_size=H, unit_forget_bias=forget)
    bias = initial_weights(config, V, np.random.default_rng(1))["recurrent.0.bias"]
    np.testing.assert_array_equal(bias, np.repeat([0, float(forget), 0, 0], H))


@pytest.mark.parametrize(
    "settings", [{"cell": "simplernn"}, {"cell": "lstm"}, {"cell": "gru"}, {"targets": "last", "stride": 1}]
)
def test_a_small_text_is_learned(settings: dict[str, Any]) -> None:
    stride = settings.pop("stride", 12)
    text = "the cat sat on the mat.\nthe dog sat on the log.\n" * 20
    vocabulary = CharacterVocabulary.of([text])
    config = NetworkConfig(hidden_size=24, embedding_size=8, **settings)
    plan = SlidingWindows(
        tokenize([Document(text)], vocabulary),
        context_length=12,
        stride=stride,
        batch_size=16,
        last=config.targets == "last",
        seed=1,
    )
    rng = np.random.default_rng(1)
    network = ScratchNetwork(config, len(vocabulary), initial_weights(config, len(vocabulary), rng))
    optimizer = Adam(0.02, clip_norm=1.0)
    losses = []
    for number in range(80):
        batch = plan.batch(*divmod(number, plan.num_steps))
        result = network.loss_and_gradients(batch, network.zero_state(len(batch.inputs)), rng)
        optimizer.update(network.weights, result.gradients)
        losses.append(result.loss / batch.sample_weights.sum())
    assert losses[0] == pytest.approx(np.log(len(vocabulary)), abs=0.3)
    assert losses[-1] < 0.25 * losses[0]
