"""Choose settings from the text and the time budget.

The rules come from measurements (benchmarks/quality.py). The size of the network is the largest whose every weight sees
`CHARACTERS_PER_WEIGHT` characters in the time, limited by the length of the text; more passes over the text get more dropout.
Settings that the user gives are kept, and no setting is chosen that conflicts with them.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from chargen.corpus.corpus import Corpus
from chargen.network.network import weight_shapes
from chargen.settings.layers import Resolved
from chargen.settings.schema import Mapped, NetworkConfig, Settings
from chargen.training.planning.machine import OPERATIONS_PER_WEIGHT, Machine, assumed_cores
from chargen.training.planning.text_plan import FEWEST_EPOCHS, WARMUP_SHARE
from chargen.training.planning.windows import LONGEST_LINE_WINDOW, estimate_steps, usual_length

Entry = TypeVar("Entry")

PRESETS = {"fast": 1.0, "balanced": 5.0, "best": 30.0}  # minutes on `PRESET_CORES` cores, on any machine
PRESET_CORES = 2
DEFAULT_PRESET = "balanced"

# Up to so many units, how many characters each weight has to see for a network to be better than a smaller one.
CHARACTERS_PER_WEIGHT = ((256, 1.4), (512, 9.0), (math.inf, 15.0))
FOR_PRODUCTS = 0.64  # of them are enough for a multiplicative LSTM, so that it has as many units in the same time as an LSTM
# At most, up to so many units; with more, larger networks only overfit. Fewer in a list.
WEIGHTS_PER_CHARACTER = ((256, 14.0), (512, 7.0), (math.inf, 2.0))
WEIGHTS_PER_CHARACTER_OF_LINES = 7.0
HIDDEN_SIZES = (64, 128, 256, 512, 768, 1024, 1536, 2048)
SMALLEST_FED = 128  # units for any text but a tiny one: with much dropout they are better than fewer units
TINY_TEXT = 700  # characters; a shorter text that is no list needs fewer units
VERY_SHORT_TEXT = 30_000  # characters; in a shorter text weights decay more, at most twice as much
WEIGHT_DECAY, MOST_WEIGHT_DECAY = 0.05, 0.5
# In a training of `LAST_DECAYING` passes or more, a weight without a gradient would decay to exp(-DECAYED), about a sixth; with
# less decay the network memorizes more of the text. Fewer passes need less decay: `WEIGHT_DECAY` up to `FIRST_DECAYING` passes,
# and also where more than `MOST_DROPPED_AND_DECAYED` of the recurrent weights are dropped.
DECAYED, FIRST_DECAYING, LAST_DECAYING = 1.75, 9, 18
MOST_DROPPED_AND_DECAYED = 0.2
MOST_PASSES = 60.0  # over the text; more only overfit
VOCABULARY = {"char": 80, "byte": 200, "word": 10_000, "bpe": 1_000}  # tokens, before they are counted
CHARACTERS_PER_TOKEN = {"char": 1, "byte": 1, "word": 5, "bpe": 3}
MOST_MEMBERS = 5  # networks that are trained unless the user says; writing takes as long as with all of them
ENOUGH_UNITS = 512  # from which on another network gains more than more units
# Up to so many networks, how often each has to read the text; a short text has to be read more often. More than three are
# trained only where more passes would be of no use.
PASSES_OF_A_MEMBER = ((3, 14.0), (MOST_MEMBERS, math.inf))
HARDLY_READ = 2  # passes, which do not overfit
# Up to so many passes, these shares of the outputs and of the recurrent weights.
DROPPED_BY_PASSES = ((HARDLY_READ, (0.0, 0.0)), (5, (0.1, 0.1)), (30, (0.2, 0.1)), (40, (0.3, 0.2)), (math.inf, (0.4, 0.3)))
MORE_OF_A_SHORT_TEXT = (0.125, 0.2)  # powers of its shortness, by which these shares are multiplied
# A network with more weights for each character overfits in fewer passes: with twice as many weights, in half of them. So more
# passes are counted for it, but in texts no more than 40: more dropout was not measured there.
WEIGHTS_THAT_OVERFIT, MOST_COUNTED = 2.0, 40
# Up to so many passes, the share of the recurrent weights of a network with fewer weights for each character of a text. No
# outputs are dropped then: that makes it worse.
DROPPED_OF_FEW_BY_PASSES = ((HARDLY_READ, 0.0), (30, 0.1), (math.inf, 0.2))
MOST_COUNTED_OF_A_SHORT_LIST = 25  # passes; with more dropout they are no better
# The same of a list, whose network may have fewer weights for each character or more of them: they differ in many passes.
DROPPED_OF_LINES = ((HARDLY_READ, (0.0, 0.0)), (15, (0.1, 0.1)), (25, (0.1, 0.2)))
DROPPED_OF_LINES_BY_PASSES = (*DROPPED_OF_LINES, (40, (0.2, 0.3)), (math.inf, (0.2, 0.4)))
DROPPED_OF_LINES_OF_FEW_BY_PASSES = (*DROPPED_OF_LINES, (math.inf, (0.2, 0.2)))
FEW_WEIGHTS_OF_LINES = 4.0  # for each character, at most
OPTIMIZERS = ("muon", "adamw")  # with any other no rate and no schedule is chosen
# A multiplicative LSTM of as many units is better where an LSTM has the time to read the text so often, a list more often, but
# not in shorter texts. A GPU and PyTorch have fast kernels of their own for an LSTM alone.
PASSES_FOR_PRODUCTS, PASSES_FOR_PRODUCTS_OF_LINES, ENOUGH_FOR_PRODUCTS = 20.0, 40.0, 150_000  # passes, passes, characters
# For texts of fewer characters Muon is not better than AdamW, and it fails on the shortest. Its steps take so long that each
# has to read so many tokens: those of short lines do not.
ENOUGH_FOR_MUON, TOKENS_OF_A_STEP = 25_000, 512
LEARNING = {"beta_2": 0.98, "schedule": "cosine", "patience": 0}
LEARNING_RATES = {"lstm": 0.004, "mlstm": 0.003, "gru": 0.003, "simplernn": 0.002, "dense": 0.001}
HIGHEST_RATES = {"lstm": 0.016, "mlstm": 0.012, "gru": 0.012, "simplernn": 0.0026, "dense": 0.004}  # for short texts
SHORT_TEXT = 100_000  # characters; a shorter text overfits less with a higher learning rate (noisier steps) and more dropout
MOST_DROPPED = 0.6
STEPS_OF_A_LIST = 400  # of the optimizer, at least, with one line in a batch


class Recipe(NamedTuple):
    """The chosen settings.

    layer: the settings. passes: the passes over the text that they are meant for. most_passes: more passes only overfit.
    reasons: lines for the user.
    """

    layer: Mapped
    passes: float
    most_passes: float
    reasons: tuple[str, ...]


class Chosen(NamedTuple):
    """The settings, and the names, as "section.name", of those that the user has given."""

    settings: Settings
    names: Collection[str]

    @classmethod
    def of(cls, resolved: Resolved) -> "Chosen":
        """Return the settings, with the names of all that are not defaults."""
        return cls(resolved.settings, [name for name, origin in resolved.origin.items() if origin != "default"])

    def any(self, *names: str) -> bool:
        """Tell whether the user has given one of these settings."""
        return any(name in self.names for name in names)


def choose_members(corpus: Corpus, chosen: Chosen, *, minutes: float, machine: Machine) -> int:
    """Return how many networks to train in so many minutes, one after the other.

    The average of several networks is better than each of them, but not than a much larger network. So there are as many as
    can have the size of a single one, or `ENOUGH_UNITS`, and still read the text often enough (`PASSES_OF_A_MEMBER`).
    """
    size = _size_of(choose_recipe(corpus, chosen, minutes=minutes, machine=machine))
    more_often = _TextSize.of(corpus, chosen.settings).shortness ** 0.25
    for members in range(MOST_MEMBERS, 1, -1):
        enough = more_often * _up_to(members, PASSES_OF_A_MEMBER)
        recipe = choose_recipe(corpus, chosen, minutes=minutes / members, machine=machine)
        as_large = _size_of(recipe) == size or (_size_of(recipe) or 0) >= ENOUGH_UNITS
        if as_large and recipe.passes >= min(enough, recipe.most_passes):
            return members
    return 1


def choose_recipe(corpus: Corpus, chosen: Chosen, *, minutes: float, machine: Machine, exact: bool = True) -> Recipe:
    """Choose the settings that the user has not given, for a training of so many minutes on a machine.

    exact: whether training ends in time; if not, minutes and machine only set the amount of work, and the reasons say "about".
    """
    operations = max(1.0, minutes * 60 - machine.overhead) * machine.operations
    text = _TextSize.of(corpus, chosen.settings)
    cell = _cell(chosen, text, operations, machine)
    chosen = Chosen(_with_network(chosen.settings, {"cell": cell}), chosen.names)
    network: dict[str, Any] = {"cell": cell} | dict(_network_size(chosen, text, operations, machine.largest_size))
    weights = _num_weights(_with_network(chosen.settings, network), text)
    most_passes = _most_passes(corpus, text)
    passes = _passes(chosen, text, operations, weights)
    if not chosen.any("training.epochs"):
        passes = min(passes, most_passes)
        passes = float(round(passes)) if passes >= FEWEST_EPOCHS else passes
    network |= _regularisation(chosen, passes, weights, text)
    settled = _with_network(chosen.settings, _left_open({"network": network}, chosen)["network"])
    optimization = _optimization(chosen, settled, passes, text, largest_batch=machine.largest_batch)
    training = _reading(corpus, chosen) | optimization | {"calibrate": True}
    if precision := machine.precision_of(settled.network.cell, settled.network.hidden_size):
        training["precision"] = precision
    layer = _left_open({"network": network, "training": training}, chosen)
    times = "once" if f"{passes:.2g}" == "1" else f"{passes:.2g} times"
    size, seen = f"{settled.network.num_layers}x{settled.network.hidden_size}", passes * text.characters / weights
    what = f"{cell} {size} (--cell, --hidden-size)"
    time = f"{_counted(minutes, 'minute')} on {machine.name}"
    work = f"{time} (--minutes)" if exact else f"about {time} (--preset, --minutes)"
    reasons = (
        f"settings for {work}: {what} reads the text {times}, {seen:.2g} characters for each weight",
        _dropping_in_words(settled.network),
        _learning_in_words(training),
    )
    return Recipe(layer, passes, most_passes, reasons)


def _size_of(recipe: Recipe) -> int | None:
    """Return the units that were chosen, None if they are given."""
    size: int | None = recipe.layer["network"].get("hidden_size")
    return size


def default_reasons(corpus: Corpus, resolved: Resolved) -> tuple[str, ...]:
    """Return the settings that the default preset chooses for a corpus, as lines that give the reasons."""
    machine = assumed_cores(PRESET_CORES, resolved.settings.network.cell)
    return choose_recipe(corpus, Chosen.of(resolved), minutes=PRESETS[DEFAULT_PRESET], machine=machine).reasons


class _TextSize(NamedTuple):
    """The size of the text to train on.

    tokens: those of a pass. positions: the same with the padding of short lines. line: those of a line, None for documents.
    """

    characters: float
    tokens: float
    positions: float
    line: float | None

    @classmethod
    def of(cls, corpus: Corpus, settings: Settings) -> "_TextSize":
        share, per_token = 1 - settings.corpus.validation_split, CHARACTERS_PER_TOKEN[settings.corpus.tokens]
        positions, line = corpus.num_characters / per_token, None
        if corpus.is_list:
            line = min(usual_length(corpus.documents.lengths) / per_token + 1, LONGEST_LINE_WINDOW)
            positions = len(corpus.documents) * line
        characters = share * corpus.num_characters
        return cls(characters, characters / per_token, share * positions, line)

    @property
    def is_list(self) -> bool:
        """Whether each line is a text of its own."""
        return self.line is not None

    @property
    def is_tiny(self) -> bool:
        """Whether the text has only a few sentences."""
        return self.characters < TINY_TEXT and not self.is_list

    @property
    def shortness(self) -> float:
        """`SHORT_TEXT` as a multiple of the length of the text, at least 1."""
        return max(1.0, SHORT_TEXT / self.characters)


def _most_passes(corpus: Corpus, text: _TextSize) -> float:
    """Return the most useful number of passes: fewer over a short list, which soon overfits, but enough steps."""
    if not corpus.is_list:
        return MOST_PASSES
    for_steps = STEPS_OF_A_LIST / len(corpus.documents)
    return float(round(min(max(MOST_PASSES / text.shortness ** (1 / 3), for_steps), MOST_PASSES)))


def _passes(chosen: Chosen, text: _TextSize, operations: float, weights: int) -> float:
    """Return how often a network of so many weights reads the text, unless the user limits it."""
    given = chosen.any("training.epochs")
    return float(chosen.settings.training.epochs) if given else operations / (OPERATIONS_PER_WEIGHT * weights * text.positions)


def _cell(chosen: Chosen, text: _TextSize, operations: float, machine: Machine) -> str:
    """Return the cell that is given, or else the best one."""
    network, backend = chosen.settings.network, chosen.settings.training.backend
    if chosen.any("network.cell") or machine.gpu or backend == "torch":
        return network.cell
    if text.characters < ENOUGH_FOR_PRODUCTS:
        return network.cell
    size = _network_size(chosen, text, operations, machine.largest_size)
    passes = _passes(chosen, text, operations, _num_weights(_with_network(chosen.settings, size), text))
    other = Chosen(_with_network(chosen.settings, {"cell": "mlstm"}), chosen.names)
    as_large = _network_size(other, text, operations, machine.largest_size) == size
    needed = PASSES_FOR_PRODUCTS_OF_LINES if text.is_list else PASSES_FOR_PRODUCTS
    return "mlstm" if as_large and passes >= needed else network.cell


def _network_size(chosen: Chosen, text: _TextSize, operations: float, largest: int) -> dict[str, int]:
    """Return the largest size for which the time and the text are enough."""
    if chosen.any("network.hidden_size"):
        return {}
    best: dict[str, int] = {}
    fewer = FOR_PRODUCTS if chosen.settings.network.cell == "mlstm" else 1.0
    for hidden_size in (size for size in HIDDEN_SIZES if size <= largest):
        size = {"hidden_size": hidden_size}
        if not chosen.any("network.embedding_size"):
            size["embedding_size"] = 64 if hidden_size < 512 else 128
        weights = _num_weights(_with_network(chosen.settings, size), text)
        needed = fewer * _up_to(hidden_size, CHARACTERS_PER_WEIGHT) * weights
        worth_it = operations / (OPERATIONS_PER_WEIGHT * weights) >= needed
        most = _up_to(hidden_size, WEIGHTS_PER_CHARACTER)
        most = min(most, WEIGHTS_PER_CHARACTER_OF_LINES) if text.is_list else most
        fed = weights <= most * text.characters
        fed = fed or (hidden_size <= SMALLEST_FED and not text.is_tiny)
        if not best or (worth_it and fed):
            best = size
    return best


def _up_to(found: float, table: Sequence[tuple[float, Entry]]) -> Entry:
    """Return the first entry of a table that holds for so many units, passes or networks."""
    return next(entry for most, entry in table if found <= most)


def _with_network(settings: Settings, network: dict[str, Any]) -> Settings:
    return replace(settings, network=replace(settings.network, **network))


def _num_weights(settings: Settings, text: _TextSize) -> int:
    vocab_size = settings.corpus.vocab_size or VOCABULARY[settings.corpus.tokens]
    vocab_size = max(2, min(vocab_size, int(text.positions)))  # a short text has fewer tokens
    return sum(math.prod(shape) for shape in weight_shapes(settings.network, vocab_size).values())


def _regularisation(chosen: Chosen, passes: float, num_weights: int, text: _TextSize) -> dict[str, Any]:
    outputs, weights = _dropped(passes, num_weights, text)
    dropped = chosen.settings.network.dropout if chosen.any("network.dropout") else outputs
    by_hand, cell = chosen.settings.training.backend == "numpy", chosen.settings.network.cell
    weight_drop = {} if cell == "dense" or by_hand else {"weight_drop": weights}
    return {"dropout": dropped, "locked_dropout": dropped > 0 and not (text.is_list or by_hand)} | weight_drop


def _dropped(passes: float, num_weights: int, text: _TextSize) -> tuple[float, float]:
    """Return the shares of the outputs and of the recurrent weights to drop."""
    sooner = num_weights / (WEIGHTS_THAT_OVERFIT * text.characters)
    counted = passes * max(1.0, sooner) if passes > HARDLY_READ else passes
    if text.is_list:
        most = MOST_COUNTED_OF_A_SHORT_LIST if text.characters < SHORT_TEXT else math.inf
        few = num_weights <= FEW_WEIGHTS_OF_LINES * text.characters
        return _up_to(min(counted, most), DROPPED_OF_LINES_OF_FEW_BY_PASSES if few else DROPPED_OF_LINES_BY_PASSES)
    if sooner <= 1:
        return 0.0, _up_to(passes, DROPPED_OF_FEW_BY_PASSES)
    counted = passes if passes > MOST_COUNTED else min(counted, MOST_COUNTED)
    shares = zip(_up_to(counted, DROPPED_BY_PASSES), MORE_OF_A_SHORT_TEXT, strict=True)
    outputs, weights = (min(round(20 * share * text.shortness**power) / 20, MOST_DROPPED) for share, power in shares)
    return outputs, weights


def _reading(corpus: Corpus, chosen: Chosen) -> dict[str, Any]:
    """Return how to read prose: as streams, unless a given setting conflicts with them."""
    windows = corpus.is_list or corpus.labels or chosen.settings.network.cell == "dense"
    if windows or chosen.any("network.targets", "training.stride", "corpus.mix"):
        return {}
    training = chosen.settings.training
    stateful = training.stateful if chosen.any("training.stateful") else not training.context_length
    return {"stateful": True, "jitter": True} if stateful else {}


def _optimization(chosen: Chosen, settings: Settings, passes: float, text: _TextSize, *, largest_batch: int) -> dict[str, Any]:
    """Choose the optimizer's settings. settings: those of the user, with the network's."""
    steps = estimate_steps(settings, text.positions, passes, line=text.line, largest=largest_batch)
    optimizer = _optimizer(chosen, text, text.tokens * passes / steps)
    if optimizer not in OPTIMIZERS or chosen.any("training.schedule"):
        return {}
    warmup = {"warmup_epochs": WARMUP_SHARE * passes} if chosen.any("training.epochs") else {}
    cell = chosen.settings.network.cell
    rate = min(LEARNING_RATES[cell] * (1 if text.is_list else text.shortness**0.8), HIGHEST_RATES[cell])
    if chosen.any("training.learning_rate"):
        rate = chosen.settings.training.learning_rate
    decay = _weight_decay(settings, text, passes, steps * rate)
    if chosen.any("training.weight_decay"):
        decay = chosen.settings.training.weight_decay
    return LEARNING | {"optimizer": optimizer, "learning_rate": float(f"{rate:.2g}"), "weight_decay": decay} | warmup


def _optimizer(chosen: Chosen, text: _TextSize, tokens_of_a_step: float) -> str:
    """Return the optimizer that is given, or else the best one. Muon's steps are for recurrent layers."""
    if chosen.any("training.optimizer"):
        return chosen.settings.training.optimizer
    muon, adamw = OPTIMIZERS
    enough = text.characters >= ENOUGH_FOR_MUON and tokens_of_a_step >= TOKENS_OF_A_STEP
    return muon if enough and chosen.settings.network.cell != "dense" else adamw


def _weight_decay(settings: Settings, text: _TextSize, passes: float, distance: float) -> float:
    """Return a weight decay. distance: the steps times the highest learning rate, which falls along a cosine."""
    if text.is_tiny:
        return MOST_WEIGHT_DECAY
    decay = WEIGHT_DECAY * (1 if text.is_list else min(max(1.0, VERY_SHORT_TEXT / text.characters) ** 0.3, 2.0))
    if settings.network.weight_drop <= MOST_DROPPED_AND_DECAYED and settings.network.targets == "all":
        share = (min(max(passes, FIRST_DECAYING), LAST_DECAYING) - FIRST_DECAYING) / (LAST_DECAYING - FIRST_DECAYING)
        decay = max(decay, share * DECAYED / (distance / 2))
    return float(f"{min(decay, MOST_WEIGHT_DECAY):.2g}")


def _left_open(layer: Mapped, chosen: Chosen) -> Mapped:
    """Return a layer without the settings that the user has given."""
    return {
        section: {name: value for name, value in values.items() if not chosen.any(f"{section}.{name}")}
        for section, values in layer.items()
    }


def _counted(number: float, unit: str) -> str:
    return f"{number:.3g} {unit}" if number == 1 else f"{number:.3g} {unit}s"


def _dropping_in_words(network: NetworkConfig) -> str:
    values, weights = network.dropout, network.weight_drop
    if not values and not weights:
        return "too few passes to overfit: no dropout (--dropout)"
    outputs, recurrent = f"{values:.0%} of the outputs (--dropout)", f"{weights:.0%} of the recurrent weights (--weight-drop)"
    return f"against overfitting: {outputs} and {recurrent} are dropped"


def _learning_in_words(training: dict[str, Any]) -> str:
    streams = "the state is carried from batch to batch (--no-stateful)"
    reading = streams if training.get("stateful") else "each window starts from a zero state"
    if "optimizer" not in training:
        return f"{reading}; the optimizer is as given"
    optimizer, decay = f"{training['optimizer']} (--optimizer)", f"weight decay {training['weight_decay']:g} (--weight-decay)"
    return f"{reading}; {optimizer} at {training['learning_rate']:g}, falling to 0 along a cosine (--learning-rate), {decay}"
