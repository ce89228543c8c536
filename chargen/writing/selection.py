"""Draw texts until enough of them satisfy the given constraints."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chargen.errors import ConfigError, SamplingError, UnknownTokenError
from chargen.settings.writing import LENGTH, WritingOptions
from chargen.writing.ensemble import AnyModel
from chargen.writing.generation import Continuation, continue_prompt
from chargen.writing.prompt import Prompt

IsNew = Callable[[str, str], bool]  # of a prompt and its continuation

BATCH_SIZE = 256  # texts drawn at a time
MAX_REPEATS = 1000  # accepted texts in a row that had all been drawn before
DRAWN_EACH = 4  # texts drawn for each of several that must differ


@dataclass(frozen=True)
class Constraints:
    """Conditions on a whole text, including the prompt; lengths are in characters.

    is_new: whether a prompt and its continuation are new to the corpus, for options that ask for novel texts.
    """

    options: WritingOptions = field(default_factory=WritingOptions)
    is_new: IsNew | None = None

    @property
    def selects(self) -> bool:
        """Whether some drawn texts may have to be left out."""
        return bool(self.options.must_contain) or self.options.max_length is not None or self.options.novel

    def length_after(self, prompt: str) -> int:
        """Return how many characters to draw after a prompt: one more than --max-length allows, to see the end."""
        if self.options.max_length is not None:
            return self.options.max_length - len(prompt) + 1
        return LENGTH if self.options.length is None else self.options.length

    def accepts(self, prompt: str, continuation: Continuation) -> bool:
        """Whether a prompt and its continuation satisfy the conditions."""
        text, most = prompt + continuation.text, self.options.max_length
        fits = most is None or (continuation.complete and len(text) <= most)
        return fits and self.options.must_contain in text and (self.is_new is None or self.is_new(prompt, continuation.text))

    def check(self, model: AnyModel, prompt: str, banned: tuple[int, ...] = ()) -> None:
        """Raise ConfigError if no text of a model can satisfy them after a prompt, without the banned ids."""
        most, contains = self.options.max_length, self.options.must_contain
        for name, given in (("--min-length", self.options.min_length), ("--max-length", most)):
            if given and not model.ends:
                raise ConfigError(
                    f"{name} needs a model of lines, whose texts end by themselves; this model was trained on documents",
                    hint="set how much it writes with --length",
                )
        if most is not None and len(prompt) > most:
            raise ConfigError(f"the prompt has {len(prompt)} characters, --max-length is {most}")
        if contains not in prompt:
            _check_contained(contains, model, banned)


def _check_contained(contains: str, model: AnyModel, banned: tuple[int, ...]) -> None:
    """Raise ConfigError if a model cannot write a text that contains another."""
    try:
        ids = model.vocabulary.encode(contains)
    except UnknownTokenError as error:
        raise ConfigError(f"no text can contain {contains!r}: {error.message}") from error
    excluded = sorted(set(ids.tolist()) & set(banned))
    if excluded:
        raise ConfigError(f"--must-contain {contains!r} needs {model.vocabulary.decode(excluded)!r}, which --ban forbids")


@dataclass
class Selection:
    """Collect the continuations of a prompt that satisfy the constraints, until there are `count`.

    distinct: leave out each text that was collected before, and give up after most_repeats of them in a row. fewer: accept
    fewer texts if only distinct ones are missing.
    """

    prompt: str
    constraints: Constraints
    count: int
    distinct: bool = False
    fewer: bool = False
    most_repeats: float = math.inf
    found: list[Continuation] = field(default_factory=list)
    tried: int = 0
    _accepted: int = 0
    _repeats: int = 0
    _seen: set[str] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """Whether no further text is needed, or only known ones come."""
        return len(self.found) >= self.count or self._repeats >= self.most_repeats

    def add(self, one: Continuation) -> None:
        """Collect a continuation if it satisfies the constraints."""
        self.tried += 1
        if not self.constraints.accepts(self.prompt, one):
            return
        self._accepted += 1
        self._repeats = self._repeats + 1 if self.distinct and one.text in self._seen else 0
        if not self._repeats:
            self.found.append(one)
            self._seen.add(one.text)

    def result(self) -> list[Continuation]:
        """Return the continuations in the order in which they came. Raises SamplingError if there are not enough."""
        enough = self._accepted >= self.count
        if len(self.found) >= self.count or (self.fewer and enough):
            return self.found[: self.count]
        raise _too_few(len(self.found), self.tried, self.count, repeated=enough)


def select_texts(
    model: AnyModel,
    prompt: Prompt,
    *,
    count: int,
    constraints: Constraints,
    tries: int,
    distinct: bool = False,
    fewer: bool = False,
    most_repeats: float = math.inf,
    **drawn: Any,
) -> list[Continuation]:
    """Draw at most `tries` continuations and return those that a `Selection` keeps, which explains the other arguments.

    drawn: the other arguments of `continue_prompt`. Raises SamplingError if there are not enough.
    """
    selection = Selection(prompt.text, constraints, count, distinct=distinct, fewer=fewer, most_repeats=most_repeats)
    while not selection.done and selection.tried < tries:
        size = min(BATCH_SIZE if selection.tried or constraints.selects else count, tries - selection.tried)
        for one in _drawn(model, prompt, count=size, **drawn):
            selection.add(one)
    return selection.result()


def _drawn(model: AnyModel, prompt: Prompt, **drawn: Any) -> list[Continuation]:
    some = continue_prompt(model, prompt.ids, **drawn)
    return [one._replace(text=prompt.fit(one.text)) for one in some]


def _too_few(found: int, tried: int, count: int, *, repeated: bool) -> SamplingError:
    if repeated:
        return SamplingError(
            f"only {found:,} different text{'s' * (found != 1)} among {tried:,} drawn, expected {count:,}",
            hint="ask for fewer with --count, raise --temp, draw more with --tries, or allow repeats with --no-distinct",
        )
    return SamplingError(
        f"{found:,} of {tried:,} drawn texts satisfy the conditions, expected {count:,}",
        hint="loosen them, draw more with --tries, or try another --seed",
    )


def distinct_continuations(model: AnyModel, prompt: Prompt, *, count: int, **drawn: Any) -> list[Continuation]:
    """Draw up to `count` different, non-empty continuations of a prompt; drawn: the other arguments of `continue_prompt`."""
    some = _drawn(model, prompt, count=count * DRAWN_EACH, **drawn)
    return list({one.text: one for one in some if one.text}.values())[:count]
