"""The NumPy network is equal to the Keras model that it was exported from."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig, TrainingConfig
from chargen.training.devices.backend import load_backend
from chargen.writing.scoring import token_nats

load_backend()

import keras  # noqa: E402

from chargen.training.engines.losses import summed_cross_entropy  # noqa: E402
from chargen.training.export import export_network, find_variable  # noqa: E402
from chargen.training.model import build_model, make_optimizer  # noqa: E402

N, T, E, H, V, DENSE = 2, 3, 4, 5, 7, 6  # all different, so that swapped axes fail
TOLERANCE = 1e-5

CELLS = [("simplernn", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False)]
FORMS = [
    NetworkConfig(
        cell=cell,
        reset_after=reset_after,
        num_layers=depth,
        hidden_size=H,
        embedding_size=size,
        targets=targets,
        dense_size=dense,
    )
    for (cell, reset_after), depth, (size, dense), targets in product(
        CELLS, (1, 2, 3), ((0, 0), (E, 0), (E, DENSE)), ("all", "last")
    )
    if not (dense and depth == 3)
]
MORE_FORMS: list[dict[str, Any]] = [
    {"cell": "simplernn", "activation": "relu"},
    {"cell": "simplernn", "activation": "relu", "recurrent_init": "identity", "num_layers": 2},
    {"cell": "lstm", "embedding_norm": "batch"},
    {"cell": "gru", "embedding_norm": "batch", "layer_norm": True, "num_layers": 3},
    {"cell": "simplernn", "layer_norm": True, "num_layers": 2, "targets": "last", "dense_size": DENSE},
    {"cell": "lstm", "layer_norm": True, "num_layers": 3, "embedding_size": 0},
]
FORMS += [NetworkConfig(**{"hidden_size": H, "embedding_size": E} | form) for form in MORE_FORMS]
DENSE_FORMS = [
    NetworkConfig(cell="dense", hidden_size=H, embedding_size=size, num_layers=depth, targets=targets, activation=activation)
    for size, depth, targets, activation in product((0, E), (1, 2), ("all", "last"), ("tanh", "relu"))
]


def name_of(config: NetworkConfig) -> str:
    inputs = "embedded" if config.embedding_size else "one-hot"
    dense = "-dense" if config.dense_size else ""
    more = "-".join([config.activation, config.embedding_norm, "layer-norm" if config.layer_norm else "plain"])
    cell = f"{config.cell}{'' if config.reset_after else '-before'}"
    return f"{cell}-{config.num_layers}-{inputs}-{config.targets}{dense}-{more}"


def random_model(config: NetworkConfig, *, stateful: bool) -> keras.Model:
    """Build a model with random weights; Keras initializes biases with zero, which would hide a wrong bias."""
    model = build_model(config, vocab_size=V, context_length=T, batch_size=N if stateful else None)
    rng = np.random.default_rng(7)
    for weight in model.weights:
        values = rng.normal(0, 0.7, weight.shape)
        weight.assign(np.abs(values) if weight.name == "moving_variance" else values)
    return model


def exported(model: keras.Model, config: NetworkConfig) -> Network:
    return export_network(model, config, V)


def keras_logits(model: keras.Model, ids: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(ids)))


def numpy_logits(network: Network, ids: np.ndarray, state: Any, config: NetworkConfig) -> tuple[np.ndarray, Any]:
    logits, state = network.logits(ids, state)
    return (logits[:, -1] if config.targets == "last" else logits), state


@pytest.mark.parametrize("config", FORMS, ids=name_of)
@pytest.mark.parametrize("stateful", [False, True], ids=["stateless", "stateful"])
def test_logits_equal(config: NetworkConfig, stateful: bool) -> None:
    model = random_model(config, stateful=stateful)
    network = exported(model, config)
    ids = np.random.default_rng(1).integers(0, V, (2, N, T))
    first, state = numpy_logits(network, ids[0], network.zero_state(N), config)
    np.testing.assert_allclose(first, keras_logits(model, ids[0]), atol=TOLERANCE)
    second, _ = numpy_logits(network, ids[1], state if stateful else network.zero_state(N), config)
    np.testing.assert_allclose(second, keras_logits(model, ids[1]), atol=TOLERANCE)


@pytest.mark.parametrize("config", [one for one in FORMS if one.targets == "all"], ids=name_of)
def test_cross_entropies_are_those_of_keras(config: NetworkConfig) -> None:
    """The sums of `chargen evaluate`, compared with Keras's own loss; the second half starts from the state after the first."""
    model = random_model(config, stateful=True)
    network = exported(model, config)
    ids, targets = np.random.default_rng(1).integers(0, V, (2, 2, N, T))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    state = network.zero_state(N)
    for half in range(2):
        nats, state = token_nats(network, ids[half], targets[half], state)
        expected = keras.ops.convert_to_numpy(loss(targets[half], model(ids[half])))
        np.testing.assert_allclose(nats.whole, expected, atol=TOLERANCE)


@pytest.mark.parametrize("config", DENSE_FORMS, ids=name_of)
def test_the_graph_of_dense_layers_is_the_simple_rnn_layer(config: NetworkConfig) -> None:
    """The logits of the Keras graph, of the NumPy network, and of a Keras model with SimpleRNN layers and the same weights."""
    model = random_model(config, stateful=False)
    network = exported(model, config)
    ids = np.random.default_rng(1).integers(0, V, (N, T))
    expected = keras_logits(model, ids)
    given, _ = numpy_logits(network, ids, network.zero_state(N), config)
    np.testing.assert_allclose(given, expected, atol=TOLERANCE)
    layered = build_model(replace(config, cell="simplernn"), vocab_size=V, context_length=T)
    for name, weight in network.weights.items():
        find_variable(layered, name).assign(weight)
    np.testing.assert_allclose(keras_logits(layered, ids), expected, atol=TOLERANCE)


@pytest.mark.parametrize("config", [*FORMS[::5], *FORMS[-len(MORE_FORMS) :], *DENSE_FORMS], ids=name_of)
def test_weight_shapes_describe_all_weights_of_the_keras_model(config: NetworkConfig) -> None:
    model = random_model(config, stateful=False)
    network = exported(model, config)
    assert {name: weight.shape for name, weight in network.weights.items()} == weight_shapes(config, V)
    assert network.num_parameters == model.count_params()


@pytest.mark.parametrize("size", [0, E], ids=["one-hot", "embedded"])
def test_a_large_vocabulary_is_looked_up_before_it_is_projected(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargen.training.model.TABLE_MAX_TOKENS", V - 1)
    config = NetworkConfig(hidden_size=H, embedding_size=size)
    model = random_model(config, stateful=False)
    assert ("embedding" in [layer.name for layer in model.layers]) == bool(size)
    ids = np.random.default_rng(1).integers(0, V, (N, T))
    network = exported(model, config)
    np.testing.assert_allclose(network.logits(ids, network.zero_state(N))[0], keras_logits(model, ids), atol=TOLERANCE)


def test_exported_weights_are_copies() -> None:
    config = NetworkConfig(hidden_size=H, embedding_size=E)
    model = random_model(config, stateful=False)
    network = exported(model, config)
    before = network.weights["output.bias"].copy()
    model.set_weights([weight * 0 for weight in model.get_weights()])
    np.testing.assert_array_equal(network.weights["output.bias"], before)


def test_stepping_equals_reading_at_once() -> None:
    config = NetworkConfig(hidden_size=H, embedding_size=E, num_layers=2)
    network = exported(random_model(config, stateful=False), config)
    ids = np.random.default_rng(1).integers(0, V, (N, T))
    logits, _ = network.logits(ids, network.zero_state(N))
    state = network.zero_state(N)
    for step in range(T):
        stepped, state = network.step(ids[:, step], state)
        np.testing.assert_allclose(stepped, logits[:, step], atol=1e-6)


@pytest.mark.parametrize("shape", [(N, T), (N,)], ids=["all", "last"])
def test_one_hot_and_sparse_targets_give_the_same_loss(shape: tuple[int, ...]) -> None:
    """The training loss, a sum, compared with the classic one on one-hot targets and with NumPy."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (*shape, V)).astype(np.float32)
    targets, weights = rng.integers(0, V, shape), rng.integers(0, 2, shape).astype(np.float32)
    weights.flat[0] = 1
    sparse = float(summed_cross_entropy(logits, targets, weights)) / weights.sum()
    one_hot = keras.losses.CategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    assert sparse == pytest.approx(float(one_hot(np.eye(V)[targets], logits, sample_weight=weights)), abs=1e-6)
    wide = logits.astype(np.float64)
    logs = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    chosen = np.take_along_axis(logs, targets[..., None], -1)[..., 0]
    assert sparse == pytest.approx(-(chosen * weights).sum() / weights.sum(), abs=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "rmsprop", "adagrad", "sgd"])
def test_the_configured_optimizer_is_used(name: str) -> None:
    optimizer = make_optimizer(TrainingConfig(optimizer=name, learning_rate=0.25, clip_norm=5.0))
    assert type(optimizer).__name__.lower() == name
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == 0.25
    assert (optimizer.global_clipnorm, optimizer.clipvalue) == (5.0, None)
