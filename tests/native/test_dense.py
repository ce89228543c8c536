"""The kernels of Dense layers and of the loss compute what NumPy does in float64."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.native.library import AVX2, AVX512, BFLOAT16, Instructions, Kernels
from chargen.network.native_writer import Dense
from tests.native.test_kernels import TOLERANCE, kernels_of

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70))


@pytest.fixture(params=[AVX512, AVX2, BFLOAT16], ids=lambda one: one.name, scope="module")
def instructions(request: pytest.FixtureRequest) -> Instructions:
    return request.param


@pytest.fixture(scope="module")
def kernels(instructions: Instructions) -> Kernels:
    return kernels_of(instructions)


def places(*arrays: np.ndarray) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(one.ctypes.data) for one in arrays]


def near(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    return bool(np.linalg.norm(found - expected) <= 2 * tolerance * np.linalg.norm(expected) + 1e-6)


@settings(max_examples=25)
@given(shape=SHAPES, relu=st.booleans())
def test_a_dense_layer(kernels: Kernels, instructions: Instructions, shape: tuple[int, int, int], relu: bool) -> None:
    N, D, H = shape
    rng = np.random.default_rng(shape)
    inputs, kernel, d_outputs = (rng.normal(size=size).astype(np.float32) for size in ((N, D), (D, H), (N, H)))
    bias, outputs = rng.normal(size=H).astype(np.float32), np.empty((N, H), np.float32)
    dense, tolerance = Dense(D, H, kernel.ctypes.data, bias.ctypes.data), TOLERANCE[instructions]
    library, rows = kernels.library, ctypes.c_long(N)
    assert not library.dense_forward(ctypes.byref(dense), rows, *places(inputs, outputs), ctypes.c_long(relu))
    expected = inputs.astype(np.float64) @ kernel + bias
    assert near(outputs, np.maximum(expected, 0) if relu else expected, tolerance)
    found = [np.empty_like(one) for one in (inputs, kernel, bias)]
    assert not library.dense_backward(ctypes.byref(dense), rows, *places(inputs, d_outputs, *found))
    exact = d_outputs.astype(np.float64)
    for one, other in zip(found, (exact @ kernel.T, inputs.T @ exact, exact.sum(axis=0)), strict=True):
        assert near(one, other, tolerance)


@settings(max_examples=25)
@given(N=st.integers(1, 9), V=st.integers(1, 70))
def test_a_cross_entropy_and_its_gradient(kernels: Kernels, N: int, V: int) -> None:
    rng = np.random.default_rng((N, V))
    logits, weights = rng.normal(0, 9, (N, V)).astype(np.float32), rng.integers(0, 3, N).astype(np.float32)
    targets, gradient = rng.integers(0, V, N).astype(np.int32), np.empty((N, V), np.float32)
    sizes = [ctypes.c_long(N), ctypes.c_long(V)]
    kernels.library.cross_entropy.restype = ctypes.c_float
    loss = kernels.library.cross_entropy(*sizes, *places(logits, targets, weights, gradient))
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    assert loss == pytest.approx(-(logs[np.arange(N), targets] * weights).sum(), rel=2e-6, abs=1e-5)
    expected = np.exp(logs) - np.eye(V)[targets]
    np.testing.assert_allclose(gradient, expected * weights[:, None], atol=2e-6)
