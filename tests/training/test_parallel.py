"""A batch trained in shards is a batch trained at once, and both are what Keras makes of it."""

import os

import numpy as np
import pytest

from chargen.config import NetworkConfig, TrainingConfig
from chargen.training.backend import load_backend

load_backend()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.training.model import build_model, compile_model  # noqa: E402
from chargen.training.parallel import ShardedModel, num_shards  # noqa: E402

K, B, T, V = 3, 4, 5, 7
CONFIG = NetworkConfig(cell="lstm", num_layers=2, hidden_size=6, embedding_size=3)
TRAINING = TrainingConfig(learning_rate=0.01, clip_norm=0.5)


def model(config: NetworkConfig = CONFIG, *, shards: int, stateful: bool = False) -> ShardedModel:
    keras.utils.set_random_seed(1)
    made = build_model(config, vocab_size=V, context_length=T, batch_size=B // shards if stateful else None)
    compile_model(made, TRAINING, shards=shards)
    return made


def data(seed: int = 0) -> tuple[tf.Tensor, ...]:
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 2, (K, B, T)).astype(np.float32)
    return tuple(map(tf.constant, (rng.integers(0, V, (K, B, T)), rng.integers(0, V, (K, B, T)), weights)))


def weights_of(model: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.trainable_variables]


@pytest.mark.parametrize("stateful", [False, True])
def test_shards_add_up_to_the_batch(stateful: bool) -> None:
    whole, halves = model(shards=1, stateful=stateful), model(shards=2, stateful=stateful)
    for seed in range(2):
        expected, found = whole.train_step(data(seed)), halves.train_step(data(seed))
        assert float(found["cross_entropy"]) == pytest.approx(float(expected["cross_entropy"]), abs=1e-5)
    for one, other in zip(weights_of(halves), weights_of(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    expected, found = whole.test_step(data(2)), halves.test_step(data(2))
    assert float(found["cross_entropy"]) == pytest.approx(float(expected["cross_entropy"]), abs=1e-4)


def test_a_step_is_the_step_that_keras_takes() -> None:
    """The same graph, trained by Keras's own train_step with its weighted mean of the loss."""
    sharded = model(shards=2)
    keras.utils.set_random_seed(1)
    built = build_model(CONFIG, vocab_size=V, context_length=T)
    stock = keras.Model(built.inputs, built.outputs)
    stock.compile(
        optimizer=keras.optimizers.Adam(TRAINING.learning_rate, global_clipnorm=TRAINING.clip_norm),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        jit_compile=False,
    )
    sharded.train_step(data())
    for ids, targets, weights in zip(*data(), strict=True):
        stock.train_on_batch(ids, targets, sample_weight=weights)
    for one, other in zip(weights_of(sharded), weights_of(stock), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_cross_entropy_is_the_mean_of_the_positions_that_weigh() -> None:
    sharded = model(shards=2)
    ids, targets, weights = data()
    logits = np.stack([np.asarray(sharded(rows)) for rows in ids])
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    losses = -np.take_along_axis(log_probabilities, targets.numpy()[..., None], axis=-1)[..., 0]
    expected = (losses * weights.numpy()).sum() / weights.numpy().sum()
    assert float(sharded.test_step((ids, targets, weights))["cross_entropy"]) == pytest.approx(expected, abs=1e-5)


def test_the_state_is_carried_within_a_shard_and_reset() -> None:
    sharded = model(shards=2, stateful=True)
    fresh = float(sharded.test_step(data())["cross_entropy"])
    sharded.reset_metrics()
    assert float(sharded.test_step(data())["cross_entropy"]) != pytest.approx(fresh, abs=1e-7)
    sharded.reset_metrics()
    sharded.reset_states()
    assert float(sharded.test_step(data())["cross_entropy"]) == pytest.approx(fresh, abs=1e-7)


def test_shards_drop_different_values() -> None:
    config = NetworkConfig(cell="simplernn", hidden_size=6, embedding_size=3, dropout=0.5)
    ids, targets, weights = (tf.concat([part[:, :1]] * B, axis=1) for part in data())  # all rows the same
    sharded = model(config, shards=B)
    losses = [float(loss) for loss, _ in sharded._shard_states.run(
        lambda states, *rows: sharded._compiled_gradients([one.value for one in sharded.trainable_variables], states, *rows),
        (ids[0], targets[0], tf.ones_like(weights[0])),
    )]  # fmt: skip
    assert len(set(losses)) == B


def test_as_many_shards_as_cores_where_that_divides_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)), raising=False)
    assert [num_shards(size) for size in (1, 2, 6, 7, 64)] == [1, 2, 3, 1, 4]


def test_the_state_goes_back_and_forth() -> None:
    """What is trained after a restored state is what was trained after it the first time."""
    config = NetworkConfig(cell="gru", num_layers=2, hidden_size=6, embedding_size=3, dropout=0.3)
    made = model(config, shards=2, stateful=True)
    made.train_step(data(1))
    kept = made.training_state()
    first = float(made.train_step(data(2))["cross_entropy"])
    after = weights_of(made)
    made.train_step(data(3))
    made.restore_training_state(kept)
    assert float(made.train_step(data(2))["cross_entropy"]) == first
    for one, other in zip(weights_of(made), after, strict=True):
        np.testing.assert_array_equal(one, other)
