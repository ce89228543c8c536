import numpy as np

from chargen.network.normalization import LayerNorm, batch_normalized

GAMMA, BETA = np.array([2.0, 0.5, 1.0], np.float32), np.array([0.0, -1.0, 3.0], np.float32)


def test_rows_have_mean_and_variance_taken_out_before_they_are_scaled_and_shifted() -> None:
    values = np.array([[1.0, 2.0, 6.0], [-4.0, 0.0, 1.0]], np.float32)
    expected = [(row - row.mean()) / np.sqrt(row.var() + 1e-3) * GAMMA + BETA for row in values]
    np.testing.assert_allclose(LayerNorm(GAMMA, BETA)(values), expected, rtol=1e-5)


def test_columns_are_normalized_by_the_statistics_of_training() -> None:
    mean, variance = np.array([1.0, 0.0, -2.0], np.float32), np.array([4.0, 1.0, 0.25], np.float32)
    values = np.array([[3.0, 1.0, -1.0]], np.float32)
    found = batch_normalized(values, gamma=GAMMA, beta=BETA, moving_mean=mean, moving_variance=variance)
    np.testing.assert_allclose(found, [[2.0, -0.5, 5.0]], atol=1e-2)
