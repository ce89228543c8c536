"""Estimate from the epochs of a training what a longer one would reach."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FEWEST_EPOCHS = 6
LEFT_OUT = 0.15  # of the epochs, the first ones, in which a network learns other things than later
EXPONENTS = (0.6, 1.0, 1.6)  # of trainings whose doubled length was measured; a single one hardly tells its own

Floats = npt.NDArray[np.float64]


class Expected(NamedTuple):
    """An expected figure, and by how much it may be off."""

    value: float
    error: float


def extrapolate(figures: Sequence[float], rates: Sequence[float], factor: float) -> Expected | None:
    """Return the figure that a training `factor` times as long would end with, or None if the epochs do not tell.

    figures: of held-out text after each epoch. rates: the learning rates then. A figure is taken to be
    c + a * S ** -b + k * rate with a, c and k of at least 0, where S is the sum of the learning rates so far (after Tissue et
    al. 2024): what is learnt, and the noise of large steps, which the end of a schedule removes. The error is that of not
    knowing b, and of the fit.
    """
    first = round(LEFT_OUT * len(figures))
    last_two = figures[-2:]
    if len(figures) < FEWEST_EPOCHS or min(figures) not in last_two:  # it overfits already
        return None
    values, heights = np.array(figures), np.array(rates) / max(rates)
    areas = np.cumsum((np.concatenate([[1.0], heights[:-1]]) + heights) / 2)
    found = [_gain(areas[first:], values[first:], heights[first:], exponent, factor) for exponent in EXPONENTS]
    gains, residuals = np.array([gain for gain, _ in found]), [residual for _, residual in found]
    spread = (gains.max() - gains.min()) / 2
    return Expected(float(values[-1] - gains.mean()), float(np.hypot(spread, max(residuals))))


def _gain(areas: Floats, values: Floats, heights: Floats, exponent: float, factor: float) -> tuple[float, float]:
    """Return by how much the figure falls until `factor` times the last area, and the root mean squared error of the fit."""
    columns = np.stack([np.ones(len(areas)), areas**-exponent, heights], axis=1)
    weights = _nonnegative(columns, values)
    gain = weights[1] * areas[-1] ** -exponent * (1 - factor**-exponent)
    return float(gain), float(np.sqrt(np.mean((columns @ weights - values) ** 2)))


def _nonnegative(columns: Floats, values: Floats) -> Floats:
    """Return the weights of at least 0 with the least squared error, by trying which of the columns have one above 0."""
    best, least = np.zeros(columns.shape[1]), np.inf
    for chosen in range(1, 1 << columns.shape[1]):
        used = [number for number in range(columns.shape[1]) if chosen >> number & 1]
        found = np.linalg.lstsq(columns[:, used], values, rcond=None)[0]
        error = float(np.sum((columns[:, used] @ found - values) ** 2))
        if (found >= 0).all() and error < least:
            best, least = np.zeros(columns.shape[1]), error
            best[used] = found
    return best
