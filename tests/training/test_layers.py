"""The fused layers are the Keras layers: same weights, same config, same results and gradients."""

from typing import Any

import numpy as np
import pytest

from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

from chargen.native.library import kernels_or_none  # noqa: E402
from chargen.training.engines.losses import summed_cross_entropy  # noqa: E402
from chargen.training.layers import recurrent  # noqa: E402
from chargen.training.layers.dense import NativeDense  # noqa: E402
from chargen.training.layers.dropout import HashedDropout, hash_masks  # noqa: E402
from chargen.training.layers.loops import look_up  # noqa: E402
from chargen.training.layers.multiplicative import MultiplicativeLSTM  # noqa: E402
from chargen.training.layers.native import why_no_kernels  # noqa: E402
from chargen.training.layers.recurrent import (  # noqa: E402
    FusedGRU,
    FusedLSTM,
    FusedMultiplicativeLSTM,
    FusedSimpleRNN,
    TokenRecurrent,
)

B, T, D, H, V = 2, 3, 4, 5, 7
PAIRS = [
    (layers.SimpleRNN, FusedSimpleRNN),
    (layers.LSTM, FusedLSTM),
    (layers.GRU, FusedGRU),
    (MultiplicativeLSTM, FusedMultiplicativeLSTM),
]
TOLERANCE = 1e-5


def random(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32))


def twins(pair: tuple[type, type], *, weight_drop: Any = None, **options: Any) -> tuple[layers.RNN, layers.RNN]:
    """Return a Keras layer and a fused one with the same random weights."""
    stock, fused = (kind(H, **options) for kind in pair)
    fused.weight_drop = weight_drop
    for layer in (stock, fused):
        layer.build((B, T, D))
    stock.set_weights([0.5 * random(*weight.shape, seed=1).numpy() for weight in stock.get_weights()])
    fused.set_weights(stock.get_weights())
    return stock, fused


def outputs_and_gradients(layer: layers.RNN, *, compiled: bool = False, **arguments: Any) -> list[np.ndarray]:
    inputs, states = random(B, T, D), [random(B, H, seed=2 + number) for number, _ in enumerate(layer.state_size)]

    @tf.function(jit_compile=compiled)
    def run(inputs: tf.Tensor, states: list[tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([inputs, *states])
            outputs = keras.tree.flatten(layer(inputs, initial_state=states, **arguments))
            loss = tf.add_n([tf.reduce_sum(tf.sin(output) * (1 + number)) for number, output in enumerate(outputs)])
        weights = [variable.value for variable in layer.trainable_variables]
        return [*outputs, *tape.gradient(loss, [inputs, *states, *weights])]

    return [array.numpy() for array in run(inputs, states)]


def assert_all_close(given: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(given, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE, rtol=TOLERANCE)


RELU = {"activation": "relu"}


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "xla"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
@pytest.mark.parametrize(("pair", "options"), [*((pair, {}) for pair in PAIRS), (PAIRS[0], RELU)])
def test_outputs_states_and_gradients_are_those_of_keras(
    pair: tuple[type, type], options: dict[str, Any], sequences: bool, compiled: bool
) -> None:
    stock, fused = twins(pair, return_sequences=sequences, return_state=True, **options)
    assert fused.fusable
    assert_all_close(outputs_and_gradients(fused, compiled=compiled), outputs_and_gradients(stock))


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrent, "native_run", lambda products: None)


@pytest.mark.usefixtures("without_kernels")
@pytest.mark.parametrize(("pair", "options"), [*((pair, {}) for pair in PAIRS), (PAIRS[0], RELU)])
def test_the_loops_do_what_keras_does(pair: tuple[type, type], options: dict[str, Any]) -> None:
    stock, fused = twins(pair, return_sequences=True, return_state=True, **options)
    assert_all_close(outputs_and_gradients(fused, compiled=True), outputs_and_gradients(stock))


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "no kernels"])
@pytest.mark.parametrize(("pair", "options"), [*((pair, {}) for pair in PAIRS), (PAIRS[0], RELU)])
def test_recurrent_dropout_is_that_of_keras(
    pair: tuple[type, type], options: dict[str, Any], kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same masks, of which an LSTM of Keras has one for each gate."""
    if not kernels:
        monkeypatch.setattr(recurrent, "native_run", lambda products: None)
    dropped = {"recurrent_dropout": 0.5, "seed": 3}
    stock, fused = twins(pair, return_sequences=True, return_state=True, **dropped, **options)
    hash_masks(stock.cell)
    expected = outputs_and_gradients(stock, training=True)
    assert_all_close(outputs_and_gradients(fused, compiled=True, training=True), expected)
    whole = outputs_and_gradients(stock)
    assert_all_close(outputs_and_gradients(fused, compiled=True), whole)
    assert np.abs(whole[0] - expected[0]).max() > 0.1


@pytest.mark.skipif(kernels_or_none() is None, reason="there are no kernels for this machine")
def test_the_kernels_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("the loops were used")

    assert why_no_kernels("float32") is None
    for name in ("run_lstm", "run_multiplicative_lstm", "run_gru", "run_simple_rnn"):
        monkeypatch.setattr(recurrent, name, refuse)
    for pair in PAIRS:
        outputs_and_gradients(twins(pair, return_sequences=True)[1], compiled=True)
    monkeypatch.setattr(layers.RNN, "inner_loop", refuse)
    for pair in (PAIRS[0], PAIRS[1], PAIRS[3]):
        dropping = twins(pair, return_sequences=True, recurrent_dropout=0.5)[1]
        outputs_and_gradients(dropping, compiled=True, training=True)


@pytest.mark.skipif(why_no_kernels("bfloat16") is not None, reason="the processor has no bfloat16")
@pytest.mark.parametrize("pair", PAIRS)
def test_products_of_bfloat16_are_near_those_of_float32(pair: tuple[type, type]) -> None:
    _, fused = twins(pair, return_sequences=True)
    exact = outputs_and_gradients(fused, compiled=True)
    fused.products = "bfloat16"
    rounded = outputs_and_gradients(fused, compiled=True)
    for one, other in zip(rounded, exact, strict=True):
        assert 0 < np.linalg.norm(one - other) < 0.03 * np.linalg.norm(other)


@pytest.mark.parametrize("shape", [(B, T, D), (B, D), (40, 33, 70)], ids=str)
@pytest.mark.parametrize("products", ["float32", "bfloat16"])
def test_an_output_layer_and_its_loss_are_those_of_keras(shape: tuple[int, ...], products: Any) -> None:
    if why_no_kernels(products) is not None:
        pytest.skip("there are no such kernels for this machine")
    stock, native = layers.Dense(V), NativeDense(V)
    native.products, native.threads = products, 2
    for layer in (stock, native):
        layer.build(shape)
        layer.set_weights([random(shape[-1], V).numpy(), random(V).numpy()])
    rng = np.random.default_rng(1)
    targets = tf.constant(rng.integers(0, V, shape[:-1]), tf.int32)
    weights = tf.constant(rng.integers(0, 3, shape[:-1]), tf.float32)

    def results(layer: layers.Dense, loss_of: Any) -> list[np.ndarray]:
        @tf.function(jit_compile=True)
        def run(inputs: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                loss = 3 * loss_of(inputs)
            return [loss, *tape.gradient(loss, [inputs, *[one.value for one in layer.trainable_variables]])]

        return [one.numpy() for one in run(random(*shape))]

    found = results(native, lambda inputs: native.sum_cross_entropies(inputs, targets, weights, training=True))
    expected = results(stock, lambda inputs: summed_cross_entropy(stock(inputs), targets, weights))
    for one, other in zip(found, expected, strict=True):
        assert np.linalg.norm(one - other) < (1e-5 if products == "float32" else 4e-2) * np.linalg.norm(other)


def test_a_loss_that_is_not_finite_is_not_hidden() -> None:
    logits = tf.constant([[0.0, np.nan, 1.0], [0.0, 1.0, 2.0]])
    assert np.isnan(summed_cross_entropy(logits, tf.constant([0, 1]), tf.ones(2)))


@pytest.mark.parametrize("pair", PAIRS)
def test_a_mask_is_left_to_keras(pair: tuple[type, type]) -> None:
    mask = tf.constant([[True, True, False], [True, False, True]])
    stock, fused = twins(pair, return_sequences=True)
    assert_all_close(outputs_and_gradients(fused, mask=mask), outputs_and_gradients(stock, mask=mask))


@pytest.mark.parametrize(
    ("pair", "options"),
    [
        (PAIRS[0], {"activation": "selu"}),
        (PAIRS[1], RELU),
        (PAIRS[1], {"recurrent_activation": "hard_sigmoid"}),
        (PAIRS[1], {"use_bias": False}),
        (PAIRS[1], {"go_backwards": True}),
        (PAIRS[2], {"reset_after": False}),
        (PAIRS[2], {"recurrent_dropout": 0.5}),
    ],
)
def test_other_settings_are_left_to_keras(pair: tuple[type, type], options: dict[str, Any]) -> None:
    stock, fused = twins(pair, return_sequences=True, **options)
    assert not fused.fusable
    assert_all_close(outputs_and_gradients(fused), outputs_and_gradients(stock))


@pytest.mark.parametrize("pair", PAIRS)
def test_the_state_is_carried_and_reset_as_in_keras(pair: tuple[type, type]) -> None:
    stock, fused = twins(pair, return_sequences=True, stateful=True)
    for seed in range(2):
        np.testing.assert_allclose(fused(random(B, T, D, seed=seed)), stock(random(B, T, D, seed=seed)), atol=TOLERANCE)
    for layer in (stock, fused):
        layer.reset_states()
    np.testing.assert_allclose(fused(random(B, T, D)), stock(random(B, T, D)), atol=TOLERANCE)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_config_goes_back_and_forth(pair: tuple[type, type]) -> None:
    _, fused = twins(pair, return_sequences=True, name="fused")
    copy = type(fused).from_config(fused.get_config())
    assert copy.get_config() == fused.get_config()


@pytest.mark.parametrize("embedded", [True, False], ids=["embedding", "one-hot"])
@pytest.mark.parametrize("pair", PAIRS)
def test_reading_tokens_from_a_table_is_embedding_and_projecting_them(pair: tuple[type, type], embedded: bool) -> None:
    stock, fused = (kind(H, return_sequences=True) for kind in pair)
    ids = tf.constant([[0, 3, 6], [1, 1, 5]])
    embedding = layers.Embedding(V, D) if embedded else None
    tokens = TokenRecurrent(fused, vocab_size=V, embedding=embedding)
    tokens.build((None, T))
    stock.build((B, T, D if embedded else V))
    for weight in tokens.trainable_variables:
        weight.assign(random(*weight.shape, seed=1))
    stock.set_weights(fused.get_weights())

    def gradients(run: Any) -> list[np.ndarray]:
        weights = [embedding.embeddings] if embedded else []
        with tf.GradientTape() as tape:
            outputs, own = run()
            loss = tf.reduce_sum(tf.sin(outputs))
        found = tape.gradient(loss, [weight.value for weight in weights + own])
        return [outputs.numpy(), *[tf.convert_to_tensor(one).numpy() for one in found]]

    vectors = embedding if embedded else lambda ids: tf.one_hot(ids, V)
    assert_all_close(
        gradients(lambda: (tokens(ids), fused.trainable_variables)),
        gradients(lambda: (stock(vectors(ids)), stock.trainable_variables)),
    )


@pytest.mark.parametrize("vocab_size", [V, 600], ids=["matrix product", "scatter"])
def test_the_gradient_of_a_table_adds_up_what_its_rows_get(vocab_size: int) -> None:
    table, ids, upstream = random(vocab_size, D), tf.constant([[0, 3, 6], [3, 3, 5]]), random(2, 3, D)
    with tf.GradientTape() as tape:
        tape.watch(table)
        rows = look_up(table, ids)
    expected = np.zeros((vocab_size, D), np.float32)
    np.add.at(expected, ids.numpy(), upstream.numpy())
    found = tf.convert_to_tensor(tape.gradient(rows, table, upstream))
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "xla"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].__name__)
def test_weight_drop_is_the_keras_layer_with_a_part_of_its_kernel(pair: tuple[type, type], compiled: bool) -> None:
    stock, fused = twins(pair, weight_drop=HashedDropout(0.4, seed=3), return_sequences=True, return_state=True)
    kernel = stock.cell.recurrent_kernel.numpy()
    mask = np.asarray(HashedDropout(0.4, seed=3)(np.ones_like(kernel), training=True))
    assert 0 < (mask > 0).mean() < 1
    stock.cell.recurrent_kernel.assign(kernel * mask)
    dropped = outputs_and_gradients(fused, compiled=compiled, training=True)
    expected = outputs_and_gradients(stock, compiled=compiled)
    gradients = {variable.path.split("/")[-1]: number for number, variable in enumerate(reversed(stock.trainable_variables), 1)}
    expected[-gradients["recurrent_kernel"]] *= mask
    assert_all_close(dropped, expected)
    stock.cell.recurrent_kernel.assign(kernel)
    assert_all_close(outputs_and_gradients(fused, compiled=compiled), outputs_and_gradients(stock, compiled=compiled))
