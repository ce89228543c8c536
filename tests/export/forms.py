"""Models of every form that can be trained, to compare the exports with the NumPy network."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary, Vocabulary
from chargen.corpus.windows import tokenize
from chargen.memory.building import build_grams, known_lines
from chargen.memory.lines import KnownLines
from chargen.memory.ngrams import NgramMemory
from chargen.network.average import NetworkAverage
from chargen.network.model_file import TextModel
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig

N, T, E, H, V, DENSE = 2, 3, 4, 5, 7, 6  # all different, so that swapped axes fail

CELLS = [("simplernn", True), ("dense", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False)]
MORE: list[dict[str, Any]] = [
    {"cell": "simplernn", "activation": "relu", "num_layers": 2},
    {"cell": "dense", "activation": "relu"},
    {"cell": "lstm", "embedding_norm": "batch"},
    {"cell": "gru", "embedding_norm": "batch", "layer_norm": True, "num_layers": 3},
    {"cell": "gru", "reset_after": False, "embedding_size": 0, "num_layers": 2, "layer_norm": True, "targets": "last"},
    {"cell": "simplernn", "layer_norm": True, "num_layers": 2, "targets": "last", "dense_size": DENSE},
    {"cell": "lstm", "layer_norm": True, "num_layers": 3, "embedding_size": 0, "dense_size": DENSE},
]
FORMS = [
    NetworkConfig(cell=cell, reset_after=reset_after, num_layers=depth, hidden_size=H, embedding_size=size, targets=targets)
    for (cell, reset_after), depth, size, targets in product(CELLS, (1, 2), (0, E), ("all", "last"))
]
FORMS += [NetworkConfig(**{"hidden_size": H, "embedding_size": E} | form) for form in MORE]
NUM_MORE = len(MORE)


def name_of(config: NetworkConfig) -> str:
    names = [config.cell, str(config.num_layers), config.activation, config.targets, config.embedding_norm]
    flags = {
        "one-hot": not config.embedding_size,
        "reset-before": not config.reset_after,
        "layer-norm": config.layer_norm,
        "dense-layer": config.dense_size,
    }
    return "-".join([*names, *(name for name, is_on in flags.items() if is_on)])


def make_model(config: NetworkConfig, *, vocabulary: Vocabulary | None = None, scale: float = 0.7, **fields: Any) -> TextModel:
    """Make a model whose weights are all random."""
    vocabulary = vocabulary or CharacterVocabulary("abcde\n")
    rng = np.random.default_rng(7)
    shapes = weight_shapes(config, len(vocabulary))
    weights = {name: rng.normal(0, scale, shape).astype(np.float32) for name, shape in shapes.items()}
    for name in weights:
        if name.endswith("variance"):
            weights[name] = np.abs(weights[name])
    known: dict[str, Any] = {"reading": "document", "context_length": T, "primer": (1, 2, 3), "ends": False}
    return TextModel(network=Network(config, len(vocabulary), weights), vocabulary=vocabulary, **known | fields)


def several(**fields: Any) -> TextModel:
    """Make a model of three networks of different forms."""
    models = [make_model(config, **fields) for config in FORMS[1:24:9]]
    return replace(models[0], network=NetworkAverage([one.one_network for one in models]))


def with_memory(model: TextModel, *, weight: float = 0.4, knows_lines: bool = False) -> TextModel:
    """Return a model with an n-gram memory of some text of its characters; knows_lines: as its lines, and of single ones."""
    vocabulary = model.vocabulary
    known = "".join(text for text in vocabulary if len(text) == 1)
    labels = vocabulary.labels or (None,)
    texts = [Document((known + known[::-1]) * 3, label=labels[-1]), Document(known[:2] * 4, label=labels[0])]
    single = [Document(text * count, label=label) for label in labels for text in known[:3] for count in (1, 2, 2)]
    stream = tokenize(texts + single if knows_lines else texts, vocabulary)
    lines = KnownLines(known_lines([stream]), (0.3, 0.02)) if knows_lines else None
    grams = build_grams([stream], len(vocabulary), fewest=(0,) * 9)
    first_label = len(vocabulary) - len(vocabulary.labels)
    sizes = {"vocab_size": len(vocabulary), "first_label": first_label}
    return replace(model, memory=NgramMemory(grams, **sizes, weight=weight, lines=lines))


def halved(model: TextModel) -> Network:
    """Return the network with its weights rounded to float16."""
    network = model.one_network
    weights = {name: weight.astype(np.float16).astype(np.float32) for name, weight in network.weights.items()}
    return Network(network.config, network.vocab_size, weights)


def some_ids() -> np.ndarray:
    return np.random.default_rng(1).integers(0, V, (N, T))


def expected_logits(network: Network, ids: np.ndarray) -> np.ndarray:
    logits, _ = network.logits(ids, network.zero_state(len(ids)))
    return logits[:, -1] if network.config.targets == "last" else logits
