"""Hand-written gradients are equal to central finite differences, in float64."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chargen.corpus.windows import Batch
from chargen.scratch import layers
from chargen.scratch.network import ScratchNetwork
from chargen.settings.schema import NetworkConfig

Make = Callable[..., Any]

STEP = 1e-6  # small, so that no ReLU changes its sign
TOLERANCE = 1e-6  # relative
DIRECTIONS = 3  # drawn for each weight


def mean_loss(network: ScratchNetwork, batch: Batch, state: Any) -> float:
    """Return the loss whose gradient is taken; the same values are dropped each time."""
    loss = network.loss_and_gradients(batch, state, np.random.default_rng(11)).loss
    return loss / max(float(batch.sample_weights.sum()), 1)


def slope(network: ScratchNetwork, name: str, direction: np.ndarray, batch: Batch, state: Any) -> float:
    """Measure the slope of the loss along a direction of one weight."""
    weight, start = network.weights[name], network.weights[name].copy()
    weight[:] = start + STEP * direction
    above = mean_loss(network, batch, state)
    weight[:] = start - STEP * direction
    below = mean_loss(network, batch, state)
    weight[:] = start
    return (above - below) / (2 * STEP)


def check(network: ScratchNetwork, batch: Batch, state: Any) -> None:
    gradients = network.loss_and_gradients(batch, state, np.random.default_rng(11)).gradients
    assert {name: one.shape for name, one in gradients.items()} == {name: one.shape for name, one in network.weights.items()}
    rng = np.random.default_rng(2)
    for name, gradient in gradients.items():
        for _ in range(DIRECTIONS):
            direction = rng.normal(size=gradient.shape)
            expected = slope(network, name, direction, batch, state)
            assert (gradient * direction).sum() == pytest.approx(expected, rel=TOLERANCE, abs=1e-9), name


def test_gradients_of_every_form(form: NetworkConfig, make_network: Make, make_batch: Make, make_state: Make) -> None:
    network = make_network(form)
    check(network, make_batch(form), make_state(network))


def test_gradients_through_dropout(form: NetworkConfig, make_network: Make, make_batch: Make, make_state: Make) -> None:
    network = make_network(replace(form, dropout=0.4))
    check(network, make_batch(form), make_state(network))


@pytest.mark.parametrize("size", [0, 4])
def test_gradients_where_tokens_are_many(
    size: int, make_network: Make, make_batch: Make, make_state: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "ONE_HOT_MAX_TOKENS", 0)
    network = make_network(NetworkConfig(hidden_size=5, embedding_size=size))
    check(network, make_batch(network.config), make_state(network))


def test_a_position_without_weight_says_nothing(make_network: Make, make_batch: Make) -> None:
    network = make_network(NetworkConfig(hidden_size=5, embedding_size=4))
    batch = make_batch(network.config)
    other = batch._replace(targets=np.where(batch.sample_weights == 0, (batch.targets + 1) % 7, batch.targets))
    one, two = (network.loss_and_gradients(each, network.zero_state(2), np.random.default_rng(1)) for each in (batch, other))
    assert one.loss == two.loss
    for name in one.gradients:
        np.testing.assert_array_equal(one.gradients[name], two.gradients[name])


def test_a_batch_that_only_fills_up_has_no_gradient(make_network: Make, make_batch: Make) -> None:
    network = make_network(NetworkConfig(hidden_size=5, embedding_size=4))
    batch = make_batch(network.config)
    batch.sample_weights[:] = 0
    result = network.loss_and_gradients(batch, network.zero_state(2), np.random.default_rng(1))
    assert result.loss == 0
    assert all((gradient == 0).all() for gradient in result.gradients.values())
