"""Write texts as some options say: one after another, many at once, selected, or found by a beam search."""

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from chargen.errors import SamplingError
from chargen.settings.writing import WritingOptions
from chargen.writing.ensemble import AnyModel
from chargen.writing.generation import Stopped, stream_text
from chargen.writing.prompt import Prompt, read_prompt
from chargen.writing.sampling import Sampler, make_sampler
from chargen.writing.selection import MAX_REPEATS, Constraints, IsNew, select_texts

LINES = 10  # texts drawn from a model of lines
TRIES = 20_000  # texts drawn to find those that satisfy the constraints
TRIES_EACH = 100  # and at least so many for each text
NOVEL_TRIES = 1000  # the same for stretches of text, which are long


class Written(NamedTuple):
    """Texts, why each stopped and, after a beam search, the sums of their log-probabilities in nats."""

    texts: list[str]
    stopped: list[Stopped]
    log_probabilities: list[float] | None = None


@dataclass(frozen=True)
class Request:
    """A prompt, the model that continues it, and the options. is_new: needed for novel texts, see `Constraints`."""

    model: AnyModel
    prompt: Prompt
    options: WritingOptions = field(default_factory=WritingOptions)
    is_new: IsNew | None = None

    @property
    def count(self) -> int:
        """How many texts to write."""
        return self.options.count or (LINES if self._by_line and self.options.beam is None else 1)

    def stream(self) -> Generator[str, None, Stopped]:
        """Yield one text piece by piece, the prompt first, and return why it stopped.

        A text that is selected or searched for comes as one piece. Raises at once what `write` raises.
        """
        return self._after_prompt(self._continuation())

    def write(self) -> Written:
        """Return all texts, each with the prompt in front.

        Raises ConfigError for what the model cannot do, SamplingError if too few texts satisfy the options.
        """
        written = self._continuations()
        return written._replace(texts=[self.prompt.text + text for text in written.texts])

    def _after_prompt(self, pieces: Generator[str, None, Stopped]) -> Generator[str, None, Stopped]:
        yield self.prompt.text
        return (yield from pieces)

    def _continuation(self) -> Generator[str, None, Stopped]:
        if self.options.beam is not None or self._constraints.selects:
            return _only(self._continuations())
        pieces = stream_text(self.model, self.prompt.ids, **self._drawn())
        return _fitted(self.prompt, pieces) if self.prompt.spaced else pieces

    def _continuations(self) -> Written:
        return self._selected() if self.options.beam is None else self._found(self.options.beam)

    def _selected(self) -> Written:
        """Return the drawn continuations that satisfy the constraints."""
        options, count, selects = self.options, self.count, self._constraints.selects
        tries = most_tries(options, count, by_line=self._by_line)
        several_lines = self._by_line and count > 1
        some = select_texts(
            self.model,
            self.prompt,
            count=count,
            constraints=self._constraints,
            tries=tries if selects else max(tries, count),
            distinct=several_lines if options.distinct is None else options.distinct,
            fewer=options.distinct is None,
            most_repeats=MAX_REPEATS if options.tries is None else tries,
            **self._drawn(),
        )
        return Written([one.text for one in some], [one.stopped for one in some])

    def _found(self, width: int) -> Written:
        """Return the most probable continuations that a beam search of some width finds."""
        from chargen.writing.beam import beam_search

        banned, only_complete = self._sampler.banned, self.options.max_length is not None
        found = beam_search(
            self.model, self.prompt.ids, width=width, banned=banned, only_complete=only_complete, **self._limits()
        )
        if len(found) < self.count:
            raise SamplingError(f"the search found {len(found)} of {self.count} texts", hint="keep more with --beam")
        best = found[: self.count]
        texts, stopped = [self.prompt.fit(one.text) for one in best], [one.stopped for one in best]
        return Written(texts, stopped, [one.log_probability for one in best])

    @property
    def _by_line(self) -> bool:
        return self.model.reading == "line"

    @cached_property
    def _constraints(self) -> Constraints:
        return Constraints(self.options, self.is_new)

    @cached_property
    def _sampler(self) -> Sampler:
        return make_sampler(self.options, self.model.vocabulary)

    def _drawn(self) -> dict[str, Any]:
        """Return the arguments that every way of drawing takes."""
        return self._limits() | {"sampler": self._sampler, "rng": np.random.default_rng(self.options.random_seed)}

    def _limits(self) -> dict[str, Any]:
        """Return where a text may and must stop. Raises ConfigError if no text of the model can satisfy the options."""
        begun = self.prompt.begun
        self._constraints.check(self.model, self.prompt.text, self._sampler.banned)
        return {
            "length": self._constraints.length_after(begun),
            "until": self.options.until,
            "min_length": max(self.options.min_length - len(begun), 0),
        }


def most_tries(options: WritingOptions, count: int, *, by_line: bool) -> int:
    """Return how many texts to draw at most for `count` texts. by_line: for a model of lines."""
    least = NOVEL_TRIES if options.novel and not by_line else TRIES
    return options.tries or max(least, TRIES_EACH * count)


def make_request(model: AnyModel, prompt: str, options: WritingOptions, *, is_new: IsNew | None = None) -> Request:
    """Return the request to continue a text, which comes back as it was typed whatever the model reads of it.

    Raises UnknownTokenError for characters or words that the model does not know, unless options.on_unknown says otherwise.
    """
    return Request(model, read_prompt(model.vocabulary, prompt, on_unknown=options.on_unknown), options, is_new)


def _only(written: Written) -> Generator[str, None, Stopped]:
    """Yield the only continuation of some."""
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
