"""A text that is read in stretches gives what it gives when it is read from start to end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.network import stretches
from chargen.network.average import AnyNetwork, NetworkAverage
from chargen.network.network import Network, NetworkState, weight_shapes
from chargen.network.stepper import Stepper
from chargen.network.stretches import read_text, read_together, tokens_at_once
from chargen.settings.schema import NetworkConfig

V, H = 7, 5
FORGETFUL = [
    NetworkConfig(cell=cell, hidden_size=H, embedding_size=embedding, num_layers=layers, reset_after=after)
    for cell, after in (("simplernn", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False))
    for embedding, layers in ((0, 1), (4, 2))
]
FOREVER = NetworkConfig(cell="simplernn", activation="relu", hidden_size=1, embedding_size=0)  # counts what it reads


def random_network(config: NetworkConfig, seed: int = 0, scale: float = 0.3) -> Network:
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, scale, shape).astype(np.float32) for name, shape in weight_shapes(config, V).items()}
    return Network(config, V, weights)


def counting_network() -> Network:
    """A network whose state is the sum of all ids that it has read."""
    weights = {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(FOREVER, V).items()}
    weights["recurrent.0.kernel"][:, 0] = np.arange(V)
    weights["recurrent.0.recurrent_kernel"][:] = 1
    return Network(FOREVER, V, weights)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "SHORTEST_STRETCH", 40)
    monkeypatch.setattr(stretches, "CHECKED_EVERY", 8)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of steps, of any number of rows, that are taken from now on."""
    found: list[int] = []
    outputs = Stepper.outputs

    def counted(self: Stepper, ids: np.ndarray) -> np.ndarray:
        found.append(ids.shape[1])
        return outputs(self, ids)

    monkeypatch.setattr(Stepper, "outputs", counted)
    return found


def check(network: AnyNetwork, ids: np.ndarray, state: NetworkState, *, atol: float = 1e-5) -> None:
    """Compare the outputs and the state with those of reading the text step by step."""
    expected, last = read_together(network, ids, state)
    found, end = read_text(network, ids, state)
    np.testing.assert_allclose(found, expected, atol=atol)
    for layer, wanted in zip(end, last, strict=True):
        np.testing.assert_allclose(np.stack(layer), np.stack(wanted), atol=atol)


@given(length=st.integers(1, 400), seed=st.integers(0, 9), config=st.sampled_from(FORGETFUL))
def test_outputs_and_state_are_those_of_reading_step_by_step(length: int, seed: int, config: NetworkConfig) -> None:
    network = random_network(config, seed)
    ids = np.random.default_rng(seed).integers(0, V, (1, length + 3))
    _, begun = network.logits(ids[:, :3], network.zero_state(1))
    check(network, ids[:, 3:], begun)


def test_several_networks_are_read_together() -> None:
    network = NetworkAverage([random_network(config, seed) for seed, config in enumerate(FORGETFUL[:4])])
    ids = np.random.default_rng(3).integers(0, V, (1, 333))
    check(network, ids, network.zero_state(1))


def test_a_network_that_forgets_takes_fewer_steps_than_the_text_has_tokens(steps: list[int]) -> None:
    network = random_network(FORGETFUL[2], scale=0.2)
    ids = np.random.default_rng(3).integers(0, V, (1, 32 * 40))
    read_text(network, ids, network.zero_state(1))
    assert 40 <= sum(steps) <= 120  # of 1,280


def test_what_a_network_never_forgets_is_read_from_start_to_end(steps: list[int]) -> None:
    ids = np.random.default_rng(3).integers(0, V, (1, 411))
    outputs, (end,) = read_text(network := counting_network(), ids, network.zero_state(1))
    np.testing.assert_array_equal(outputs[:, 0, 0], ids[0].cumsum())
    assert end.hidden.item() == ids.sum()
    assert sum(steps) < 2 * ids.size  # all stretches together, once more, and one after another


def test_weights_that_are_not_numbers_are_read_to_the_end() -> None:
    network = random_network(FORGETFUL[2])
    network.cells[0].recurrent_kernel[0, 0] = np.nan
    ids = np.random.default_rng(3).integers(0, V, (1, 200))
    assert np.isnan(read_text(network, ids, network.zero_state(1))[0][-1]).any()


@pytest.mark.parametrize(("output_size", "tokens"), [(8, 32 * 40), (1 << 18, 64), (1 << 23, 40)])
def test_large_outputs_are_read_in_smaller_pieces(output_size: int, tokens: int) -> None:
    assert tokens_at_once(output_size) == tokens
