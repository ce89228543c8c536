"""The fast stepper is equal to the plain network."""

from itertools import product

import numpy as np
import pytest

from chargen.native.library import kernels_or_none
from chargen.network import dense, native_layer
from chargen.network import stepper as stepper_module
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig

B, T, E, H, V = 2, 4, 3, 5, 7


@pytest.fixture(autouse=True, params=["numpy", "kernels"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the stepper computes."""
    kernels = kernels_or_none() if request.param == "kernels" else None
    if request.param == "kernels" and kernels is None:
        pytest.skip("there are no kernels for this machine")
    for module in (stepper_module, dense):
        monkeypatch.setattr(module, "find_kernels", lambda: kernels)
    monkeypatch.setattr(native_layer, "WORTH_A_THREAD", 1)  # so that rows are shared among threads
    return request.param


CONFIGS = [
    NetworkConfig(cell=cell, num_layers=layers, embedding_size=embedding, hidden_size=H, dense_size=dense, reset_after=after)
    for cell, after in (("simplernn", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False))
    for layers, embedding, dense in product((1, 2, 3), (0, E), (0, 6))
]
CONFIGS += [
    NetworkConfig(cell="simplernn", hidden_size=H, activation="relu", num_layers=2),
    NetworkConfig(cell="gru", hidden_size=H, embedding_size=E, embedding_norm="batch", layer_norm=True, num_layers=2),
    NetworkConfig(cell="lstm", hidden_size=H, layer_norm=True, num_layers=3),
]


def random_network(config: NetworkConfig) -> Network:
    rng = np.random.default_rng(1)
    weights = {name: rng.normal(0, 0.7, shape).astype(np.float32) for name, shape in weight_shapes(config, V).items()}
    weights = {name: np.abs(weight) if name.endswith("variance") else weight for name, weight in weights.items()}
    return Network(config, V, weights)


@pytest.mark.parametrize("batch_size", [1, B])
@pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda one: f"{one.cell}-{one.num_layers}-{one.embedding_size}-{one.dense_size}"
)
def test_a_stepper_gives_the_logits_and_states_of_the_network(config: NetworkConfig, batch_size: int) -> None:
    network = random_network(config)
    state = network.zero_state(batch_size)
    ids = np.random.default_rng(2).integers(0, V, (T, batch_size))
    _, state = network.step(ids[0], state)
    stepper = network.stepper(state)
    for tokens in ids:
        expected, state = network.step(tokens, state)
        np.testing.assert_allclose(stepper.step(tokens), expected, atol=1e-5)
    for found, layer in zip(stepper.state, state, strict=True):
        assert type(found) is type(layer)
        for one, other in zip(found, layer, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("config", [one for one in CONFIGS if one.embedding_size and one.num_layers < 3])
def test_a_table_too_large_to_fold_changes_no_logits(config: NetworkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    folded, ids = random_network(config), np.array([[1, 2, 3], [4, 5, 6]])
    expected, _ = folded.logits(ids, folded.zero_state(B))
    monkeypatch.setattr("chargen.network.network.LARGEST_TABLE", 1)
    network = random_network(config)
    assert network.table.shape == (V, config.embedding_size)
    np.testing.assert_allclose(network.logits(ids, network.zero_state(B))[0], expected, atol=1e-5)
    stepper = network.stepper(network.zero_state(B))
    for time, tokens in enumerate(ids.T):
        np.testing.assert_allclose(stepper.step(tokens), expected[:, time], atol=1e-5)


def test_states_go_in_and_out_as_copies() -> None:
    network = random_network(NetworkConfig(hidden_size=H, embedding_size=E, num_layers=2))
    state = network.zero_state(B)
    stepper = network.stepper(state)
    before = stepper.state
    stepper.step(np.array([1, 2]))
    for layers in (state, before):
        assert all(not array.any() for layer in layers for array in layer)
    assert all(array.any() for layer in stepper.state for array in layer)


@pytest.mark.parametrize("config", CONFIGS[::9], ids=lambda one: f"{one.cell}-{one.num_layers}")
def test_rows_go_on_from_where_others_stand(config: NetworkConfig) -> None:
    network = random_network(config)
    stepper, straight = network.stepper(network.zero_state(3)), network.stepper(network.zero_state(3))
    stepper.step(np.array([1, 2, 3]))
    straight.step(np.array([3, 3, 1]))
    stepper.take(np.array([2, 2, 0]))
    np.testing.assert_allclose(stepper.step(np.array([4, 5, 6])), straight.step(np.array([4, 5, 6])), atol=1e-6)


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 0), (2, 3)])
@pytest.mark.parametrize("dense", [0, 6])
def test_logits_of_any_number_of_outputs(shape: tuple[int, ...], dense: int) -> None:
    network = random_network(NetworkConfig(hidden_size=H, dense_size=dense))
    outputs = np.random.default_rng(3).normal(size=(*shape, H)).astype(np.float32)
    expected = outputs
    if dense:
        expected = np.maximum(expected @ network.weights["dense.kernel"] + network.weights["dense.bias"], 0)
    expected = expected @ network.weights["output.kernel"] + network.weights["output.bias"]
    np.testing.assert_allclose(network.head(outputs), expected, atol=1e-5)
