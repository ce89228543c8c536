"""A batch trained in shards is a batch trained at once, and both are what Keras makes of it."""

import os
from dataclasses import replace

import numpy as np
import pytest

from chargen.corpus.windows import Batch
from chargen.native.layer import ENDED
from chargen.native.library import kernels_or_none
from chargen.scratch.initializers import initial_weights
from chargen.settings.schema import NetworkConfig, TrainingConfig
from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.training.engines import engine as engines  # noqa: E402
from chargen.training.engines import sharing  # noqa: E402
from chargen.training.engines.losses import FIGURES_OF_TEXT  # noqa: E402
from chargen.training.engines.sharing import Sharing, choose_sharing, num_shards  # noqa: E402
from chargen.training.engines.tensorflow_engine import TensorFlowEngine  # noqa: E402
from chargen.training.export import find_variable  # noqa: E402
from chargen.training.layers.recurrent import mark_ends  # noqa: E402
from chargen.training.model import build_model, make_optimizer  # noqa: E402

K, B, T, V = 3, 4, 5, 7
CONFIG = NetworkConfig(cell="lstm", num_layers=2, hidden_size=6, embedding_size=3)
TRAINING = TrainingConfig(learning_rate=0.01, clip_norm=0.5)


def initialized(config: NetworkConfig, *, batch_size: int | None = None) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = build_model(config, vocab_size=V, context_length=T, batch_size=batch_size)
    for name, weight in initial_weights(config, V, np.random.default_rng(1)).items():
        find_variable(model, name).assign(weight)
    return model


def engine(config: NetworkConfig = CONFIG, *, stateful: bool = False, **cores: int) -> TensorFlowEngine:
    shared = Sharing(**cores)
    model = initialized(config, batch_size=B // shared.shards if stateful else None)
    return TensorFlowEngine(model, make_optimizer(TRAINING), FIGURES_OF_TEXT, sharing=shared, largest=data())


def data(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 2, (K, B, T)).astype(np.float32)
    return Batch(rng.integers(0, V, (K, B, T)).astype(np.int32), rng.integers(0, V, (K, B, T)).astype(np.int32), weights)


def trained(engine: TensorFlowEngine, seed: int = 0) -> float:
    engine.train(data(seed))
    return engine.figures()["cross_entropy"]


def measured(engine: TensorFlowEngine, seed: int = 0) -> float:
    engine.reset_figures()
    engine.test(data(seed))
    return engine.figures()["cross_entropy"]


def weights_of(model: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.trainable_variables]


@pytest.mark.parametrize("stateful", [False, True])
def test_shards_add_up_to_the_batch(stateful: bool) -> None:
    whole, halves = engine(shards=1, stateful=stateful), engine(shards=2, stateful=stateful)
    for seed in range(2):
        assert trained(halves, seed) == pytest.approx(trained(whole, seed), abs=1e-5)
    for one, other in zip(weights_of(halves.model), weights_of(whole.model), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert measured(halves, 2) == pytest.approx(measured(whole, 2), abs=1e-4)


def test_a_step_is_the_step_that_keras_takes() -> None:
    """The same graph, trained by Keras's own train_step with its weighted mean of the loss."""
    sharded, stock = engine(shards=2), initialized(CONFIG)
    stock.compile(
        optimizer=keras.optimizers.Adam(TRAINING.learning_rate, global_clipnorm=TRAINING.clip_norm),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        jit_compile=False,
    )
    sharded.train(data())
    for ids, targets, weights in zip(*data(), strict=True):
        stock.train_on_batch(ids, targets, sample_weight=weights)
    for one, other in zip(weights_of(sharded.model), weights_of(stock), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_cross_entropy_is_the_mean_of_the_positions_that_weigh() -> None:
    sharded = engine(shards=2)
    ids, targets, weights = data()
    logits = np.stack([np.asarray(sharded.model(rows)) for rows in ids])
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    losses = -np.take_along_axis(log_probabilities, targets[..., None], axis=-1)[..., 0]
    assert measured(sharded) == pytest.approx((losses * weights).sum() / weights.sum(), abs=1e-5)


def test_the_state_is_carried_within_a_shard_and_reset() -> None:
    sharded = engine(shards=2, stateful=True)
    fresh = measured(sharded)
    assert measured(sharded) != pytest.approx(fresh, abs=1e-7)
    sharded.reset_states()
    assert measured(sharded) == pytest.approx(fresh, abs=1e-7)


def test_shards_drop_different_values() -> None:
    config = NetworkConfig(cell="simplernn", hidden_size=6, embedding_size=3, dropout=0.5)
    ids, targets, _ = (tf.repeat(part[0, :1], B, axis=0) for part in data())  # all rows the same
    sharded = engine(config, shards=B)
    values = [one.value for one in sharded.model.trainable_variables]
    results = sharded._run(
        lambda carried, *rows: sharded._compiled_gradients(values, carried, *rows), (ids, targets, tf.ones((B, T)))
    )
    assert len({float(figures[0]) for figures, _ in results}) == B


def test_as_many_shards_as_cores_where_that_divides_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)), raising=False)
    assert [num_shards(size) for size in (1, 2, 6, 7, 64)] == [1, 2, 3, 1, 4]


def test_the_state_goes_back_and_forth() -> None:
    """What is trained after a restored state is what was trained after it the first time."""
    config = NetworkConfig(cell="gru", num_layers=2, hidden_size=6, embedding_size=3, dropout=0.3)
    made = engine(config, shards=2, stateful=True)
    made.train(data(1))
    kept = made.state()
    first = trained(made, 2)
    after = weights_of(made.model)
    made.train(data(3))
    made.restore(kept)
    assert trained(made, 2) == first
    for one, other in zip(weights_of(made.model), after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_state_is_taken_over_by_another_number_of_shards() -> None:
    """Another machine may have more cores; without dropout it trains on as if it had been there from the beginning."""
    two, four = engine(shards=2, stateful=True), engine(shards=4, stateful=True)
    two.train(data(1))
    four.restore(two.state())
    assert trained(four, 2) == pytest.approx(trained(two, 2), abs=1e-5)


def test_one_shard_takes_executions_of_any_length() -> None:
    """They are filled up with batches in which nothing weighs, and which are not taken."""
    at_once, by_one = engine(shards=1), engine(shards=1)
    at_once.train(data())
    for number in range(K):
        by_one.train(Batch(*(part[number : number + 1] for part in data())))
    assert at_once.optimizer.iterations.numpy() == by_one.optimizer.iterations.numpy() == K
    assert by_one.figures() == at_once.figures()
    for one, other in zip(weights_of(at_once.model), weights_of(by_one.model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_steps_after_the_end_of_a_row_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    if kernels_or_none("float32") is None:
        pytest.skip("there are no kernels here")
    config = replace(CONFIG, num_layers=1)
    marking, whole = engine(config, shards=2), engine(config, shards=2)
    marked: list[None] = []
    monkeypatch.setattr(engines, "mark_ends", lambda *given: marked.append(None) or mark_ends(*given))
    assert not engine(config, shards=2, stateful=True)._marks_ends
    whole._marks_ends = False
    ids, targets, weights = data()
    for number, length in enumerate((0, 1, 4, 5)):
        weights[:, number] = np.arange(T) < length
    for one, marks in ((whole, False), (marking, True)):
        one.train(Batch(ids, targets, weights))
        assert bool(marked) == marks
    assert marking.figures() == pytest.approx(whole.figures(), abs=1e-6)
    for own, other in zip(weights_of(marking.model), weights_of(whole.model), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)


def test_a_row_ends_after_its_last_position_with_a_weight() -> None:
    marked = mark_ends(tf.constant([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), tf.constant([[0, 1, 0], [0, 0, 0], [1, 1, 0.5]]))
    assert marked.numpy().tolist() == [[1, 2, ENDED], [ENDED, ENDED, ENDED], [7, 8, 9]]


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "num_cores", lambda: 2)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("on_kernels", [False, True])
def test_a_small_step_is_not_shared(on_kernels: bool) -> None:
    assert choose_sharing(NetworkConfig(hidden_size=8), 4, 5, on_kernels=on_kernels) == Sharing()


@pytest.mark.usefixtures("two_cores")
def test_the_rows_are_shared_within_the_kernels_and_otherwise_as_shards() -> None:
    large = NetworkConfig(hidden_size=512)
    assert choose_sharing(large, 64, 50, on_kernels=True) == Sharing(threads=2)
    assert choose_sharing(large, 64, 50, on_kernels=False) == Sharing(shards=2)
    assert choose_sharing(replace(large, embedding_norm="batch"), 64, 50, on_kernels=False) == Sharing()


@pytest.mark.usefixtures("two_cores")
def test_the_units_of_large_layers_are_shared_where_rows_are_few() -> None:
    large = NetworkConfig(hidden_size=512)
    assert choose_sharing(large, 37, 50, on_kernels=True) == Sharing(together=2)
    assert choose_sharing(large, 38, 50, on_kernels=True) == Sharing(threads=2)
    assert choose_sharing(replace(large, num_layers=2), 50, 50, on_kernels=True) == Sharing(together=2)
    assert choose_sharing(replace(large, hidden_size=383), 4, 50, on_kernels=True) == Sharing(threads=2)
    assert choose_sharing(large, 4, 500, on_kernels=False) == Sharing(shards=2)


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("cores", [{"threads": 3}, {"together": 2}], ids=str)
def test_threads_take_the_steps_of_one(cores: dict[str, int], stateful: bool) -> None:
    wide = replace(CONFIG, hidden_size=40)  # two blocks of units
    one, several = engine(wide, stateful=stateful), engine(wide, stateful=stateful, **cores)
    for seed in range(2):
        assert trained(several, seed) == pytest.approx(trained(one, seed), abs=1e-5)
    for own, other in zip(weights_of(several.model), weights_of(one.model), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-4)
    assert measured(several, 2) == pytest.approx(measured(one, 2), abs=1e-4)
