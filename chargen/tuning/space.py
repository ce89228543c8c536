"""Define the search space: a range or a list of choices for each searched setting."""

import math
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import UnionType
from typing import Any, get_args

from chargen.errors import ConfigError
from chargen.settings.layers import check_value, resolve
from chargen.settings.schema import Mapped, NetworkConfig, Setting, Settings, declared_settings

Values = Mapping[str, Any]  # "section.name" to a value

MAX_DRAWS = 1000  # draws without a new value before giving up
LOG_SCALE_FROM = 10  # times the lowest value: a wider range is searched on a logarithmic scale

# Settings that must be equal in all trials, so that their figures and costs are comparable, are not listed.
SEARCHED_OF_CORPUS = ("tokens", "vocab_size")
SEARCHED_OF_TRAINING = (
    "context_length",
    "stride",
    "stateful",
    "jitter",
    "batch_size",
    "optimizer",
    "learning_rate",
    "weight_decay",
    "beta_2",
    "schedule",
    "warmup_epochs",
    "decay_epochs",
    "decay_factor",
    "clip_norm",
    "clip_value",
    "precision",
)


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, inclusive; integers if `low` is one. `step` is the distance between numbers."""

    low: float
    high: float
    step: float | None = None

    @property
    def log(self) -> bool:
        """Whether numbers are drawn on a logarithmic scale."""
        return self.step is None and self.low > 0 and self.high >= LOG_SCALE_FROM * self.low

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return self.step is None or (_exact(value) - _exact(self.low)) % _exact(self.step) == 0

    def draw(self, rng: random.Random) -> float:
        """Return one of the numbers."""
        step = self.step or (1 if isinstance(self.low, int) else None)
        if step is not None:
            number = _exact(self.low) + _exact(step) * rng.randint(
                0, int((_exact(self.high) - _exact(self.low)) / _exact(step))
            )
            return type(self.low)(number)
        if self.log:
            return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return rng.uniform(self.low, self.high)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" + (f"/{self.step}" if self.step is not None else "")


@dataclass(frozen=True)
class Choices:
    """A list of values."""

    values: tuple[str | int | float | bool, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def draw(self, rng: random.Random) -> str | int | float | bool:
        """Return one of the values."""
        return rng.choice(self.values)

    def __str__(self) -> str:
        return ",".join(str(one).lower() if isinstance(one, bool) else str(one) for one in self.values)


Space = dict[str, Range | Choices]


def parse_space(specs: Iterable[str]) -> Space:
    """Parse texts such as "network.cell=lstm,gru" and "training.learning_rate=1e-4..1e-2" to a search space.

    A range may have a step: 64..512/64. Raises ConfigError for a setting that cannot be searched, and for invalid values.
    """
    space: Space = {}
    for spec in specs:
        name, equals, text = spec.partition("=")
        if not equals:
            raise ConfigError(
                f"--search {spec} has no values", hint="such as --search network.cell=lstm,gru or network.dropout=0..0.5"
            )
        if name in space:
            raise ConfigError(f"--search {name} is given twice", hint="give it once")
        kind, detail = _known(name)
        space[name] = _parsed(f"--search {name}", text, kind, detail)
    return space


def default_space(settings: Settings, fixed: Collection[str]) -> Space:
    """Return the default search space: a neighbourhood of the complete `settings`, without the fixed ones.

    The context length is included only for streams: with carried state it changes how a network learns, without it also what is
    measured.
    """
    network, training = settings.network, settings.training
    assert training.batch_size is not None
    assert training.context_length is not None
    size = max(network.hidden_size, 4)
    share = Range(low=0.0, high=0.7, step=0.05)
    space: Space = {
        "network.hidden_size": Range(low=size // 2, high=2 * size, step=size // 4),
        "network.num_layers": Range(low=1, high=3),
        "network.dropout": share,
        "network.weight_drop": share,
        "training.learning_rate": Range(low=training.learning_rate / 8, high=training.learning_rate * 4),
        "training.batch_size": _around(training.batch_size),
    }
    if network.cell == "dense" or training.backend == "numpy":
        del space["network.weight_drop"]
    if training.stateful:
        space["training.context_length"] = _around(training.context_length)
    return {name: one for name, one in space.items() if name not in fixed}


def same_values(values: Values) -> tuple[tuple[str, str], ...]:
    """Return a key that is equal for equal values, except for rounding errors."""
    return tuple(sorted((name, f"{value:.9g}" if isinstance(value, float) else repr(value)) for name, value in values.items()))


def draw_other(space: Space, tried: Collection[object], rng: random.Random) -> dict[str, Any] | None:
    """Draw values that are not among those tried (by `same_values`); None if almost none are left."""
    for _ in range(MAX_DRAWS):
        values = {name: one.draw(rng) for name, one in space.items()}
        if same_values(values) not in tried:
            return values
    return None


def sections(values: Values) -> Mapped:
    """Return values as a layer of settings.

    >>> sections({"network.cell": "gru", "training.batch_size": 8})
    {'network': {'cell': 'gru'}, 'training': {'batch_size': 8}}
    """
    layer: Mapped = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        layer.setdefault(section, {})[key] = value
    return layer


def values_of(settings: Settings, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of some settings."""
    return {name: getattr(getattr(settings, name.partition(".")[0]), name.partition(".")[2]) for name in names}


def short_name(name: str) -> str:
    """Return the name of a setting without its section."""
    return name.partition(".")[2]


def shown(value: object) -> str:
    """Return a value as printed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _around(size: int) -> Choices:
    return Choices(tuple(one for one in (size // 2, size, size * 2) if one))


def _known(name: str) -> tuple[type, Setting]:
    """Return the type and the declaration of a setting that may be searched."""
    section, _, key = name.partition(".")
    searched = {"corpus": SEARCHED_OF_CORPUS, "training": SEARCHED_OF_TRAINING}
    searched["network"] = tuple(NetworkConfig.__dataclass_fields__)
    resolve(("--search", {section: {}}))  # raises for an unknown section
    declared = {one.name: (kind, detail) for where, one, kind, detail in declared_settings() if where == section}
    if key in searched.get(section, ()):
        kind, detail = declared[key]
        return next(one for one in get_args(kind) if one is not type(None)) if isinstance(kind, UnionType) else kind, detail
    if key in declared:
        raise ConfigError(
            f"--search {name}: it must be the same for all trials", hint=f"these can be searched: {_named(searched)}"
        )
    raise ConfigError(f"--search {name}: no such setting", hint=f"these can be searched: {_named(searched)}")


def _named(searched: Mapping[str, Collection[str]]) -> str:
    return f"all of network, corpus.{', corpus.'.join(searched['corpus'])}, training.{', '.join(searched['training'])}"


def _parsed(label: str, text: str, kind: type, detail: Setting) -> Range | Choices:
    low, dots, rest = text.partition("..")
    if not dots or kind in (str, bool):
        values = tuple(check_value(label, _value(label, one, kind), kind, detail) for one in text.split(","))
        return Choices(tuple(dict.fromkeys(values)))
    high, slash, step = rest.partition("/")
    ends = [check_value(label, _value(label, one, kind), kind, detail) for one in (low, high)]
    by = _value(label, step, kind) if slash else None
    if not ends[0] < ends[1] or (by is not None and not 0 < by <= ends[1] - ends[0]):
        raise ConfigError(f"{label}={text} is not a range", hint="such as 64..512, or 64..512/64 for steps of 64")
    if by is not None:  # the last step may end before `high`
        ends[1] = kind(_exact(ends[1]) - (_exact(ends[1]) - _exact(ends[0])) % _exact(by))
    return Range(low=ends[0], high=ends[1], step=by)


def _value(label: str, text: str, kind: type) -> Any:
    try:
        value = {"true": True, "false": False}[text] if kind is bool else kind(text)
    except (ValueError, KeyError):
        nouns = {int: "a whole number", float: "a number", bool: "true or false"}
        raise ConfigError(f"{label}: {text!r} is given, expected {nouns[kind]}", hint="ranges: 1..9, choices: 1,4,9") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{label}: {text!r} is given, expected a finite number")
    return value


def _exact(number: float) -> Decimal:
    return Decimal(str(number))
