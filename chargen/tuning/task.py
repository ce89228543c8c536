"""Define what is tuned: which settings are searched, which are fixed, and what one trial trains."""

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
TRIAL_EPOCHS = 8  # in which a trial of so many minutes is told, so that all trials are compared at the same shares of them
TUNE = "chargen tune"  # the layer below the user's

# What train would choose by the machine or by what is searched beside it: chosen once, the same for all trials everywhere.
_PINNED = (
    *("network.hidden_size", "network.embedding_size", "training.stateful", "training.jitter", "training.batch_size"),
    *former_values(),
)
_PINNED_OF_STREAMS = ("training.context_length",)


@dataclass(frozen=True, kw_only=True)
class TuningTask:
    """A search as a user has asked for it.

    layers: the settings that are given, as `resolve` takes them. minutes: of a trial; None trains for training.epochs.
    configured: whether a config is among the layers. asked: what is searched, "section.name" to its values; nothing stands for
    the neighbourhood of what `chargen train` would choose.
    """

    layers: Sequence[tuple[str, Mapped]]
    minutes: float | None
    configured: bool
    asked: Space

    def to_json(self) -> str:
        """Return the task as a text that `from_json` reads back."""
        search = [f"{name}={one}" for name, one in self.asked.items()]
        return json.dumps({**dataclasses.asdict(self), "asked": search})

    @classmethod
    def from_json(cls, text: str) -> "TuningTask":
        """Return the task that `to_json` has written."""
        fields = json.loads(text)
        layers = [(label, sections) for label, sections in fields.pop("layers")]
        return cls(**fields | {"layers": layers, "asked": parse_space(fields["asked"])})

    @property
    def name(self) -> str:
        """What the text is called."""
        return self.corpus(resolve(*self.layers).settings.corpus).name

    def plan(self, values: Mapped, *, epochs: int | None = TRIAL_EPOCHS, verbosity: int = 0) -> TextPlan:
        """Return what `chargen train` would do with these settings too; without `epochs` a plan to look at, not measured."""
        resolved = resolve(*self.layers, (TUNE, values))
        began = time.perf_counter()
        budget = find_budget(None, self.minutes, resolved, began=began, new=True, configured=self.configured)
        corpus = self.corpus(resolved.settings.corpus)
        if budget is None:
            return make_plan(resolved.settings, corpus)
        budget = replace(budget, exact=budget.exact and epochs is not None)
        return plan_within(budget, resolved, corpus, epochs=epochs, verbosity=verbosity)

    def corpus(self, config: CorpusConfig) -> Corpus:
        """Return the text in the tokens that are configured; which text, and how it is read, is the user's alone."""
        settings = resolve(*self.layers).settings
        config = replace(
            settings.corpus, tokens=config.tokens, vocab_size=config.vocab_size, strip_licence=config.strip_licence
        )
        return _corpus(config, settings.training.stateful)

    def identity(self) -> dict[str, Any]:
        """Return what has to be the same in every process that works on a study."""
        resolved = resolve(*self.layers)
        given = {name for name, origin in resolved.origin.items() if origin not in ("default", TUNE)} - {"corpus.files"}
        return {
            "corpus": self.corpus(resolved.settings.corpus).sha256,
            "minutes": self.minutes,
            "settings": {name: _plain(value) for name, value in sorted(values_of(resolved.settings, given).items())},
            "search": {name: str(one) for name, one in sorted(self.asked.items())},
        }

    def prepare(self) -> tuple[Space, dict[str, Any], dict[str, Any] | None]:
        """Choose what is searched, what else is the same for all trials, and the values to begin with.

        Those are what `chargen train` would choose, or None where they are not among what is searched. Raises ConfigError where
        nothing is left to search.
        """
        origin = resolve(*self.layers).origin
        settings = self.plan({}, epochs=None).settings
        given = {name for name in origin if origin[name] not in ("default", TUNE)}
        space = self.asked or default_space(settings, given)
        if not space:
            raise ConfigError("every setting that is searched by default is given", hint="name others with --search")
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
    """Return what a user asks for. Raises ConfigError for what cannot be tuned."""
    layers = [*choose_backend(resolve(*layers), verbosity=verbosity), *layers]
    resolved = resolve(*layers)
    training, asked = resolved.settings.training, parse_space(search)
    if training.task == "classify":
        raise ConfigError("chargen tune is for networks that write text, training.task = classify", hint="leave it out")
    if training.start_from:
        raise ConfigError("trials begin afresh, training.start_from names weights to go on from", hint="leave out --from")
    if "-" in resolved.settings.corpus.files:
        raise ConfigError("stdin can be read once, trials read the text again", hint="write the text into a file")
    for name in asked:
        if resolved.origin[name] != "default":
            raise ConfigError(f"{name} is searched and given ({resolved.origin[name]})", hint="leave one of them out")
    if minutes is None and resolved.origin["training.epochs"] == "default":
        minutes = DEFAULT_MINUTES
    find_budget(None, minutes, resolved, began=0.0, new=True, configured=configured)  # refuses minutes that cannot be
    # Trials have epochs of different lengths; only on all of the locked-out text do their figures compare.
    whole: tuple[str, Mapped] = (TUNE, {"training": {"validate_whole": True}})
    return TuningTask(layers=[whole, *layers], minutes=minutes, configured=configured, asked=asked)


def check_same(identity: Mapping[str, Any], study: Mapping[str, Any], name: str) -> None:
    """Raise ConfigError, naming the first difference, where a study was begun with something else."""
    for what, asked in identity.items():
        had = study[what]
        if asked == had:
            continue
        if isinstance(asked, Mapping):
            key = min(one for one in {*asked, *had} if asked.get(one) != had.get(one))
            what, asked, had = key, asked.get(key, "open"), had.get(key, "open")
        told = "its text is another one" if what == "corpus" else f"{what} is {asked}, it was begun with {had}"
        raise ConfigError(f"the study {name} goes on as it was begun: {told}", hint="begin another one with --study NAME")


@lru_cache(maxsize=1)
def _corpus(config: CorpusConfig, stateful: bool) -> Corpus:
    return load_corpus(config, stateful=stateful)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
