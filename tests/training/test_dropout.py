import numpy as np
import pytest

from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.training.layers.dropout import HashedDropout, HashedWeightDropout, rows_from  # noqa: E402

ONES = np.ones((40, 50, 60), np.float32)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.95])
def test_the_share_is_dropped_and_the_rest_scaled(rate: float) -> None:
    values = np.asarray(HashedDropout(rate, seed=3)(ONES, training=True))
    kept = values > 0
    assert kept.mean() == pytest.approx(1 - rate, abs=5e-3)  # a standard error is 1.4e-3 at a half
    np.testing.assert_allclose(values[kept], 1 / (1 - rate), rtol=1e-6)
    for axis in ((0, 1), (0, 2), (1, 2)):  # no row, step or unit is favoured
        assert np.ptp(kept.mean(axis=axis)) < 0.1


def test_values_are_dropped_independently_of_their_neighbours() -> None:
    kept = np.asarray(HashedDropout(0.5, seed=3)(ONES, training=True)).ravel() > 0
    for distance in (1, 2, 60, 3000):
        assert (kept[:-distance] == kept[distance:]).mean() == pytest.approx(0.5, abs=7e-3)


def test_every_call_and_every_seed_draws_anew() -> None:
    layer = HashedDropout(0.5, seed=3)
    one, two = (np.asarray(layer(ONES, training=True)) for _ in range(2))
    other = np.asarray(HashedDropout(0.5, seed=4)(ONES, training=True))
    again = np.asarray(HashedDropout(0.5, seed=3)(ONES, training=True))
    np.testing.assert_array_equal(one, again)
    assert (one == two).mean() == pytest.approx(0.5, abs=7e-3)
    assert (one == other).mean() == pytest.approx(0.5, abs=7e-3)


def test_locked_dropout_drops_a_unit_of_a_row_at_all_its_steps() -> None:
    values = np.asarray(HashedDropout(0.3, noise_shape=(None, 1, None), seed=3)(ONES, training=True))
    np.testing.assert_array_equal(values, np.broadcast_to(values[:, :1], values.shape))
    assert (values[:, 0] > 0).mean() == pytest.approx(0.7, abs=0.03)  # a standard error is 0.01


def test_what_does_not_train_drops_nothing() -> None:
    layer = HashedDropout(0.5)
    np.testing.assert_array_equal(np.asarray(layer(ONES)), ONES)
    np.testing.assert_array_equal(np.asarray(layer(ONES, training=False)), ONES)


def test_compiled_or_not_it_is_the_same() -> None:
    plain, compiled = (HashedDropout(0.3, seed=5) for _ in range(2))
    run = tf.function(lambda values: compiled(values, training=True), jit_compile=True)
    np.testing.assert_array_equal(np.asarray(run(ONES)) > 0, np.asarray(plain(ONES, training=True)) > 0)


def test_a_layer_comes_back_from_its_config() -> None:
    layer = keras.layers.deserialize(keras.layers.serialize(HashedDropout(0.3, seed=5)))
    assert (type(layer), layer.rate) == (HashedDropout, 0.3)


def test_rows_drop_what_they_drop_among_all_the_others() -> None:
    whole = np.asarray(HashedDropout(0.5, seed=3)(ONES, training=True))
    with rows_from(15):
        part = np.asarray(HashedDropout(0.5, seed=3)(ONES[15:22], training=True))
    np.testing.assert_array_equal(part, whole[15:22])
    assert not np.array_equal(part, whole[:7])


def test_weights_are_the_same_for_all_rows() -> None:
    whole = np.asarray(HashedWeightDropout(0.5, seed=3)(ONES, training=True))
    with rows_from(15):
        again = np.asarray(HashedWeightDropout(0.5, seed=3)(ONES, training=True))
    np.testing.assert_array_equal(again, whole)
