"""The kernels of Dense layers and of the loss compute what NumPy does in float64."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.native.library import AVX2, AVX512, BFLOAT16, Instructions, Kernels
from chargen.native.loss import cross_entropy
from chargen.network.dense import PackedDense
from tests.native.test_kernels import TOLERANCE, kernels_of

SHAPES = st.tuples(st.integers(1, 40) | st.integers(500, 600), st.integers(1, 70), st.integers(1, 70))


@pytest.fixture(params=[AVX512, AVX2, BFLOAT16], ids=lambda one: one.name, scope="module")
def instructions(request: pytest.FixtureRequest) -> Instructions:
    return request.param


@pytest.fixture(scope="module")
def kernels(instructions: Instructions) -> Kernels:
    return kernels_of(instructions)


def near(found: np.ndarray, expected: np.ndarray, tolerance: float, scale: np.ndarray | None = None) -> bool:
    """Tell whether the difference is small beside what was expected or, of sums whose terms cancel, beside a scale."""
    size = np.linalg.norm(expected if scale is None else scale)
    return bool(np.linalg.norm(found - expected) <= 2 * tolerance * size + 1e-6)


@settings(max_examples=25)
@given(shape=SHAPES, relu=st.booleans(), threads=st.integers(1, 3))
def test_a_dense_layer(
    kernels: Kernels, instructions: Instructions, shape: tuple[int, int, int], relu: bool, threads: int
) -> None:
    N, D, H = shape
    rng = np.random.default_rng(shape)
    inputs, kernel = (rng.normal(size=size).astype(np.float32) for size in ((N, D), (D, H)))
    bias, tolerance = rng.normal(size=H).astype(np.float32), TOLERANCE[instructions]
    outputs = PackedDense(kernels, kernel, bias)(inputs, relu=relu, threads=threads)
    expected = inputs.astype(np.float64) @ kernel + bias
    assert near(outputs, np.maximum(expected, 0) if relu else expected, tolerance)


class Case(NamedTuple):
    """An output layer, its inputs, and what is to follow them."""

    inputs: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    @classmethod
    def drawn(cls, N: int, D: int, V: int) -> "Case":
        rng = np.random.default_rng((N, D, V))
        inputs, kernel, bias = (rng.normal(size=size).astype(np.float32) for size in ((N, D), (D, V), V))
        targets, weights = rng.integers(0, V, N).astype(np.int32), rng.integers(0, 3, N).astype(np.float32)
        return cls(inputs, kernel, bias, targets, weights)

    def computed(self, kernels: Kernels, threads: int, *, training: bool = True) -> list[np.ndarray]:
        """Return the loss and, in training, the gradients of the first three."""
        loss, gradients = cross_entropy(kernels, *self, threads=threads, training=training)
        return [np.array(loss), *gradients]

    def expected(self) -> list[np.ndarray]:
        """Compute the same in float64."""
        logs, at_targets = self._logs(), np.eye(len(self.bias))[self.targets]
        d_logits = (np.exp(logs) - at_targets) * self.weights[:, None]
        loss = -((logs * at_targets).sum(axis=1) * self.weights).sum()
        return [loss, d_logits @ self.kernel.T, self.inputs.T @ d_logits, d_logits.sum(axis=0)]

    def scales(self) -> list[np.ndarray]:
        """Return sums like the gradients, but of the magnitudes of their terms."""
        terms = (np.exp(self._logs()) + np.eye(len(self.bias))[self.targets]) * self.weights[:, None]
        return [terms @ np.abs(self.kernel.T), np.abs(self.inputs.T) @ terms, terms.sum(axis=0)]

    def _logs(self) -> np.ndarray:
        logits = self.inputs.astype(np.float64) @ self.kernel + self.bias
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@settings(max_examples=40)
@given(N=st.integers(1, 40) | st.integers(500, 600), D=st.integers(1, 70), V=st.integers(1, 70), threads=st.integers(1, 3))
def test_a_loss_and_its_gradients(kernels: Kernels, instructions: Instructions, N: int, D: int, V: int, threads: int) -> None:
    case = Case.drawn(N, D, V)
    found, (loss, *gradients), tolerance = case.computed(kernels, threads), case.expected(), 2 * TOLERANCE[instructions]
    assert found[0] == pytest.approx(loss, abs=tolerance * (1 + float(case.weights.sum())))
    for one, other, scale in zip(found[1:], gradients, case.scales(), strict=True):
        assert near(one, other, tolerance, scale)
    assert not found[1][case.weights == 0].any()
    assert case.computed(kernels, threads, training=False) == found[:1]


def test_a_loss_is_as_exact_as_float32(kernels: Kernels) -> None:
    """The products are exact here, also of bfloat16 numbers."""
    case = Case.drawn(50, 1, 67)._replace(inputs=np.ones((50, 1), np.float32), kernel=np.ones((1, 67), np.float32))
    loss, _, _, d_bias = case.computed(kernels, 2)
    expected = case.expected()
    np.testing.assert_allclose(loss, expected[0], rtol=2e-6)
    np.testing.assert_allclose(d_bias, expected[3], atol=1e-5)


def test_large_logits_saturate_and_nan_stays_unless_nothing_weighs(kernels: Kernels) -> None:
    case = Case.drawn(3, 2, 5)._replace(weights=np.ones(3, np.float32))
    far = case._replace(bias=np.array([1e4, 0, 0, 0, 0], np.float32), targets=np.zeros(3, np.int32))
    assert far.computed(kernels, 1)[0] == pytest.approx(0, abs=1e-6)
    case.inputs[1, 0] = np.nan
    assert np.isnan(case.computed(kernels, 1)[0])
    assert np.isfinite(case._replace(weights=np.array([1, 0, 1], np.float32)).computed(kernels, 1)[0])


def test_a_target_that_is_no_token_is_taken_for_the_nearest(kernels: Kernels) -> None:
    case = Case.drawn(4, 3, 5)
    inside = case._replace(targets=np.array([0, 4, 0, 4], np.int32))
    outside = case._replace(targets=np.array([-1, 5, -(2**31), 2**31 - 1], np.int32))
    for one, other in zip(outside.computed(kernels, 1), inside.computed(kernels, 1), strict=True):
        np.testing.assert_array_equal(one, other)
