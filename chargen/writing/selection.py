"""Draw texts until enough of them satisfy the given constraints."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chargen.errors import ConfigError, SamplingError, UnknownTokenError
from chargen.writing.ensemble import AnyModel
from chargen.writing.generation import Continuation, continue_prompt
from chargen.writing.prompt import Prompt

BATCH_SIZE = 256  # texts drawn at a time
MAX_REPEATS = 1000  # wanted texts drawn in a row that had all been drawn before
DRAWN_EACH = 4  # texts drawn for each one that is to differ from the others


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a whole text, the prompt included, has to be; lengths in characters.

    max_length: only texts that come to their end within it. contains: a text that has to be part of it, as it is written.
    novel: tells of a prompt and its continuation whether they are new; what is new is not decided here.
    Raises ConfigError for numbers that exclude each other.
    """

    min_length: int = 0
    max_length: int | None = None
    contains: str = ""
    novel: Callable[[str, str], bool] | None = None

    def __post_init__(self) -> None:
        if self.max_length is None:
            return
        if self.max_length < self.min_length:
            raise ConfigError(f"--min-length {self.min_length} is more than --max-length {self.max_length}")
        if self.max_length < len(self.contains):
            raise ConfigError(f"--must-contain {self.contains!r} is longer than --max-length {self.max_length}")

    @property
    def selects(self) -> bool:
        """Whether some drawn texts may have to be left out."""
        return bool(self.contains) or self.max_length is not None or self.novel is not None

    def length_after(self, prompt: str, length: int) -> int:
        """Return how many characters to draw after a prompt: `length`, or one more than max_length allows, to see the end."""
        return length if self.max_length is None else self.max_length - len(prompt) + 1

    def accepts(self, prompt: str, continuation: Continuation) -> bool:
        """Whether a prompt and its continuation are wanted."""
        text = prompt + continuation.text
        fits = self.max_length is None or (continuation.complete and len(text) <= self.max_length)
        return fits and self.contains in text and (self.novel is None or self.novel(prompt, continuation.text))

    def check(self, model: AnyModel, prompt: str, banned: tuple[int, ...] = ()) -> None:
        """Raise ConfigError for what no text of a model can be, after a prompt and without the banned ids."""
        for name, given in (("--min-length", self.min_length), ("--max-length", self.max_length)):
            if given and not model.ends:
                raise ConfigError(
                    f"{name} is for models of lines, whose texts end by themselves; this one reads documents",
                    hint="--length says how much it writes",
                )
        if self.max_length is not None and len(prompt) > self.max_length:
            raise ConfigError(f"the prompt has {len(prompt)} characters, --max-length is {self.max_length}")
        if self.contains not in prompt:
            self._check_contained(model, banned)

    def _check_contained(self, model: AnyModel, banned: tuple[int, ...]) -> None:
        try:
            ids = model.vocabulary.encode(self.contains)
        except UnknownTokenError as error:
            raise ConfigError(f"no text can contain {self.contains!r}: {error.message}") from error
        excluded = sorted(set(ids.tolist()) & set(banned))
        if excluded:
            raise ConfigError(
                f"--must-contain {self.contains!r} asks for {model.vocabulary.decode(excluded)!r}, which --ban forbids"
            )


def select_texts(
    model: AnyModel,
    prompt: Prompt,
    *,
    count: int,
    wanted: Wanted,
    tries: int,
    distinct: bool = False,
    fewer: bool = False,
    most_repeats: float = math.inf,
    **drawn: Any,
) -> list[Continuation]:
    """Draw continuations until `count` are wanted, and return those in the order in which they were drawn.

    distinct: leave out each text that was drawn before, and give up after most_repeats of them in a row. fewer: return what
    was found where only distinct texts are missing. drawn: what `continue_prompt` takes besides. Raises SamplingError if
    `tries` continuations do not hold enough.
    """
    found: list[Continuation] = []
    seen: set[str] = set()
    tried = wanted_ones = repeats = 0
    while len(found) < count and tried < tries and repeats < most_repeats:
        size = min(BATCH_SIZE if tried or wanted.selects else count, tries - tried)
        tried += size
        for one in _drawn(model, prompt, count=size, **drawn):
            if not wanted.accepts(prompt.text, one):
                continue
            wanted_ones += 1
            repeats = repeats + 1 if distinct and one.text in seen else 0
            if not repeats:
                found.append(one)
                seen.add(one.text)
    if len(found) >= count or (fewer and wanted_ones >= count):
        return found[:count]
    raise _too_few(len(found), tried, count, repeated=wanted_ones >= count)


def _drawn(model: AnyModel, prompt: Prompt, **drawn: Any) -> list[Continuation]:
    some = continue_prompt(model, prompt.ids, **drawn)
    return [one._replace(text=prompt.fit(one.text)) for one in some]


def _too_few(found: int, tried: int, count: int, *, repeated: bool) -> SamplingError:
    if repeated:
        return SamplingError(
            f"only {found:,} different text{'s' * (found != 1)} among {tried:,} drawn, and {count:,} are wanted",
            hint="ask for fewer with --count, raise --temp, draw more with --tries, or allow repeats with --no-distinct",
        )
    return SamplingError(
        f"{found:,} of {tried:,} texts were as asked, and {count:,} are wanted",
        hint="ask for less, draw more with --tries, or begin with another --seed",
    )


def distinct_continuations(model: AnyModel, prompt: Prompt, *, count: int, **drawn: Any) -> list[Continuation]:
    """Draw up to `count` continuations of a prompt that all differ and are not empty; drawn: what `continue_prompt` takes."""
    some = _drawn(model, prompt, count=count * DRAWN_EACH, **drawn)
    return list({one.text: one for one in some if one.text}.values())[:count]
