"""Define a tuning task: which settings are searched, which are fixed, and how one trial trains."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from chargen.corpus.corpus import Corpus, load_corpus
from chargen.errors import ConfigError
from chargen.settings.layers import former_values, resolve
from chargen.settings.schema import CorpusConfig, Mapped
from chargen.training.budget import find_budget, plan_within
from chargen.training.choosing import choose_backend
from chargen.training.planning.text_plan import TextPlan, make_plan
from chargen.tuning.space import Space, default_space, parse_space, values_of

DEFAULT_MINUTES = 1.0  # of a trial
TRIAL_EPOCHS = 8  # a trial with a time budget has this many epochs, so that all trials are compared at the same share of it
TUNE = "chargen tune"  # the layer below the user's

# Settings that train chooses by the machine or by other searched settings: chosen once, equal in all trials on all machines.
_PINNED = (
    *("network.hidden_size", "network.embedding_size", "training.stateful", "training.jitter", "training.batch_size"),
    *former_values(),
)
_PINNED_OF_STREAMS = ("training.context_length",)


@dataclass(frozen=True, kw_only=True)
class TuningTask:
    """A search as the user requested it.

    layers: the given settings, as `resolve` takes them. minutes: per trial; None trains for training.epochs. configured:
    whether a config is among the layers. requested: what is searched, "section.name" to its values; empty: the neighbourhood of
    the settings that `chargen train` would choose.
    """

    layers: Sequence[tuple[str, Mapped]]
    minutes: float | None
    configured: bool
    requested: Space

    def to_json(self) -> str:
        """Return the task as JSON for `from_json`."""
        search = [f"{name}={one}" for name, one in self.requested.items()]
        return json.dumps({**dataclasses.asdict(self), "requested": search})

    @classmethod
    def from_json(cls, text: str) -> "TuningTask":
        """Return the task from the result of `to_json`."""
        fields = json.loads(text)
        layers = [(label, sections) for label, sections in fields.pop("layers")]
        return cls(**fields | {"layers": layers, "requested": parse_space(fields["requested"])})

    @property
    def name(self) -> str:
        """The name of the text."""
        return self.corpus(resolve(*self.layers).settings.corpus).name

    def plan(self, values: Mapped, *, epochs: int | None = TRIAL_EPOCHS, verbosity: int = 0) -> TextPlan:
        """Return the plan of `chargen train` for these settings; with epochs None the time is not measured."""
        resolved = resolve(*self.layers, (TUNE, values))
        began = time.perf_counter()
        budget = find_budget(None, self.minutes, resolved, began=began, new=True, configured=self.configured)
        corpus = self.corpus(resolved.settings.corpus)
        if budget is None:
            return make_plan(resolved.settings, corpus)
        budget = replace(budget, exact=budget.exact and epochs is not None)
        return plan_within(budget, resolved, corpus, epochs=epochs, verbosity=verbosity)

    def corpus(self, config: CorpusConfig) -> Corpus:
        """Return the text; only the tokens depend on `config`, the text and its reading are the user's."""
        settings = resolve(*self.layers).settings
        config = replace(
            settings.corpus, tokens=config.tokens, vocab_size=config.vocab_size, strip_licence=config.strip_licence
        )
        return _corpus(config, settings.training.stateful)

    def identity(self) -> dict[str, Any]:
        """Return the facts that must be equal in every process that works on a study."""
        resolved = resolve(*self.layers)
        given = {name for name, origin in resolved.origin.items() if origin not in ("default", TUNE)} - {"corpus.files"}
        return {
            "corpus": self.corpus(resolved.settings.corpus).sha256,
            "minutes": self.minutes,
            "settings": {name: _plain(value) for name, value in sorted(values_of(resolved.settings, given).items())},
            "search": {name: str(one) for name, one in sorted(self.requested.items())},
        }

    def prepare(self) -> tuple[Space, dict[str, Any], dict[str, Any] | None]:
        """Choose the search space, the settings that are equal in all trials, and the first trial's values.

        The first values are those that `chargen train` would choose, or None if they are outside of the search space. Raises
        ConfigError if nothing is left to search.
        """
        origin = resolve(*self.layers).origin
        settings = self.plan({}, epochs=None).settings
        given = {name for name in origin if origin[name] not in ("default", TUNE)}
        space = self.requested or default_space(settings, given)
        if not space:
            raise ConfigError("all settings that are searched by default are given", hint="choose others with --search")
        pinned = [*_PINNED, *(_PINNED_OF_STREAMS if settings.training.stateful else ())]
        fixed = values_of(settings, [name for name in pinned if name not in space and name not in given])
        first = values_of(settings, space)
        return space, fixed, first if all(value in space[name] for name, value in first.items()) else None


def make_task(
    layers: Sequence[tuple[str, Mapped]],
    *,
    minutes: float | None,
    search: Sequence[str],
    configured: bool,
    verbosity: int = 0,
) -> TuningTask:
    """Return the task that a user requested. Raises ConfigError if it cannot be tuned."""
    layers = [*choose_backend(resolve(*layers), verbosity=verbosity), *layers]
    resolved = resolve(*layers)
    training, requested = resolved.settings.training, parse_space(search)
    if training.task == "classify":
        raise ConfigError(
            "chargen tune supports only networks that write text, but training.task is classify", hint="leave it out"
        )
    if training.start_from:
        raise ConfigError("trials start from random weights, but training.start_from is given", hint="leave out --from")
    if training.members > 1:
        raise ConfigError("a trial trains one network, --members several", hint="give --members to chargen train")
    if "-" in resolved.settings.corpus.files:
        raise ConfigError("stdin can be read only once, but every trial reads the text", hint="save the text in a file")
    for name in requested:
        if resolved.origin[name] != "default":
            raise ConfigError(f"{name} is both searched and given ({resolved.origin[name]})", hint="leave one of them out")
    if minutes is None and resolved.origin["training.epochs"] == "default":
        minutes = DEFAULT_MINUTES
    find_budget(None, minutes, resolved, began=0.0, new=True, configured=configured)  # raises for invalid minutes
    # Epochs of trials differ in length, so figures are comparable only on the whole validation split.
    whole: tuple[str, Mapped] = (TUNE, {"training": {"validate_whole": True, "members": 1}})
    return TuningTask(layers=[whole, *layers], minutes=minutes, configured=configured, requested=requested)


def check_same(identity: Mapping[str, Any], study: Mapping[str, Any], name: str) -> None:
    """Raise ConfigError with the first difference if a study was started with other settings."""
    for what, requested in identity.items():
        had = study[what]
        if requested == had:
            continue
        if isinstance(requested, Mapping):
            key = min(one for one in {*requested, *had} if requested.get(one) != had.get(one))
            what, requested, had = key, requested.get(key, "open"), had.get(key, "open")
        difference = "its text is different" if what == "corpus" else f"{what} is {requested}, but was {had}"
        raise ConfigError(
            f"the study {name} was started with other settings: {difference}", hint="start another study with --study NAME"
        )


@lru_cache(maxsize=1)
def _corpus(config: CorpusConfig, stateful: bool) -> Corpus:
    return load_corpus(config, stateful=stateful)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
