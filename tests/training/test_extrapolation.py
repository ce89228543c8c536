"""What a longer training would reach is estimated from the epochs of a shorter one."""

import math
from itertools import pairwise

import numpy as np
import pytest

from chargen.training.recording.extrapolation import extrapolate


def cosine_run(epochs: int, *, exponent: float, noise: float = 0.0) -> tuple[list[float], list[float]]:
    """Return the figures and the rates of a pretended training that learns as a power of the sum of its rates."""
    rates = [0.004 * (1 + math.cos(math.pi * epoch / epochs)) / 2 for epoch in range(epochs + 1)]
    areas = np.cumsum([(before + after) / 2 / 0.004 for before, after in pairwise(rates)])
    rng = np.random.default_rng(1)
    figures = [
        1.5 + area**-exponent + 0.05 * rate / 0.004 + noise * rng.standard_normal()
        for area, rate in zip(areas, rates[1:], strict=True)
    ]
    return figures, rates[1:]


@pytest.mark.parametrize("epochs", [6, 10, 20])
@pytest.mark.parametrize("exponent", [0.7, 0.8, 1.0, 1.4])
@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_a_longer_training_ends_about_where_it_is_expected_to(epochs: int, exponent: float, noise: float) -> None:
    expected = extrapolate(*cosine_run(epochs, exponent=exponent, noise=noise), 2.0)
    assert expected is not None
    assert abs(expected.value - cosine_run(2 * epochs, exponent=exponent)[0][-1]) <= 1.1 * expected.error + 3 * noise
    assert 0 < expected.error < 0.2


def test_a_training_that_learns_nothing_more_gains_nothing() -> None:
    expected = extrapolate([2.0] * 8, [0.001] * 8, 2.0)
    assert expected is not None
    assert expected.value == pytest.approx(2.0)
    assert expected.error == pytest.approx(0.0, abs=1e-9)


def test_nothing_is_said_of_few_epochs_or_of_overfitting() -> None:
    figures, rates = cosine_run(10, exponent=0.7)
    assert extrapolate(figures[:5], rates[:5], 2.0) is None
    assert extrapolate([*figures[:7], 2.5, 2.6, 2.7], rates, 2.0) is None
