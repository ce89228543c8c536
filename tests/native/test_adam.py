"""The kernel of Adam and Muon computes what NumPy does in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.native.adam import take_step
from chargen.native.library import AVX2, AVX512, BFLOAT16, Instructions, Kernels
from chargen.scratch.optimizers import RATE as OF_MUON
from chargen.scratch.optimizers import Muon
from tests.native.test_kernels import kernels_of

BETA_1, BETA_2, EPSILON, RATE = 0.9, 0.995, 1e-7, 0.01


@pytest.fixture(params=[AVX512, AVX2], ids=lambda one: one.name, scope="module")
def kernels(request: pytest.FixtureRequest) -> Kernels:
    instructions: Instructions = request.param
    return kernels_of(instructions)


def step(
    kernels: Kernels,
    gradients: list[list[np.ndarray]],
    before: list[np.ndarray],
    *,
    gates: list[int] | None = None,
    threads: int = 1,
    **numbers: float,
) -> list[np.ndarray]:
    """Return weights, momentum and velocity after a step."""
    named = {"share": 1, "clip_norm": 0, "clip_value": 0, "alpha": RATE, "decay": 0} | numbers
    given = np.array([*named.values(), 1 - BETA_1, 1 - BETA_2, EPSILON, RATE * OF_MUON], np.float32)
    after, gates = [one.copy() for one in before], gates or [0] * (len(before) // 3)
    take_step(kernels, given, gradients, after, gates=gates, threads=threads)
    return after


def reference(
    gradients: list[list[np.ndarray]],
    before: list[np.ndarray],
    *,
    share: float,
    clip_norm: float,
    clip_value: float,
    decay: float,
) -> list[np.ndarray]:
    exact = [one.astype(np.float64) for one in before]
    count = len(before) // 3
    weights, momentum, velocity = (exact[first : first + count] for first in range(0, len(before), count))
    means = [np.sum(shards, axis=0, dtype=np.float64) * share for shards in zip(*gradients, strict=True)]
    norm = np.sqrt(sum((one**2).sum() for one in means))
    if clip_norm:
        means = [one * min(1, clip_norm / norm) for one in means]
    elif clip_value:
        means = [np.clip(one, -clip_value, clip_value) for one in means]
    momentum = [one + (mean - one) * (1 - BETA_1) for one, mean in zip(momentum, means, strict=True)]
    velocity = [one + (mean**2 - one) * (1 - BETA_2) for one, mean in zip(velocity, means, strict=True)]
    weights = [w * (1 - decay) - RATE * m / (np.sqrt(v) + EPSILON) for w, m, v in zip(weights, momentum, velocity, strict=True)]
    return [*weights, *momentum, *velocity]


def arrays(sizes: list[int], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=size).astype(np.float32) for size in sizes]


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 70) | st.integers(4090, 4100), min_size=1, max_size=3),
    shards=st.integers(1, 3),
    clipping=st.sampled_from([(0, 0), (0.5, 0), (1e9, 0), (0, 0.2)]),
    decay=st.sampled_from([0, 1e-3]),
)
def test_a_step(kernels: Kernels, sizes: list[int], shards: int, clipping: tuple[float, float], decay: float) -> None:
    gradients = [arrays(sizes, shard) for shard in range(shards)]
    before = [*arrays(sizes, 10), *arrays(sizes, 11), *map(np.abs, arrays(sizes, 12))]
    numbers = {"share": 0.3, "clip_norm": clipping[0], "clip_value": clipping[1], "decay": decay}
    for found, expected in zip(
        step(kernels, gradients, before, **numbers), reference(gradients, before, **numbers), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_that_share_many_weights(kernels: Kernels, threads: int) -> None:
    sizes = [300_001, 5, 20]
    gradients, before = [arrays(sizes, 1)], [*arrays(sizes, 10), *arrays(sizes, 11), *map(np.abs, arrays(sizes, 12))]
    numbers = {"share": 0.3, "clip_norm": 0.5}
    for shared, alone in zip(
        step(kernels, gradients, before, threads=threads, **numbers), step(kernels, gradients, before, **numbers), strict=True
    ):
        np.testing.assert_allclose(shared, alone, rtol=1e-6)


def test_a_gradient_that_is_not_finite_stays_so(kernels: Kernels) -> None:
    """Keras, too, clips an infinite norm to NaN; training then stops with an error."""
    before = [*arrays([5], 1), *arrays([5], 2), *map(np.abs, arrays([5], 3))]
    weights, *_ = step(kernels, [[np.array([1, 2, np.inf, 4, 5], np.float32)]], before, clip_norm=1)
    assert np.isnan(weights).all()


def test_a_zero_gradient_changes_nothing(kernels: Kernels) -> None:
    weights, zeros = arrays([9], 1)[0], np.zeros(9, np.float32)
    after = step(kernels, [[zeros]], [weights, zeros, zeros], clip_norm=1)
    np.testing.assert_array_equal(after, [weights, zeros, zeros])


SHAPES = {"kernel": (7, 4 * 33), "recurrent_kernel": (33, 4 * 33), "2_recurrent_kernel": (139, 139), "embedding": (3, 5)}
GATES = [4, 4, 1, 0]


@pytest.mark.parametrize(
    ("instructions", "error"), [(AVX512, 1e-5), (AVX2, 1e-5), (BFLOAT16, 6e-3)], ids=["AVX-512", "AVX2", "bfloat16"]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_step_of_muon(instructions: Instructions, error: float, threads: int) -> None:
    """With products of bfloat16 numbers, singular values near 1 have other values near 1."""
    drawn = [{name: rng.normal(size=shape) for name, shape in SHAPES.items()} for rng in map(np.random.default_rng, range(3))]
    weights, gradients, momentum = drawn
    before = [one.astype(np.float32) for one in (*weights.values(), *momentum.values(), *map(np.zeros, SHAPES.values()))]
    first = [one.astype(np.float32) for one in gradients.values()]
    after = step(kernels_of(instructions), [first], before, gates=GATES, threads=threads, decay=RATE * 0.1)
    optimizer = Muon(RATE, weight_decay=0.1, beta_2=BETA_2)
    optimizer.num_steps = 10**9  # whose moments are not corrected
    optimizer.slots = {name: [momentum[name], np.zeros(shape)] for name, shape in SHAPES.items()}
    optimizer.update(weights, gradients)
    for found, expected in zip(after, weights.values(), strict=False):
        np.testing.assert_allclose(found, expected, rtol=0, atol=error)
    for gates, velocity in zip(GATES, after[2 * len(SHAPES) :], strict=True):
        assert velocity.any() == (gates == 0)  # Muon needs none


def test_muon_takes_no_step_without_momentum_and_any_of_one_that_is_not_finite() -> None:
    weights, zeros = np.ones((6, 8), np.float32), np.zeros((6, 8), np.float32)
    after = step(kernels_of(AVX2), [[zeros]], [weights, zeros, zeros], gates=[4])
    np.testing.assert_array_equal(after[0], weights)
    after = step(kernels_of(AVX2), [[np.full_like(zeros, np.nan)]], [weights, zeros, zeros], gates=[4], clip_norm=1)
    assert np.isnan(after[0]).all()
