"""Write text from a prompt: `chargen sample` and `Model.generate` call this."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from chargen.settings.layers import check_value, unknown_keyword
from chargen.settings.schema import UNKNOWN_CHOICES, SamplingOptions, Setting, setting
from chargen.writing.ensemble import AnyModel
from chargen.writing.generation import Stopped
from chargen.writing.prompt import Prompt, read_prompt
from chargen.writing.request import Request, Written
from chargen.writing.selection import Wanted


@dataclass(frozen=True, kw_only=True)
class WritingOptions(SamplingOptions):
    """All that can be asked of a text besides its prompt and how many there are to be; None leaves it open."""

    length: int | None = setting(None, "Characters to write, at most.", minimum=0)
    until: str | None = setting(None, "Stop once this text has been written.")
    beam: int | None = setting(None, "Search for the most probable texts, keeping so many.", minimum=1)
    min_length: int = setting(0, "No line ends before it has so many characters.", minimum=0)
    max_length: int | None = setting(None, "Only whole lines of up to so many characters.", minimum=1)
    must_contain: str = setting("", "Only texts that hold this text.")
    novel: bool = setting(False, "Only new texts.")
    copy_length: int = setting(20, "Characters from which on a span that stands in the corpus is a copy.", minimum=1)
    distinct: bool | None = setting(None, "No text twice.")
    tries: int | None = setting(None, "Texts drawn before it gives up.", minimum=1)
    random_seed: int | None = setting(None, "Seed of the draws.", minimum=0)
    on_unknown: str = setting("error", "What to do with unknown characters.", choices=UNKNOWN_CHOICES)


def read_options(given: Mapping[str, Any]) -> WritingOptions:
    """Return keyword arguments as options; a single temperature is one of several. Raises ConfigError for a bad one."""
    kinds, known = get_type_hints(WritingOptions), {one.name: one for one in fields(WritingOptions)}
    options = {}
    for name, value in given.items():
        if name not in known:
            raise unknown_keyword(name, known, first="prompt")
        if name == "temperature" and isinstance(value, int | float):
            value = (value,)
        if value is None and known[name].default is None:
            continue
        options[name] = check_value(name, value, kinds[name], known[name].metadata.get("setting", Setting(help="")))
    return WritingOptions(**options)


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A prompt, the model that reads it, and how it is to be continued."""

    model: AnyModel
    prompt: Prompt
    request: Request

    @property
    def count(self) -> int:
        """How many texts are asked for."""
        return self.request.count_for(self.model)

    def stream(self) -> Generator[str, None, Stopped]:
        """Return the pieces of one text as they come, the prompt first; what cannot be is known before.

        The generator returns why the text stopped.
        """
        return _after(self.prompt.text, self.request.stream(self.model, self.prompt))

    def write(self) -> Written:
        """Return all texts, each with the prompt in front. Raises SamplingError if too few are found."""
        written = self.request.write(self.model, self.prompt)
        return written._replace(texts=[self.prompt.text + text for text in written.texts])


def _after(prompt: str, pieces: Generator[str, None, Stopped]) -> Generator[str, None, Stopped]:
    yield prompt
    return (yield from pieces)


def compose(
    model: AnyModel, paths: Sequence[Path], prompt: str, options: WritingOptions, *, count: int | None = None
) -> Composition:
    """Prepare to continue a prompt with the model of some files.

    The prompt is returned as it was typed, whatever the model reads of it. Raises UnknownTokenError for characters or words in
    it that the model does not know, unless on_unknown leaves them out or replaces them, and ConfigError for options that
    exclude each other.
    """
    wanted = Wanted(
        min_length=options.min_length,
        max_length=options.max_length,
        contains=options.must_contain,
        novel=_novelty_test(paths, model.reading, options.copy_length) if options.novel else None,
    )
    request = Request(
        sampling=SamplingOptions(**{one.name: getattr(options, one.name) for one in fields(SamplingOptions)}),
        wanted=wanted,
        length=options.length,
        count=count,
        until=options.until,
        beam=options.beam,
        tries=options.tries,
        distinct=options.distinct,
        random_seed=options.random_seed,
    )
    return Composition(
        model=model, prompt=read_prompt(model.vocabulary, prompt, on_unknown=options.on_unknown), request=request
    )


def _novelty_test(paths: Sequence[Path], reading: str, copy_length: int) -> Callable[[str, str], bool]:
    """Return what tells whether a prompt and its continuation are new to the corpora of some models."""
    from chargen.insight.novelty import NoveltyJudge
    from chargen.runs.trained_text import training_texts

    return partial(NoveltyJudge(training_texts(paths), reading).is_new, copy_length=copy_length)
