"""The Keras model: token ids in, logits out."""

import keras
from keras import layers, ops

from chargen.config import NetworkConfig, TrainingConfig


@keras.saving.register_keras_serializable(package="chargen")
class OneHot(layers.Layer):
    """Turn ids, (B, T), into one-hot vectors, (B, T, V), made anew for each batch."""

    def __init__(self, vocab_size: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size

    def call(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        """Return float32 vectors with a 1 at each id's place."""
        return ops.one_hot(ids, self.vocab_size, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, object]:
        """Return what the layer is rebuilt from."""
        return super().get_config() | {"vocab_size": self.vocab_size}


def build_model(network: NetworkConfig, *, vocab_size: int, context_length: int, batch_size: int | None = None) -> keras.Model:
    """Build the network that `chargen.network.Network` computes in NumPy, with layers named as `weight_shapes` names them.

    Inputs are ids of shape (B, T), outputs logits of shape (B, T, V), or (B, V) with targets "last". With a
    `batch_size` the model is stateful and bound to it.
    """
    stateful = batch_size is not None
    ids = keras.Input((context_length,), batch_size=batch_size, dtype="int32", name="ids")
    if network.embedding_size:
        values = layers.Embedding(vocab_size, network.embedding_size, name="embedding")(ids)  # (B, T, E)
    else:
        values = OneHot(vocab_size, name="one_hot")(ids)  # (B, T, V)
    for layer in range(network.num_layers):
        every_step = network.targets == "all" or layer < network.num_layers - 1
        values = _dropped(values, network.dropout)
        values = _recurrent_layer(network, layer, return_sequences=every_step, stateful=stateful)(values)
    values = _dropped(values, network.dropout)
    if network.dense_size:
        values = _head(layers.Dense(network.dense_size, activation="relu"), network, name="dense")(values)
    return keras.Model(ids, _head(layers.Dense(vocab_size), network, name="output")(values), name="chargen")


def _recurrent_layer(network: NetworkConfig, layer: int, *, return_sequences: bool, stateful: bool) -> layers.Layer:
    kinds = {"simplernn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}
    options = {
        "lstm": {"unit_forget_bias": network.unit_forget_bias},
        "gru": {"reset_after": network.reset_after},
    }
    return kinds[network.cell](
        network.hidden_size,
        return_sequences=return_sequences,
        stateful=stateful,
        recurrent_dropout=network.recurrent_dropout,
        name=f"recurrent.{layer}",
        **options.get(network.cell, {}),
    )


def _head(dense: layers.Layer, network: NetworkConfig, *, name: str) -> layers.Layer:
    """Apply a Dense layer at every position, or at the last one only."""
    if network.targets == "last":
        dense.name = name
        return dense
    return layers.TimeDistributed(dense, name=name)


def _dropped(values: keras.KerasTensor, rate: float) -> keras.KerasTensor:
    return layers.Dropout(rate)(values) if rate else values


def compile_model(model: keras.Model, training: TrainingConfig) -> None:
    """Give a model its optimizer and loss.

    The loss is the mean cross-entropy in nats of the positions that weigh; the metric of the same name is exact over a whole
    epoch, however the weights fall on its batches.
    """
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    model.compile(
        optimizer=kinds[training.optimizer](training.learning_rate, global_clipnorm=training.clip_norm or None),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=[keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="cross_entropy")],
        jit_compile=False,
    )
