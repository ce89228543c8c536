from collections.abc import Callable

import numpy as np
import pytest

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.network.model_file import TextModel, num_class_outputs
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig
from chargen.writing.classifier import TextClassifier

NEVER = -60.0  # a logit whose probability adds nothing in float64's sums


def zero_weights(config: NetworkConfig, vocab_size: int, num_outputs: int | None = None) -> dict[str, np.ndarray]:
    shapes = weight_shapes(config, vocab_size, num_outputs=num_outputs)
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def two_dice() -> Callable[..., TextModel]:
    """A model by hand of the labels x and y: whatever came before, (end, a, b) are (2, 5, 3) tenths after x, (1, 3, 6) after y.

    A unit for each label goes to 1 when its token is read, and stays there.
    """

    def make(*, ends: bool = True, primer: int = 1) -> TextModel:
        vocabulary = CharacterVocabulary("ab", ["x", "y"])
        config = NetworkConfig(cell="simplernn", hidden_size=2, embedding_size=0)
        weights = zero_weights(config, len(vocabulary))
        weights["recurrent.0.kernel"][[3, 4], [0, 1]] = 30
        weights["recurrent.0.recurrent_kernel"][[0, 1], [0, 1]] = 30
        weights["output.kernel"][:] = np.log([[0.2, 0.5, 0.3, 1, 1], [0.1, 0.3, 0.6, 1, 1]])
        weights["output.bias"][3:] = NEVER
        return TextModel(
            network=Network(config, len(vocabulary), weights),
            vocabulary=vocabulary,
            reading="line",
            context_length=4,
            primer=(0,) * primer,
            ends=ends,
        )

    return make


@pytest.fixture
def has_an_a() -> Callable[..., TextClassifier]:
    """A classifier by hand that looks for an a among the last 3 characters: its unit is then 1 at the end, else 0.

    Of two labels the second has logit 2 with an a and -1 without. Of three the logits are (0, 1, 2), and (3, 1, 2).
    """

    def make(labels: tuple[str, ...] = ("no", "yes")) -> TextClassifier:
        vocabulary = CharacterVocabulary("ab")
        config = NetworkConfig(cell="simplernn", hidden_size=1, embedding_size=0, targets="last")
        weights = zero_weights(config, len(vocabulary), num_class_outputs(len(labels)))
        weights["recurrent.0.kernel"][1] = 30
        weights["recurrent.0.recurrent_kernel"][:] = 30
        weights["output.kernel"][0] = 3 if len(labels) == 2 else [-3, 0, 0]
        weights["output.bias"][:] = -1 if len(labels) == 2 else [3, 1, 2]
        network = Network(config, len(vocabulary), weights)
        return TextClassifier(network=network, vocabulary=vocabulary, labels=labels, context_length=3)

    return make
