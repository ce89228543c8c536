"""Declare the fields of a request's body with defaults and bounds, and check them as settings are checked."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_type_hints

from chargen.errors import ConfigError
from chargen.network.strict_json import parse_json
from chargen.settings.layers import check_value, likely_name
from chargen.settings.schema import UNKNOWN_CHOICES, setting

Body = TypeVar("Body")

LARGEST_SEED = LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class NextBody:
    """Asks what may follow a text.

    ids take the place of the text; given: how many of them were a prompt, the others having been written since.
    """

    text: str = setting("", "Text that was read.")
    ids: tuple[int, ...] = setting((), "Token ids instead of a text.", minimum=0, maximum=LARGEST_ID)
    given: int | None = setting(None, "How many of the ids were the prompt.", minimum=0)
    label: str | None = setting(None, "Label to write for.")
    on_unknown: str = setting("error", "What to do with unknown characters.", choices=UNKNOWN_CHOICES)
    temperature: float = setting(1.0, "Temperature.", minimum=0.0, maximum=100.0)
    top: int = setting(10, "Tokens to tell.", minimum=1, maximum=1000)


@dataclass(frozen=True, kw_only=True)
class CompletionBody:
    """Asks for the continuation of a text. ids and given are those of NextBody.

    The text is cut at `length` characters; where top asks for tokens, the last one is whole. again: after an end another text
    comes, which begins as this one did; the end counts as a character. top, for streams: tell the tokens with their bits, and
    after each event so many that may come next. every: tokens of an event, at most.
    """

    prompt: str = setting("", "Text to continue.")
    ids: tuple[int, ...] = setting((), "Token ids instead of a prompt.", minimum=0, maximum=LARGEST_ID)
    given: int | None = setting(None, "How many of the ids were the prompt.", minimum=0)
    label: str | None = setting(None, "Label to write for.")
    on_unknown: str = setting("error", "What to do with unknown characters.", choices=UNKNOWN_CHOICES)
    temperature: float = setting(1.0, "Temperature.", minimum=0.0, maximum=100.0)
    top_k: int = setting(0, "Draw from the most probable tokens only.", minimum=0)
    top_p: float = setting(1.0, "Draw from the fewest tokens that hold so much together.", above=0.0, maximum=1.0)
    length: int = setting(200, "Characters to write, at most.", minimum=0)
    random_seed: int | None = setting(None, "Seed of the draws.", minimum=0, maximum=LARGEST_SEED)
    stream: bool = setting(False, "Send the text as it comes.")
    again: bool = setting(False, "After an end, begin another text.")
    top: int | None = setting(None, "Tokens that may come next to tell.", minimum=1, maximum=1000)
    every: int | None = setting(None, "Tokens of an event, at most.", minimum=1)

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt


@dataclass(frozen=True, kw_only=True)
class ScoreBody:
    """Asks for the bits of a text."""

    text: str = setting("", "Text to weigh.")
    label: str | None = setting(None, "Label that the text has.")
    on_unknown: str = setting("error", "What to do with unknown characters.", choices=UNKNOWN_CHOICES)


def parse_body(kind: type[Body], content: bytes, *, marks: int) -> Body:
    """Return the body of a request, a JSON object with at most so many commas and brackets; null is the default.

    Raises ConfigError for what is no JSON, a field that is unknown, and a value of the wrong type or out of range.
    """
    try:
        found = parse_json(content.decode("utf-8"), depth=2, marks=marks)
    except ValueError as error:
        raise ConfigError(f"the body cannot be read: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise ConfigError("the body is no JSON object")
    types, known = get_type_hints(kind), {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    for name in found.keys() - known.keys():
        likely = likely_name(name, known)
        hint = f"did you mean {likely}?" if likely else f"known: {', '.join(known)}"
        raise ConfigError(f"unknown field {name!r:.40}, {hint}")
    given = {name: value for name, value in found.items() if value is not None}
    checked: dict[str, Any] = {
        name: check_value(name, value, types[name], known[name].metadata["setting"]) for name, value in given.items()
    }
    return kind(**checked)
