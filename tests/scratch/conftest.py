from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from chargen.corpus.windows import Batch
from chargen.network.network import NetworkState, weight_shapes
from chargen.scratch.network import ScratchNetwork
from chargen.settings.schema import NetworkConfig

N, T, E, H, V, DENSE = 2, 3, 4, 5, 7, 6  # all different, so that swapped axes fail

CELLS: list[dict[str, Any]] = [
    {"cell": "simplernn"},
    {"cell": "simplernn", "activation": "relu"},
    {"cell": "lstm"},
    {"cell": "mlstm"},
    {"cell": "gru"},
    {"cell": "gru", "reset_after": False},
]
FORMS = [
    NetworkConfig(**cell, num_layers=depth, hidden_size=H, embedding_size=size, targets=targets, dense_size=dense)
    for cell, depth, (size, dense), targets in product(CELLS, (1, 2), ((0, 0), (E, 0), (E, DENSE)), ("all", "last"))
]


def name_of(config: NetworkConfig) -> str:
    kind = f"{config.cell}{'' if config.reset_after else '-before'}{'-relu' if config.activation == 'relu' else ''}"
    inputs = "embedded" if config.embedding_size else "one-hot"
    return f"{kind}-{config.num_layers}-{inputs}-{config.targets}{'-dense' if config.dense_size else ''}"


@pytest.fixture(params=FORMS, ids=name_of)
def form(request: pytest.FixtureRequest) -> NetworkConfig:
    """Return every form of network that can be trained by hand-written backpropagation, one after the other."""
    return request.param


@pytest.fixture
def make_network() -> Callable[..., ScratchNetwork]:
    """Make a network with random weights and biases."""

    def make(config: NetworkConfig, dtype: type = np.float64) -> ScratchNetwork:
        rng = np.random.default_rng(7)
        weights = {name: rng.normal(0, 0.7, shape).astype(dtype) for name, shape in weight_shapes(config, V).items()}
        return ScratchNetwork(config, V, weights)

    return make


@pytest.fixture
def make_state() -> Callable[..., NetworkState]:
    """Make a state like the one after an earlier batch."""

    def make(network: ScratchNetwork) -> NetworkState:
        rng = np.random.default_rng(5)
        zeros = network.zero_state(N)
        return tuple(type(one)(*[rng.normal(0, 0.5, part.shape).astype(part.dtype) for part in one]) for one in zeros)

    return make


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Make a batch in which one position has weight 0."""

    def make(config: NetworkConfig, seed: int = 3) -> Batch:
        rng = np.random.default_rng(seed)
        shape = (N, T) if config.targets == "all" else (N,)
        weights = np.ones(shape, np.float32)
        weights.flat[1] = 0
        ids = rng.integers(0, V, (N, T)).astype(np.int32)
        return Batch(ids, rng.integers(0, V, shape).astype(np.int32), weights)

    return make
