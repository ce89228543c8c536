"""Build Keras models of chargen's settings."""

from collections.abc import Mapping
from typing import Any, Unpack

import keras

from chargen.errors import ConfigError
from chargen.keras.layers import GRU, LSTM, MultiplicativeLSTM, SimpleRNN
from chargen.keras.vocabularies import AnyVocabulary, as_vocabulary
from chargen.settings.keywords import NetworkKeywords
from chargen.settings.layers import check_value, keyword_layer, resolve
from chargen.settings.schema import NetworkConfig, Setting
from chargen.training.stock_keras import stock_model

FAST_LAYERS: Mapping[str, type[keras.layers.RNN]] = {
    "simplernn": SimpleRNN,
    "lstm": LSTM,
    "mlstm": MultiplicativeLSTM,
    "gru": GRU,
}


def build(
    vocabulary: AnyVocabulary | int,
    *,
    context_length: int | None = None,
    batch_size: int | None = None,
    softmax: bool = False,
    time_distributed: bool = False,
    **settings: Unpack[NetworkKeywords],
) -> keras.Model:
    """Build a Keras model, not compiled, of the network settings of `chargen train`, with chargen's layers.

    vocabulary: that of the text, or the number of tokens. Inputs are int32 ids, (B, T), of any length T unless context_length
    gives it. Outputs are float32 logits, or probabilities with softmax=True: (B, T, V), or (B, V) with targets="last"; so the
    loss is SparseCategoricalCrossentropy(from_logits=True), or sparse_categorical_crossentropy. With a batch_size the layers
    are stateful. time_distributed=True puts TimeDistributed around the Dense layers, as older programs do; the results are the
    same. Raises ConfigError for settings that are unknown, out of range or exclude each other.

    >>> model = build(60, cell="gru", hidden_size=32, layers=2, embedding=16)
    >>> [type(layer).__name__ for layer in model.layers]
    ['InputLayer', 'Embedding', 'GRU', 'GRU', 'Dense']
    >>> model.output_shape
    (None, None, 60)
    """
    vocab_size = vocabulary if isinstance(vocabulary, int) else len(as_vocabulary(vocabulary))
    for name, value in (("vocabulary", vocab_size), ("context_length", context_length), ("batch_size", batch_size)):
        if value is not None:
            check_value(name, value, int, Setting(help="", minimum=1))
    network = _network(settings)
    if network.weight_drop:
        raise ConfigError("weight_drop is not for build: Keras's layers do not drop recurrent weights", hint="give dropout")
    if network.cell == "dense" and context_length is None:
        raise ConfigError("cell 'dense' has a layer for each position", hint="give context_length")
    return stock_model(
        network,
        vocab_size,
        kinds=FAST_LAYERS,
        context_length=context_length,
        batch_size=batch_size,
        softmax=softmax,
        time_distributed=time_distributed,
    )


def _network(settings: Mapping[str, Any]) -> NetworkConfig:
    """Return the network of some keywords. Raises ConfigError for one of another section."""
    layer, sections = keyword_layer([], settings)
    others = [f"{section}.{name}" for section, values in sections.items() if section != "network" for name in values]
    if others:
        raise ConfigError(
            f"{others[0]} is not a setting of the network", hint=f"known: {', '.join(NetworkKeywords.__annotations__)}"
        )
    return resolve((layer, sections)).settings.network
