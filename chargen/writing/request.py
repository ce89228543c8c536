"""Collect the options of writing, and choose how the text is written from them."""

from collections.abc import Generator
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from chargen.errors import ConfigError, SamplingError
from chargen.settings.schema import SamplingOptions
from chargen.writing.beam import Beam, beam_search
from chargen.writing.ensemble import AnyModel
from chargen.writing.generation import Continuation, Stopped, stream_text
from chargen.writing.prompt import Prompt
from chargen.writing.sampling import banned_ids, make_sampler
from chargen.writing.selection import MAX_REPEATS, Wanted, select_texts

LENGTH = 200  # characters
LINES = 10  # texts drawn from a model of lines
TRIES = 20_000  # texts drawn in search of those that are wanted
TRIES_EACH = 100  # and for each of many
NOVEL_TRIES = 1000  # spans of text drawn in search of new ones, which are long


class Written(NamedTuple):
    """Continuations, why each stopped and, if they were searched for, the sums of their log-probabilities in nats."""

    texts: list[str]
    stopped: list[Stopped]
    log_probabilities: list[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be written; None leaves a number to the model and the rest of the request.

    length: characters, at most. beam: the width of a beam search, which takes the place of draws. tries: texts drawn until
    enough are wanted. distinct: whether all texts have to differ; None for several lines, of which there may be fewer then.
    Raises ConfigError for what excludes each other.
    """

    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    wanted: Wanted = field(default_factory=Wanted)
    length: int | None = None
    count: int | None = None
    until: str | None = None
    beam: int | None = None
    tries: int | None = None
    distinct: bool | None = None
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

    @property
    def most_characters(self) -> int:
        """How many characters a text may have, where max_length does not say so."""
        return LENGTH if self.length is None else self.length

    def count_for(self, model: AnyModel) -> int:
        """Return how many texts are asked of a model."""
        return self.count or (LINES if model.reading == "line" and self.beam is None else 1)

    def stream(self, model: AnyModel, prompt: Prompt) -> Generator[str, None, Stopped]:
        """Continue a prompt once and yield the continuation, piece by piece where it can be known so early.

        The generator returns why the text stopped.
        """
        if self.beam is not None or self.wanted.selects:
            return _known(self.write(model, prompt))
        pieces = stream_text(model, prompt.ids, **self._drawn(model, prompt))
        return _fitted(prompt, pieces) if prompt.spaced else pieces

    def write(self, model: AnyModel, prompt: Prompt) -> Written:
        """Return as many continuations of a prompt as are asked for, or as a beam search finds.

        Raises ConfigError for what the model cannot do, SamplingError if too few wanted texts are found.
        """
        if self.beam is not None:
            found = self._search(model, prompt)
            texts, stopped = [prompt.fit(one.text) for one in found], [one.stopped for one in found]
            return Written(texts, stopped, [one.log_probability for one in found])
        some = self._select(model, prompt)
        return Written([one.text for one in some], [one.stopped for one in some])

    def _select(self, model: AnyModel, prompt: Prompt) -> list[Continuation]:
        count = self.count_for(model)
        least = TRIES if model.reading == "line" or self.wanted.novel is None else NOVEL_TRIES
        tries = self.tries or max(least, TRIES_EACH * count)
        several_lines = model.reading == "line" and count > 1
        return select_texts(
            model,
            prompt,
            count=count,
            wanted=self.wanted,
            tries=tries if self.wanted.selects else max(tries, count),
            distinct=several_lines if self.distinct is None else self.distinct,
            fewer=self.distinct is None,
            most_repeats=MAX_REPEATS if self.tries is None else tries,
            **self._drawn(model, prompt),
        )

    def _drawn(self, model: AnyModel, prompt: Prompt) -> dict[str, Any]:
        """Return what every way of drawing takes."""
        sampler = make_sampler(self.sampling, model.vocabulary)
        return self._limits(model, prompt, sampler.banned) | {
            "sampler": sampler,
            "rng": np.random.default_rng(self.random_seed),
        }

    def _search(self, model: AnyModel, prompt: Prompt) -> list[Beam]:
        assert self.beam is not None
        banned = banned_ids(model.vocabulary, self.sampling.ban)
        limits = self._limits(model, prompt, banned)
        only_complete = self.wanted.max_length is not None
        found = beam_search(model, prompt.ids, width=self.beam, banned=banned, only_complete=only_complete, **limits)
        count = self.count_for(model)
        if len(found) < count:
            raise SamplingError(f"the search found {len(found)} of {count} texts", hint="keep more with --beam")
        return found[:count]

    def _limits(self, model: AnyModel, prompt: Prompt, banned: tuple[int, ...]) -> dict[str, Any]:
        """Return where a text may and must stop; raise ConfigError for what no text of the model can be."""
        self.wanted.check(model, prompt.text, banned)
        return {
            "length": self.wanted.length_after(prompt.begun, self.most_characters),
            "until": self.until,
            "min_length": max(self.wanted.min_length - len(prompt.begun), 0),
        }


def _known(written: Written) -> Generator[str, None, Stopped]:
    """Yield the only text of some."""
    yield from written.texts
    return written.stopped[0]


def _fitted(prompt: Prompt, pieces: Generator[str, None, Stopped]) -> Generator[str, None, Stopped]:
    """Yield the pieces of a continuation as they follow a prompt."""
    try:
        first = next(pieces)
    except StopIteration as nothing:
        stopped: Stopped = nothing.value
        return stopped
    yield prompt.fit(first)
    return (yield from pieces)


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
