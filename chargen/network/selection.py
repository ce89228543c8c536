"""Texts that have to be so and so: drawn until enough of them are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chargen.errors import ConfigError, SamplingError, UnknownTokenError
from chargen.network.generation import Continuation, continue_prompt
from chargen.network.prediction import AnyModel, TokenIds

BATCH_SIZE = 256  # texts drawn at a time
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

    def steps(self, prompt: str, length: int, longest: int = 1) -> int:
        """Return how many tokens to draw after a prompt: `length`, or what max_length leaves room for and the end.

        longest: the most tokens that one character takes.
        """
        return length if self.max_length is None else (self.max_length - len(prompt)) * longest + 1

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


def select_texts(model: AnyModel, prompt: TokenIds, *, count: int, wanted: Wanted, tries: int, **drawn: Any) -> list[str]:
    """Draw batches of continuations until `count` are wanted, and return those, in the order in which they were drawn.

    drawn: what `continue_prompt` takes besides. Raises SamplingError if `tries` continuations do not hold enough.
    """
    text = model.vocabulary.decode(prompt)
    found: list[str] = []
    for start in range(0, tries, BATCH_SIZE):
        some = continue_prompt(model, prompt, count=min(BATCH_SIZE, tries - start), **drawn)
        found += [one.text for one in some if wanted.accepts(text, one)]
        if len(found) >= count:
            return found[:count]
    raise SamplingError(
        f"{len(found):,} of {tries:,} texts were as asked, and {count:,} are wanted",
        hint="ask for less, draw more with --tries, or begin with another --seed",
    )


def distinct_continuations(model: AnyModel, prompt: TokenIds, *, count: int, **drawn: Any) -> list[Continuation]:
    """Draw up to `count` continuations of a prompt that all differ and are not empty; drawn: what `continue_prompt` takes."""
    some = continue_prompt(model, prompt, count=count * DRAWN_EACH, **drawn)
    return list({one.text: one for one in some if one.text}.values())[:count]
