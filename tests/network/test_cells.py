"""Each cell compared with its published equations, one number at a time."""

from math import exp, tanh
from typing import Any

import numpy as np
import pytest

from chargen.network.cells import Cell, GRUCell, GRUResetBeforeCell, LSTMCell, SimpleRNNCell, sigmoid

B, D, H = 2, 3, 4


def logistic(value: float) -> float:
    return 1 / (1 + exp(-value))


def dot(vector: np.ndarray, matrix: np.ndarray, column: int) -> float:
    return sum(float(vector[row]) * float(matrix[row, column]) for row in range(len(vector)))


def make(kind: type[Cell[Any]]) -> Cell[Any]:
    rng = np.random.default_rng(5)
    gates = kind.num_gates * H
    shapes = [(D, gates), (H, gates), (2, gates) if kind is GRUCell else (gates,)]
    return kind(*[rng.normal(0, 0.8, shape).astype(np.float32) for shape in shapes])


def expected(cell: Cell[Any], inputs: np.ndarray, state: Any, unit: int) -> tuple[float, ...]:
    """Return the next state of one unit of one row."""
    W, U, b = cell.kernel, cell.recurrent_kernel, cell.bias
    h = state.hidden

    def gate(number: int, bias: np.ndarray = b, hidden: np.ndarray = h) -> float:
        column = number * H + unit
        return dot(inputs, W, column) + dot(hidden, U, column) + float(bias[column])

    if isinstance(cell, SimpleRNNCell):
        return (tanh(gate(0)),)
    if isinstance(cell, LSTMCell):
        c = logistic(gate(1)) * float(state.cell[unit]) + logistic(gate(0)) * tanh(gate(2))
        return logistic(gate(3)) * tanh(c), c
    if isinstance(cell, GRUCell):
        z, r = (logistic(gate(number, b[0]) + float(b[1, number * H + unit])) for number in (0, 1))
        column = 2 * H + unit
        n = tanh(dot(inputs, W, column) + float(b[0, column]) + r * (dot(h, U, column) + float(b[1, column])))
    else:
        z = logistic(gate(0))
        resets = [logistic(dot(inputs, W, H + one) + dot(h, U, H + one) + float(b[H + one])) for one in range(H)]
        n = tanh(gate(2, hidden=h * np.array(resets)))
    return (z * float(h[unit]) + (1 - z) * n,)


@pytest.mark.parametrize("kind", [SimpleRNNCell, LSTMCell, GRUCell, GRUResetBeforeCell])
def test_a_step_follows_the_equations(kind: type[Cell[Any]]) -> None:
    cell, rng = make(kind), np.random.default_rng(6)
    inputs = rng.normal(size=(B, D)).astype(np.float32)
    state = cell.state_type(*rng.normal(size=(len(cell.state_type._fields), B, H)).astype(np.float32))
    before = [array.copy() for array in (inputs, *state)]
    output, following = cell.step(cell.project(inputs), state)
    for row in range(B):
        row_state = cell.state_type(*[array[row] for array in state])
        for unit in range(H):
            assert [array[row, unit] for array in following] == pytest.approx(
                expected(cell, inputs[row], row_state, unit), abs=1e-5
            )
    np.testing.assert_array_equal(output, following.hidden)
    for array, copy in zip((inputs, *state), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("kind", [SimpleRNNCell, LSTMCell, GRUCell, GRUResetBeforeCell])
def test_the_zero_state_is_zero(kind: type[Cell[Any]]) -> None:
    state = make(kind).zero_state(B)
    assert all(array.shape == (B, H) and array.dtype == np.float32 and not array.any() for array in state)


def test_sigmoid_does_not_overflow() -> None:
    values = np.array([-1e4, -2.0, 0.0, 3.0, 1e4], np.float32)
    np.testing.assert_allclose(sigmoid(values), [0, logistic(-2), 0.5, logistic(3), 1], atol=1e-6)
