"""Build the Keras model: token ids in, logits out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import layers, ops

from chargen.errors import ConfigError
from chargen.native.library import Products, bfloat16_speed
from chargen.settings.schema import NetworkConfig, TrainingConfig
from chargen.training.devices.backend import accelerated
from chargen.training.engines.muon import Muon
from chargen.training.layers.dense import NativeDense
from chargen.training.layers.dense_recurrent import DenseRecurrent
from chargen.training.layers.dropout import HashedDropout, HashedWeightDropout
from chargen.training.layers.native import why_no_kernels
from chargen.training.layers.recurrent import (
    FusedGRU,
    FusedLSTM,
    FusedMultiplicativeLSTM,
    FusedRecurrent,
    FusedSimpleRNN,
    TokenRecurrent,
)
from chargen.training.schedules import scheduled_learning_rate

Recurrent = FusedRecurrent | DenseRecurrent

TABLE_MAX_TOKENS = 2048  # a batch has about as many positions: projecting the embedding of every token would be more work


@keras.saving.register_keras_serializable(package="chargen")
class OneHot(layers.Layer):
    """Turn ids, (B, T), into one-hot vectors, (B, T, V)."""

    def __init__(self, vocab_size: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size

    def call(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        """Return vectors with a 1 at the index of each id."""
        return ops.one_hot(ids, self.vocab_size, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, object]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"vocab_size": self.vocab_size}


def build_model(
    network: NetworkConfig,
    *,
    vocab_size: int,
    context_length: int,
    batch_size: int | None = None,
    precision: str = "float32",
) -> keras.Model:
    """Build the network that `chargen.network.Network` computes in NumPy, layers named as in `weight_shapes`, but "_" for ".".

    Inputs are ids of shape (B, T), outputs float32 logits of shape (B, T, V), or (B, V) with targets "last". With a
    `batch_size` the model is stateful and bound to it. `precision` is one of the settings'. Set the weights afterwards
    (`chargen.scratch.initializers`): each backend draws other ones.
    """
    policy, products = computing_in(precision)
    with dtype_policy(policy):
        ids, values = recurrent_stack(network, vocab_size, context_length, batch_size, products=products)
        output = NativeDense(vocab_size, name="output")
        output.products = products
        return keras.Model(ids, ops.cast(output(values), "float32"), name="chargen")


def computing_in(precision: str) -> tuple[str, Products]:
    """Return Keras's dtype policy for a precision of the settings, and what layers round the operands of products to.

    mixed_bfloat16 is that of the kernels on a CPU which has them: everything but the products is faster in float32 there.
    Raises ConfigError for bfloat16_products where there are no kernels for it.
    """
    if not precision.endswith("bfloat16") and precision != "bfloat16_products":
        return precision, "float32"
    lacking = "this is a GPU" if accelerated() else why_no_kernels("bfloat16")
    if lacking is None:
        return "float32", "bfloat16"
    if precision == "bfloat16_products":
        raise ConfigError(
            f"training.precision is bfloat16_products, which is for the C kernels of a CPU: {lacking}",
            hint="give --precision float32",
        )
    return precision, "float32"


def runs_on_kernels(network: NetworkConfig, precision: str) -> bool:
    """Tell whether the kernels run a network's recurrent layers on this device. Raises ConfigError as `computing_in` does."""
    policy, products = computing_in(precision)
    plain = network.cell != "dense" and not (network.cell == "gru" and network.recurrent_dropout) and policy == "float32"
    return plain and not accelerated() and why_no_kernels(products) is None


def describe_computing(precision: str) -> tuple[list[str], list[str]]:
    """Say what a precision means on this device, and what recurrent layers run on. Raises ConfigError as `computing_in` does.

    The second list is for who asks for more.
    """
    policy, products = computing_in(precision)
    if accelerated():
        return [], []
    lines = []
    speed = bfloat16_speed()
    if products == "bfloat16":
        faster = ", and is faster on this processor" if speed and speed < 1 else ""
        advice = f"--precision float32 rounds nothing{faster}"
        lines.append(f"{precision} on a CPU rounds what layers multiply; the rest is float32 ({advice})")
    elif policy != "float32":
        lines.append(f"{precision} is for GPUs: on a CPU the float32 layers are faster")
    lacking = why_no_kernels(products)
    details = [f"recurrent layers run without the C kernels: {lacking}" if lacking else "recurrent layers are C kernels"]
    if products == "float32" and speed:
        details.append(f"this processor multiplies bfloat16 numbers {speed:.1f} times as fast as float32 numbers (--precision)")
    return lines, details


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Set the dtype policy of the Keras layers that are made within."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def recurrent_stack(
    network: NetworkConfig,
    vocab_size: int,
    context_length: int,
    batch_size: int | None,
    *,
    products: Products = "float32",
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the ids, (B, T), and the outputs of the layers before the last: (B, T, H), or (B, H) with targets "last"."""
    ids = keras.Input((context_length,), batch_size=batch_size, dtype="int32", name="ids")
    values = ids
    for layer in range(network.num_layers):
        every_step = network.targets == "all" or layer < network.num_layers - 1
        recurrent = _recurrent_layer(network, layer, return_sequences=every_step, stateful=batch_size is not None)
        if isinstance(recurrent, FusedRecurrent):
            recurrent.products = products
        values = _read_tokens(network, ids, recurrent, vocab_size) if layer == 0 else recurrent(values)
        if network.layer_norm and layer < network.num_layers - 1:
            values = layers.LayerNormalization(name=f"norm_{layer}")(values)
        values = _dropped(values, network.dropout, locked=network.locked_dropout and every_step)
    if network.dense_size:
        values = layers.Dense(network.dense_size, activation="relu", name="dense")(values)  # at each position
        values = _dropped(values, network.dropout, locked=network.locked_dropout and network.targets == "all")
    return ids, values


def _read_tokens(network: NetworkConfig, ids: keras.KerasTensor, recurrent: Recurrent, vocab_size: int) -> keras.KerasTensor:
    """Apply the embedding and the first recurrent layer to ids, (B, T)."""
    embedding = layers.Embedding(vocab_size, network.embedding_size, name="embedding") if network.embedding_size else None
    plain = network.embedding_norm == "none" and not network.input_dropout and (not embedding or vocab_size <= TABLE_MAX_TOKENS)
    if plain and isinstance(recurrent, FusedRecurrent) and recurrent.fusable:
        return TokenRecurrent(recurrent, vocab_size=vocab_size, embedding=embedding, name="tokens")(ids)
    vectors = (embedding or OneHot(vocab_size, name="one_hot"))(ids)  # (B, T, E) or (B, T, V)
    if network.embedding_norm == "batch":
        vectors = layers.BatchNormalization(name="embedding_norm")(vectors)
    return recurrent(_dropped(vectors, network.input_dropout, locked=network.locked_dropout))


def _recurrent_layer(network: NetworkConfig, layer: int, *, return_sequences: bool, stateful: bool) -> Recurrent:
    name = f"recurrent_{layer}"
    if network.cell == "dense":
        return DenseRecurrent(network.hidden_size, network.activation, return_sequences=return_sequences, name=name)
    kinds = {"simplernn": FusedSimpleRNN, "lstm": FusedLSTM, "mlstm": FusedMultiplicativeLSTM, "gru": FusedGRU}
    options: dict[str, dict[str, object]] = {
        "simplernn": {"activation": network.activation},
        "gru": {"reset_after": network.reset_after},
    }
    layer_of_cell = kinds[network.cell](
        network.hidden_size,
        return_sequences=return_sequences,
        stateful=stateful,
        recurrent_initializer="zeros",
        recurrent_dropout=network.recurrent_dropout,
        name=name,
        **options.get(network.cell, {}),
    )
    layer_of_cell.weight_drop = HashedWeightDropout(network.weight_drop) if network.weight_drop else None
    return layer_of_cell


def _dropped(values: keras.KerasTensor, rate: float, *, locked: bool) -> keras.KerasTensor:
    """Apply dropout to (B, T, D) or (B, D) values; if locked, drop the same units of a row at all its steps."""
    return HashedDropout(rate, noise_shape=(None, 1, None) if locked else None)(values) if rate else values


class PlannedRate(keras.optimizers.schedules.LearningRateSchedule):
    """The configured learning rate, for Keras's optimizers."""

    def __init__(self, training: TrainingConfig, steps_per_epoch: int) -> None:
        self.training, self.steps_per_epoch = training, steps_per_epoch

    def __call__(self, step: Any) -> Any:
        """Return the rate of an optimizer step."""
        return scheduled_learning_rate(ops.cast(step, "float32"), self.training, steps_per_epoch=self.steps_per_epoch, xp=ops)


def make_optimizer(training: TrainingConfig, *, steps_per_epoch: int = 1) -> keras.optimizers.Optimizer:
    """Return the configured optimizer, with gradient clipping and the schedule of the learning rate.

    For float16 it scales the loss, and skips steps whose gradients overflow.
    """
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "muon": Muon,
        "rmsprop": keras.optimizers.RMSprop,
        "adagrad": keras.optimizers.Adagrad,
        "sgd": keras.optimizers.SGD,
    }
    rate = PlannedRate(training, steps_per_epoch) if training.rate_is_scheduled else training.learning_rate
    clipping = {"global_clipnorm": training.clip_norm or None, "clipvalue": training.clip_value or None}
    decaying = {"beta_2": training.beta_2, "weight_decay": training.weight_decay}
    own: dict[str, dict[str, Any]] = {
        "adam": {"beta_2": training.beta_2},
        "adamw": decaying,
        "muon": decaying | {"products": computing_in(training.precision)[1]},
    }
    optimizer = kinds[training.optimizer](rate, **clipping, **own.get(training.optimizer, {}))
    if training.precision != "mixed_float16":
        return optimizer
    # An engine's loss is a sum over positions, already thousands of times as large as a mean.
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
