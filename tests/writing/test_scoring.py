"""Reading a whole text at once costs what reading it step by step costs."""

import numpy as np
import pytest

from chargen.network.average import log_softmax
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig
from chargen.writing.scoring import read_outputs, token_nats

B, T, E, H, V = 2, 6, 3, 5, 7
CONFIGS = [
    NetworkConfig(cell=cell, num_layers=layers, embedding_size=embedding, hidden_size=H, reset_after=after)
    for cell, after in (("simplernn", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False))
    for layers, embedding in ((1, 0), (1, E), (3, E))
]
CONFIGS += [
    NetworkConfig(cell="dense", hidden_size=H, activation="relu", dense_size=4),
    NetworkConfig(cell="gru", hidden_size=H, embedding_size=E, embedding_norm="batch", layer_norm=True, num_layers=2),
]


def random_network(config: NetworkConfig) -> Network:
    rng = np.random.default_rng(1)
    weights = {name: rng.normal(0, 0.7, shape).astype(np.float32) for name, shape in weight_shapes(config, V).items()}
    return Network(config, V, {name: abs(one) if name.endswith("variance") else one for name, one in weights.items()})


@pytest.fixture(params=[T * B, 2 * B, 1], ids=["at-once", "in-pieces", "one-by-one"])
def tokens_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargen.writing.scoring.TOKENS_AT_ONCE", request.param)
    monkeypatch.setattr("chargen.writing.scoring.LOGITS_AT_ONCE", request.param * V // 2)


@pytest.mark.usefixtures("tokens_at_once")
@pytest.mark.parametrize("batch_size", [1, B])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda one: f"{one.cell}-{one.num_layers}-{one.embedding_size}")
def test_nats_and_state_are_those_of_the_steps(config: NetworkConfig, batch_size: int) -> None:
    network = random_network(config)
    ids, targets = np.random.default_rng(2).integers(0, V, (2, batch_size, T))
    _, begun = network.step(ids[:, -1], network.zero_state(batch_size))
    nats, after = token_nats(network, ids, targets, begun)
    logits, expected = network.logits(ids, begun)
    logs = np.take_along_axis(log_softmax(logits), targets[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(nats.whole, -logs, atol=1e-5)
    np.testing.assert_array_equal(nats.alone, nats.whole)
    for found, layer in zip(after, expected, strict=True):
        np.testing.assert_allclose(np.stack(found), np.stack(layer), atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_table_too_large_to_be_folded(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = NetworkConfig(hidden_size=H, embedding_size=E, num_layers=layers)
    ids = np.random.default_rng(2).integers(0, V, (B, T))
    folded = random_network(config)
    monkeypatch.setattr("chargen.network.network.LARGEST_TABLE", 1)
    network = random_network(config)
    assert folded.folded
    assert not network.folded
    state = network.zero_state(B)
    np.testing.assert_allclose(read_outputs(network, ids, state)[0], read_outputs(folded, ids, state)[0], atol=1e-5)


def test_narrow_ids_are_read_as_they_are_stored() -> None:
    network = random_network(CONFIGS[3])
    ids = np.random.default_rng(2).integers(0, V, (B, T)).astype(np.uint8)
    state = network.zero_state(B)
    nats, _ = token_nats(network, ids, ids, state)
    np.testing.assert_array_equal(nats, token_nats(network, ids.astype(int), ids.astype(int), state)[0])
