"""Declare the fields of a request's body with defaults and bounds, and check them as settings are checked."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_type_hints

from chargen.errors import ConfigError
from chargen.network.strict_json import parse_json
from chargen.settings.layers import check_value, likely_name
from chargen.settings.schema import setting
from chargen.settings.writing import SamplingOptions, WritingOptions, declared

Body = TypeVar("Body")

LARGEST_ID = 2**63 - 1
STOP: Any = setting((), "Texts before which to stop.")


@dataclass(frozen=True, kw_only=True)
class NextBody:
    """Ask what may follow a text.

    ids take the place of the text; given: how many of them were a prompt, the others having been written since.
    """

    text: str = setting("", "Text that was read.")
    ids: tuple[int, ...] = setting((), "Token ids instead of a text.", minimum=0, maximum=LARGEST_ID)
    given: int | None = setting(None, "How many of the ids were the prompt.", minimum=0)
    label: str | None = setting(None, "Label to write for.")
    on_unknown: str = declared(WritingOptions, "on_unknown")
    temperature: float = setting(1.0, "Temperature.", minimum=0.0, maximum=100.0)
    top: int = setting(10, "Number of tokens to send.", minimum=1, maximum=1000)


@dataclass(frozen=True, kw_only=True)
class CompletionBody(SamplingOptions):
    """Ask for the continuation of a text, drawn as `chargen sample` draws it. ids and given are those of NextBody.

    The text is cut at `length` characters; if top asks for tokens, the last one is whole. again: after an end another text
    comes, which begins as this one did; the end counts as a character. top, for streams: send the tokens with their bits, and
    after each event so many that may come next. every: tokens of an event, at most. drawn: how many tokens earlier requests
    with this random seed drew; the draws go on from there.
    """

    prompt: str = setting("", "Text to continue.")
    ids: tuple[int, ...] = setting((), "Token ids instead of a prompt.", minimum=0, maximum=LARGEST_ID)
    given: int | None = setting(None, "How many of the ids were the prompt.", minimum=0)
    label: str | None = setting(None, "Label to write for.")
    on_unknown: str = declared(WritingOptions, "on_unknown")
    length: int | None = declared(WritingOptions, "length")
    until: str | None = declared(WritingOptions, "until")
    stop: tuple[str, ...] = STOP
    count: int | None = declared(WritingOptions, "count")
    min_length: int = declared(WritingOptions, "min_length")
    max_length: int | None = declared(WritingOptions, "max_length")
    must_contain: str = declared(WritingOptions, "must_contain")
    novel: bool = declared(WritingOptions, "novel")
    copy_length: int = declared(WritingOptions, "copy_length")
    distinct: bool | None = declared(WritingOptions, "distinct")
    tries: int | None = declared(WritingOptions, "tries")
    stream: bool = setting(False, "Send the text as it comes.")
    again: bool = setting(False, "After an end, begin another text.")
    top: int | None = setting(None, "Number of probable next tokens to send.", minimum=1, maximum=1000)
    every: int | None = setting(None, "Tokens of an event, at most.", minimum=1)
    drawn: int = setting(0, "Draws made before with the same seed.", minimum=0, maximum=LARGEST_ID)

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt

    @property
    def options(self) -> WritingOptions:
        """The options of `chargen sample` among the fields. Raises ConfigError if some conflict."""
        shared = {one.name for one in fields(WritingOptions)} & {one.name for one in fields(self)}
        return WritingOptions(**{name: getattr(self, name) for name in shared})


@dataclass(frozen=True, kw_only=True)
class ScoreBody:
    """Ask for the bits of a text."""

    text: str = setting("", "Text to measure.")
    label: str | None = setting(None, "Label that the text has.")
    on_unknown: str = declared(WritingOptions, "on_unknown")


@dataclass(frozen=True, kw_only=True)
class OpenAiBody:
    """Ask for completions in the form of OpenAI's API; top_k, repetition_penalty, label and on_unknown are additions.

    Fields that make no difference here, such as user, are accepted and ignored.
    """

    model: str = setting("", "Name of the model; the first one unless given.")
    prompt: tuple[str, ...] = setting((), "Text to continue, or several.")
    max_tokens: int = setting(16, "Tokens to write, at most.", minimum=0, maximum=1_000_000)
    temperature: tuple[float, ...] = declared(SamplingOptions, "temperature")
    top_p: float = declared(SamplingOptions, "top_p")
    top_k: int = declared(SamplingOptions, "top_k")
    repetition_penalty: float = declared(SamplingOptions, "repetition_penalty")
    n: int = setting(1, "Completions of each prompt.", minimum=1, maximum=20)
    stop: tuple[str, ...] = STOP
    seed: int | None = declared(SamplingOptions, "random_seed")
    logprobs: int | None = setting(None, "Number of probable tokens to return for each token.", minimum=0, maximum=20)
    echo: bool = setting(False, "Repeat the prompt before the completion.")
    stream: bool = setting(False, "Send the text as it comes.")
    label: str | None = setting(None, "Label to write for.")
    on_unknown: str = declared(WritingOptions, "on_unknown")
    user: str | None = setting(None, "Ignored.")
    best_of: int = setting(1, "Only 1.", minimum=1, maximum=1)
    frequency_penalty: float = setting(0.0, "Only 0; see repetition_penalty.", minimum=0.0, maximum=0.0)
    presence_penalty: float = setting(0.0, "Only 0; see repetition_penalty.", minimum=0.0, maximum=0.0)


def parse_body(kind: type[Body], content: bytes, *, marks: int) -> Body:
    """Return the body of a request, a JSON object with at most `marks` commas and brackets; null stands for the default.

    Raises ConfigError for content that is not JSON, an unknown field, and a value of the wrong type or out of range.
    """
    try:
        found = parse_json(content.decode("utf-8"), depth=2, marks=marks)
    except ValueError as error:
        raise ConfigError(f"the body cannot be read: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise ConfigError("the body is not a JSON object")
    types, known = get_type_hints(kind), {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    for name in found.keys() - known.keys():
        likely = likely_name(name, known)
        hint = f"did you mean {likely}?" if likely else f"known: {', '.join(known)}"
        raise ConfigError(f"unknown field {name!r:.40}, {hint}")
    values = {name: value for name, value in found.items() if value is not None}
    return kind(
        **{name: check_value(name, value, types[name], known[name].metadata["setting"]) for name, value in values.items()}
    )
