"""Declare every option of writing text once: its name, flag, default, bounds and help.

`chargen sample`, `play` and `novelty`, the bodies of `chargen serve`, `Model.generate` and its type stub all derive from these
classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from chargen.errors import ConfigError
from chargen.settings.layers import check_value, unknown_keyword
from chargen.settings.schema import UNKNOWN_CHOICES, Setting, flag_name, setting

LENGTH = 200  # characters of a text, unless given
COUNT = "count"  # the option that `Model.texts` takes beside the others


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Define how each token is drawn from the predicted probabilities. Raises ConfigError for a value out of range."""

    temperature: tuple[float, ...] = setting(
        (1.0,),
        "Temperature; 0 is greedy. Several take turns, one a character.",
        minimum=0.0,
        flag="--temp",
        metavar="T[,T...]",
    )
    top_k: int = setting(0, "Draw from the K most probable characters only; 0 for all.", minimum=0, metavar="K")
    top_p: float = setting(
        1.0, "Draw from the fewest characters whose probabilities reach P.", above=0.0, maximum=1.0, metavar="P"
    )
    greedy: bool = setting(False, "Always take the most probable character.")
    repetition_penalty: float = setting(
        1.0,
        "Make recently drawn characters less probable: logits are divided by R, or multiplied where negative, as in CTRL "
        "(Keskar et al. 2019); 1 changes nothing.",
        minimum=0.01,
        maximum=100.0,
        metavar="R",
    )
    repetition_window: int = setting(64, "How many drawn characters the penalty looks back on.", minimum=1, metavar="N")
    cache: float = setting(
        0.0,
        "Weight of a cache beside the model: n-grams of the prompt and of what was written, which make a text repeat its own "
        "names and phrases. From 0 (none) to 1.",
        minimum=0.0,
        maximum=1.0,
        metavar="W",
    )
    ban: str = setting("", "Characters that are never drawn.", metavar="CHARS")
    random_seed: int | None = setting(
        None,
        "Seed of the draws; the same one gives the same text.",
        minimum=0,
        maximum=2**63 - 1,
        unset="a new one each time",
    )

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for one in fields(self):
            value, detail = getattr(self, one.name), one.metadata["setting"]
            if value is not None or one.default is not None:
                object.__setattr__(self, one.name, check_value(flag_name(one.name, detail), value, kinds[one.name], detail))
        if not self.temperature:
            raise ConfigError("--temp is empty, expected one number or more")

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The temperatures that take turns; 0 takes the most probable token."""
        return (0.0,) if self.greedy else self.temperature


@dataclass(frozen=True, kw_only=True)
class WritingOptions(SamplingOptions):
    """Define the text to write, except for its prompt. Raises ConfigError for options that conflict."""

    beam: int | None = setting(
        None, "Search for the most probable texts, keeping K; nothing is drawn.", minimum=1, metavar="K", unset="none"
    )
    length: int | None = setting(None, "Characters to write, at most.", minimum=0, unset=str(LENGTH))
    count: int | None = setting(
        None,
        "Texts to write; with --beam the best ones, up to K.",
        minimum=1,
        unset="1, or 10 drawn from a model of lines",
    )
    until: str | None = setting(None, "Stop once TEXT has been written.", metavar="TEXT", unset="none")
    min_length: int = setting(
        0,
        "For models of lines: no line ends before it has N characters, including those of --seed.",
        minimum=0,
        metavar="N",
    )
    max_length: int | None = setting(
        None,
        "For models of lines: write only whole lines of up to N characters, including those of --seed. Longer ones are drawn "
        "again, never cut.",
        minimum=1,
        metavar="N",
        unset="no limit",
    )
    must_contain: str = setting("", "Write only texts that contain TEXT; others are drawn again.", metavar="TEXT")
    novel: bool = setting(
        False,
        "Write only new texts: lines that are not in the corpus, other texts that copy no stretch of --copy-length from it.",
    )
    copy_length: int = setting(
        20, "Shortest stretch of the corpus, in characters, that counts as a copy.", minimum=1, metavar="N"
    )
    distinct: bool | None = setting(None, "Write no text twice.", unset="for several lines, as far as the model can")
    tries: int | None = setting(
        None,
        "Texts drawn for --max-length, --must-contain, --novel and --distinct before it gives up.",
        minimum=1,
        unset="20000, 1000 for --novel without lines, or 100 times --count",
    )
    on_unknown: str = setting(
        "error",
        "What to do with a character, or a word of a prompt, that the model has never seen.",
        choices=UNKNOWN_CHOICES,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_length is not None:
            self._check_max_length(self.max_length)
        if self.beam is not None:
            self._check_beam(self.beam)

    def _check_max_length(self, most: int) -> None:
        if self.length is not None:
            raise ConfigError("--length and --max-length exclude each other", hint="--max-length keeps whole lines only")
        if most < self.min_length:
            raise ConfigError(f"--min-length {self.min_length} is more than --max-length {most}")
        if most < len(self.must_contain):
            raise ConfigError(f"--must-contain {self.must_contain!r} is longer than --max-length {most}")

    def _check_beam(self, width: int) -> None:
        drawing = [flag_name(name, detail) for name, detail in _changed(self) if name in _FOR_DRAWS]
        if drawing:
            raise ConfigError(f"--beam draws nothing, which excludes {', '.join(drawing)}", hint="leave out one or the other")
        if self.count and self.count > width:
            raise ConfigError(f"--count {self.count} is more than the {width} texts that --beam {width} finds")


_FOR_DRAWS = {one.name for one in fields(SamplingOptions)} - {"ban", "random_seed"} | {"must_contain", "novel", "tries"}


def _changed(options: WritingOptions) -> list[tuple[str, Setting]]:
    """Return name and declaration of the options that differ from their defaults."""
    return [(one.name, one.metadata["setting"]) for one in fields(options) if getattr(options, one.name) != one.default]


def declared(cls: type, name: str, **changes: Any) -> Any:
    """Return a dataclass field that declares an option of another class again, perhaps with another default."""
    (one,) = (one for one in fields(cls) if one.name == name)
    return field(default=changes.get("default", one.default), metadata=one.metadata)


def read_keywords(given: Mapping[str, Any], *, count: int | None) -> WritingOptions:
    """Return the keyword arguments of `Model.generate` as options. Raises ConfigError for one that is unknown or bad."""
    known = {one.name: one for one in fields(WritingOptions) if one.name != COUNT}
    for name, value in given.items():
        if name not in known:
            raise unknown_keyword(name, known, first="prompt")
        if value is None and known[name].default is not None:
            raise ConfigError(f"{name} is None, expected a value", hint="leave it out for the default")
    return WritingOptions(count=count, **given)
