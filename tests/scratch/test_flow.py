"""The gradient log agrees with the gradients."""

import numpy as np
import pytest

from chargen.corpus.windows import Batch
from chargen.scratch.flow import gradient_flow
from chargen.scratch.initializers import initial_weights
from chargen.scratch.network import ScratchNetwork
from chargen.settings.schema import NetworkConfig

B, T, H, V = 3, 9, 5, 7
CELLS = [("simplernn", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False)]


def batch(targets: str = "all") -> Batch:
    rng = np.random.default_rng(1)
    shape = (B,) if targets == "last" else (B, T)
    inputs, wanted = rng.integers(0, V, (B, T)).astype(np.int32), rng.integers(0, V, shape).astype(np.int32)
    return Batch(inputs, wanted, np.ones(shape, np.float32))


def network(config: NetworkConfig, scale: float = 1.0) -> ScratchNetwork:
    weights = initial_weights(config, V, np.random.default_rng(2))
    for layer in range(config.num_layers):
        weights[f"recurrent.{layer}.recurrent_kernel"] *= np.float32(scale)
    return ScratchNetwork(config, V, weights)


@pytest.mark.parametrize("targets", ["all", "last"])
@pytest.mark.parametrize(("cell", "reset_after"), CELLS)
def test_the_norm_is_that_of_the_layers_gradients(cell: str, reset_after: bool, targets: str) -> None:
    config = NetworkConfig(cell=cell, reset_after=reset_after, targets=targets, num_layers=2, hidden_size=H, embedding_size=4)
    made, given = network(config), batch(targets)
    flows = gradient_flow(made, given)
    assert [flow.layer for flow in flows] == ["recurrent.1", "recurrent.0"]
    _, gradients, _ = made.loss_and_gradients(given, made.zero_state(B), np.random.default_rng(0))
    for flow in flows:
        own = [gradient.ravel() for name, gradient in gradients.items() if name.startswith(flow.layer)]
        assert flow.gradient_norm == pytest.approx(np.linalg.norm(np.concatenate(own)), rel=1e-5)
        assert 0 <= flow.saturation <= 1


def test_reach_is_exact_where_it_can_be_computed_by_hand() -> None:
    """In a ReLU network whose units are all active, each step multiplies a gradient by the transposed recurrent kernel."""
    config = NetworkConfig(
        cell="simplernn", activation="relu", recurrent_init="identity", hidden_size=H, embedding_size=0, targets="last"
    )
    for factor in (0.5, 1.0, 2.0):
        made = network(config, scale=factor)
        made.weights["recurrent.0.kernel"][:] = 1
        (flow,) = gradient_flow(made, batch("last"))
        assert flow.reach == pytest.approx(factor ** (T - 1), rel=1e-4)
        assert flow.saturation == 0


@pytest.mark.parametrize(("cell", "reset_after"), CELLS)
def test_large_weights_saturate_and_small_ones_do_not(cell: str, reset_after: bool) -> None:
    config = NetworkConfig(cell=cell, reset_after=reset_after, hidden_size=H, embedding_size=0)
    small, large = network(config), network(config)
    for name, weight in large.weights.items():
        weight[:] = weight * 100 if name.startswith("recurrent") else weight
    (calm,), (stuck,) = gradient_flow(small, batch()), gradient_flow(large, batch())
    assert calm.saturation == 0
    assert stuck.saturation > 0.8
