"""All that can be asked for when text is to be written, and the one place that decides how it is done."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from chargen.config import SamplingOptions
from chargen.errors import ConfigError, SamplingError
from chargen.network.beam import Beam, beam_search
from chargen.network.generation import sample_texts, stream_text
from chargen.network.prediction import AnyModel, TokenIds
from chargen.network.sampling import banned_ids, make_sampler
from chargen.network.selection import Wanted, select_texts

LENGTH = 200  # tokens
LINES = 10  # texts drawn from a model of lines
TRIES = 20_000  # texts drawn in search of those that are wanted
TRIES_EACH = 100  # and for each of many
NOVEL_TRIES = 1000  # stretches of text drawn in search of new ones, which are long


class Written(NamedTuple):
    """Continuations and, if they were searched for, the sums of their log-probabilities in nats."""

    texts: list[str]
    log_probabilities: list[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be written; None leaves a number to the model and the rest of the request.

    length: tokens, at most. beam: the width of a beam search, which takes the place of draws. tries: texts drawn until enough
    are wanted. Raises ConfigError for what excludes each other.
    """

    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    wanted: Wanted = field(default_factory=Wanted)
    length: int | None = None
    count: int | None = None
    until: str | None = None
    beam: int | None = None
    tries: int | None = None
    random_seed: int | None = None

    def __post_init__(self) -> None:
        if self.length is not None and self.wanted.max_length is not None:
            raise ConfigError("--length and --max-length exclude each other", hint="--max-length keeps whole lines only")
        if self.beam is None:
            return
        chances = _flags_of_chance(self)
        if chances:
            raise ConfigError(f"--beam draws nothing, which excludes {', '.join(chances)}", hint="leave out one or the other")
        if self.count and self.count > self.beam:
            raise ConfigError(f"--count {self.count} is more than the {self.beam} texts that --beam {self.beam} finds")

    def count_for(self, model: AnyModel) -> int:
        """Return how many texts are asked of a model."""
        return self.count or (LINES if model.reading == "line" and self.beam is None else 1)

    def stream(self, model: AnyModel, prompt: TokenIds) -> Iterator[str]:
        """Continue a prompt once and yield the continuation, piece by piece where it can be known so early."""
        if self.beam is not None or self.wanted.selects:
            return iter(self.write(model, prompt).texts)
        return stream_text(model, prompt, **self._drawn(model, prompt))

    def write(self, model: AnyModel, prompt: TokenIds) -> Written:
        """Return as many continuations of a prompt as are asked for, or as a beam search finds.

        Raises ConfigError for what the model cannot do, SamplingError if too few wanted texts are found.
        """
        if self.beam is not None:
            found = self._search(model, prompt)
            return Written([one.text for one in found], [one.log_probability for one in found])
        count = self.count_for(model)
        drawn = self._drawn(model, prompt)
        if not self.wanted.selects:
            return Written(sample_texts(model, prompt, count=count, **drawn))
        least = TRIES if model.reading == "line" or self.wanted.novel is None else NOVEL_TRIES
        tries = self.tries or max(least, TRIES_EACH * count)
        return Written(select_texts(model, prompt, count=count, wanted=self.wanted, tries=tries, **drawn))

    def _drawn(self, model: AnyModel, prompt: TokenIds) -> dict[str, Any]:
        """Return what every way of drawing takes."""
        sampler = make_sampler(self.sampling, model.vocabulary)
        return self._limits(model, prompt, sampler.banned) | {
            "sampler": sampler,
            "rng": np.random.default_rng(self.random_seed),
        }

    def _search(self, model: AnyModel, prompt: TokenIds) -> list[Beam]:
        assert self.beam is not None
        banned = banned_ids(model.vocabulary, self.sampling.ban)
        limits = self._limits(model, prompt, banned)
        only_complete = self.wanted.max_length is not None
        found = beam_search(model, prompt, width=self.beam, banned=banned, only_complete=only_complete, **limits)
        count = self.count_for(model)
        if len(found) < count:
            raise SamplingError(f"the search found {len(found)} of {count} texts", hint="keep more with --beam")
        return found[:count]

    def _limits(self, model: AnyModel, prompt: TokenIds, banned: tuple[int, ...]) -> dict[str, Any]:
        """Return where a text may and must stop; raise ConfigError for what no text of the model can be."""
        text = model.vocabulary.decode(prompt)
        self.wanted.check(model, text, banned)
        longest = 4 if model.vocabulary.kind == "byte" else 1  # tokens of a character
        return {
            "length": self.wanted.steps(text, LENGTH if self.length is None else self.length, longest),
            "until": self.until,
            "min_length": max(self.wanted.min_length - len(text), 0),
        }


def _flags_of_chance(request: Request) -> list[str]:
    """Return the given flags that only matter where something is drawn."""
    sampling, default = request.sampling, SamplingOptions()
    names = {"temperature": "temp"}
    given = [one.name for one in fields(sampling) if getattr(sampling, one.name) != getattr(default, one.name)]
    flags = ["--" + names.get(name, name).replace("_", "-") for name in given if name != "ban"]
    if request.wanted.contains:
        flags.append("--must-contain")
    if request.wanted.novel:
        flags.append("--novel")
    if request.tries is not None:
        flags.append("--tries")
    return flags
