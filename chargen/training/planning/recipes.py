"""Settings chosen from the text and from the minutes that training may take.

The rules come from measurements (benchmarks/quality.py): a network has as many weights as can see `CHARACTERS_PER_WEIGHT`
characters each in the time there is, and no more than the text can feed; the more often the text is read, the more is dropped.
What a user has chosen stays, and nothing is chosen that would not go with it.
"""

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

from chargen.config import Mapped, NetworkConfig, Settings
from chargen.corpus.documents import Corpus
from chargen.network.network import weight_shapes
from chargen.training.planning.plan import FEWEST_EPOCHS, WARMUP_SHARE
from chargen.training.planning.windows import LONGEST_LINE_WINDOW, usual_length

PRESETS = {"fast": 1.0, "balanced": 5.0, "best": 30.0}  # minutes
DEFAULT_PRESET = "balanced"

OPERATIONS_PER_WEIGHT = 6  # and position: one product forward and two back, each of a multiplication and an addition
OPERATIONS_PER_SECOND = 7e10  # of one core, everything counted: a measure to plan by, the same on every machine
DENSE_SPEED = 0.1  # of a graph of Dense layers, beside the other cells
CHARACTERS_PER_WEIGHT = 7
WEIGHTS_PER_CHARACTER = 7
HIDDEN_SIZES = (64, 128, 256, 512, 768, 1024)
MOST_PASSES = 60  # over the text; what comes after is learnt by heart
VOCABULARY = {"char": 80, "byte": 200, "word": 10_000, "bpe": 1_000}  # tokens, as long as they are not counted
CHARACTERS_PER_TOKEN = {"char": 1, "byte": 1, "word": 5, "bpe": 3}
# Up to so many passes, these shares of the outputs and of the recurrent weights.
DROPPED_BY_PASSES = ((2, 0.0, 0.0), (5, 0.1, 0.1), (10, 0.2, 0.1), (40, 0.3, 0.2), (math.inf, 0.4, 0.4))
SHORT_TEXT = 20_000  # characters; the steps over it are too few to make up for much that is dropped
MOST_DROPPED = 0.1  # of a short text, and of lines, which end before what is dropped is learnt in another way
FEWEST_STEPS = 3000  # of the optimizer, in all; a short text is read in small batches to get there
SMALLEST_BATCH, LARGEST_BATCH = 8, 32
ADAMW = {"optimizer": "adamw", "weight_decay": 0.05, "beta_2": 0.98, "schedule": "cosine", "patience": 0}
LEARNING_RATES = {"lstm": 0.004, "gru": 0.004, "simplernn": 0.001, "dense": 0.001}


class Recipe(NamedTuple):
    """What was chosen: settings, the passes over the text that they are meant for, and why, in lines for the user."""

    layer: Mapped
    passes: float
    reasons: tuple[str, ...]


class Chosen(NamedTuple):
    """The settings as they are so far, and the names, as "section.name", of those that a user has chosen."""

    settings: Settings
    names: Collection[str]

    def any(self, *names: str) -> bool:
        """Tell whether the user has chosen one of them."""
        return any(name in self.names for name in names)


def choose_recipe(corpus: Corpus, chosen: Chosen, *, minutes: float, cores: int) -> Recipe:
    """Choose what a user has left open, for a training of so many minutes on so many cores."""
    speed = OPERATIONS_PER_SECOND * (DENSE_SPEED if chosen.settings.network.cell == "dense" else 1)
    operations = minutes * 60 * cores * speed
    text = _TextSize.of(corpus, chosen.settings)
    network: dict[str, Any] = dict(_network_size(chosen, text, operations))
    weights = _num_weights(_with_network(chosen.settings, network))
    passes = float(min(operations / (OPERATIONS_PER_WEIGHT * weights * text.positions), MOST_PASSES))
    if chosen.any("training.epochs"):
        passes = float(chosen.settings.training.epochs)
    elif passes >= FEWEST_EPOCHS:
        passes = float(round(passes))
    network |= _regularisation(chosen, passes, gently=corpus.is_list or text.characters < SHORT_TEXT)
    training = _windows(corpus, chosen, passes * text.positions) | _optimization(chosen, passes)
    layer = _left_open({"network": network, "training": training}, chosen)
    settled = _with_network(chosen.settings, layer["network"]).network
    size, seen = f"{settled.num_layers}x{settled.hidden_size}", passes * text.characters / weights
    reasons = (
        f"{_counted(minutes, 'minute')} on {_counted(cores, 'core')}: {settled.cell} {size} reads the text "
        f"{passes:.2g} times, some {seen:.2g} characters for each weight",
        _dropping_in_words(settled),
        _learning_in_words(training),
    )
    return Recipe(layer, passes, reasons)


class _TextSize(NamedTuple):
    """characters: those trained on. positions: tokens of all windows of a pass, the filling of short lines among them."""

    characters: float
    positions: float

    @classmethod
    def of(cls, corpus: Corpus, settings: Settings) -> "_TextSize":
        share, per_token = 1 - settings.corpus.validation_split, CHARACTERS_PER_TOKEN[settings.corpus.tokens]
        positions = corpus.num_characters / per_token
        if corpus.is_list:
            longest = usual_length([len(text) for text in corpus.texts])
            positions = len(corpus.documents) * min(longest / per_token + 1, LONGEST_LINE_WINDOW)
        return cls(share * corpus.num_characters, share * positions)


def _network_size(chosen: Chosen, text: _TextSize, operations: float) -> dict[str, int]:
    """Return the largest size that is worth its time and that the text can feed."""
    if chosen.any("network.hidden_size"):
        return {}
    best: dict[str, int] = {}
    for hidden_size in HIDDEN_SIZES:
        size = {"hidden_size": hidden_size}
        if not chosen.any("network.embedding_size"):
            size["embedding_size"] = 64 if hidden_size < 512 else 128
        weights = _num_weights(_with_network(chosen.settings, size))
        worth_it = operations / (OPERATIONS_PER_WEIGHT * weights) >= CHARACTERS_PER_WEIGHT * weights
        if not best or (worth_it and weights <= WEIGHTS_PER_CHARACTER * text.characters):
            best = size
    return best


def _with_network(settings: Settings, network: dict[str, Any]) -> Settings:
    return replace(settings, network=replace(settings.network, **network))


def _num_weights(settings: Settings) -> int:
    vocab_size = settings.corpus.vocab_size or VOCABULARY[settings.corpus.tokens]
    return sum(math.prod(shape) for shape in weight_shapes(settings.network, vocab_size).values())


def _regularisation(chosen: Chosen, passes: float, *, gently: bool) -> dict[str, Any]:
    shares = next(shares for most, *shares in DROPPED_BY_PASSES if passes <= most)
    outputs, weights = (min(share, MOST_DROPPED) if gently else share for share in shares)
    dropped = chosen.settings.network.dropout if chosen.any("network.dropout") else outputs
    by_hand, cell = chosen.settings.training.backend == "numpy", chosen.settings.network.cell
    weight_drop = {} if cell == "dense" or by_hand else {"weight_drop": weights}
    return {"dropout": dropped, "locked_dropout": dropped > 0 and not (gently or by_hand)} | weight_drop


def _windows(corpus: Corpus, chosen: Chosen, tokens: float) -> dict[str, Any]:
    """Return how prose is read so that so many tokens make steps enough: as streams, unless that is decided."""
    prose = not corpus.is_list and not corpus.labels and corpus.num_characters >= SHORT_TEXT
    classic = chosen.settings.network.cell == "dense" or chosen.any("network.targets", "training.stride", "corpus.mix")
    if classic or not prose:
        return {}
    training, per_step = chosen.settings.training, tokens / FEWEST_STEPS
    context_length = training.context_length or (128 if per_step >= LARGEST_BATCH * 128 / 2 else 64)
    batch_size = 2 ** int(math.log2(max(per_step / context_length, 1)))
    sizes = {"context_length": context_length, "batch_size": min(max(batch_size, SMALLEST_BATCH), LARGEST_BATCH)}
    stateful = training.stateful if chosen.any("training.stateful") else not training.context_length
    return ({"stateful": True, "jitter": True} if stateful else {}) | sizes


def _optimization(chosen: Chosen, passes: float) -> dict[str, Any]:
    if chosen.any("training.optimizer", "training.schedule"):
        return {}
    warmup = {"warmup_epochs": WARMUP_SHARE * passes} if chosen.any("training.epochs") else {}
    return ADAMW | {"learning_rate": LEARNING_RATES[chosen.settings.network.cell]} | warmup


def _left_open(layer: Mapped, chosen: Chosen) -> Mapped:
    """Return a layer without what the user has chosen."""
    return {
        section: {name: value for name, value in values.items() if not chosen.any(f"{section}.{name}")}
        for section, values in layer.items()
    }


def _counted(number: float, unit: str) -> str:
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"


def _dropping_in_words(network: NetworkConfig) -> str:
    values, weights = network.dropout, network.weight_drop
    if not values and not weights:
        return "it reads too little twice to learn it by heart: nothing is dropped"
    return (
        f"against learning the text by heart {values:.0%} of its outputs and {weights:.0%} of its recurrent weights are dropped"
    )


def _learning_in_words(training: dict[str, Any]) -> str:
    reading = "the state is carried on through the text" if training.get("stateful") else "every window starts afresh"
    adamw = "optimizer" in training and f"adamw at {training['learning_rate']:g}, falling to 0 along a cosine"
    return f"{reading}; {adamw or 'the optimizer is yours'}"
