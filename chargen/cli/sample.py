from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.json_text import json_text
from chargen.cli.measuring import use_one_thread
from chargen.cli.options import (
    ABOUT_THE_CALL,
    LongCommand,
    common_options,
    json_option,
    options_of,
    output_option,
    runs_dir_option,
    write_output,
)
from chargen.cli.prompting import prompt_options
from chargen.cli.sampling import model_options, raw_option, warn_of_drift
from chargen.settings.writing import LENGTH, WritingOptions
from chargen.terminal import echo, echo_stream

if TYPE_CHECKING:
    from chargen.writing.request import Request
    from chargen.writing.selection import IsNew

FEW_TEXTS = 16  # written side by side: one thread is enough for their products
DRAWN_IN_BATCHES = ("beam", "max_length", "must_contain", "novel")  # options that need many texts


COMMON = {
    "Model": ("--run", "--label"),
    "Prompt": ("--seed", "--seed-file"),
    "Draw": ("--temp", "--top-k", "--top-p", "--greedy", "--repetition-penalty", "--random-seed", "--beam"),
    "Texts": ("--length", "--count", "--until", "--min-length", "--max-length", "--must-contain", "--novel"),
    "Output": ("--output", "--json", *ABOUT_THE_CALL),
}


@click.command("sample", cls=LongCommand, common=COMMON)
@model_options
@prompt_options()
@options_of(WritingOptions)
@output_option
@runs_dir_option
@raw_option
@json_option
@common_options
def command(
    run_specs: tuple[str, ...],
    label: str | None,
    carry: bool | None,
    memory: float | None,
    ensemble: str,
    prompt: str,
    options: WritingOptions,
    output: Path | None,
    runs_dir: Path,
    raw: bool,
    as_json: bool,
    verbosity: int,
) -> None:
    """Write new text with a trained network.

    A model of lines, such as names, writes whole lines; other models write a stretch of text.

    \b
      chargen sample --seed "Har" --temp 1.2
      chargen sample --temp 0.2,0.5,1.0 --length 500 --top-p 0.9
      chargen sample --count 100 --min-length 4 --max-length 7 --must-contain an
      chargen sample --count 100 --novel
      head -c 500 book.txt | chargen sample --seed -
      chargen sample --beam 10 --count 10 --json
      chargen sample --run book-lstm-20260101-120000 --run book-gru-20260101-130000
    """
    if (options.count or 1) <= FEW_TEXTS and not any(getattr(options, name) for name in DRAWN_IN_BATCHES):
        use_one_thread()
    from chargen.runs.directory import find_model
    from chargen.writing.ensemble import load_models
    from chargen.writing.request import make_request

    paths = [find_model(spec, runs_dir) for spec in run_specs or [None]]
    model = load_models(paths, ensemble, label=label, carry=carry, memory=memory)
    warn_of_drift(model, verbosity)
    text = make_request(model, prompt, options, is_new=_is_new(paths, model.reading, options) if options.novel else None)
    notes: list[str] = []
    pieces = _json(text, notes) if as_json else _text(text, notes)
    if output is not None:
        write_output(output, "".join(pieces))
    else:
        echo_stream(pieces, raw=raw)
    for note in notes if verbosity else ():
        echo(note, err=True)


def _is_new(paths: Sequence[Path], reading: str, options: WritingOptions) -> "IsNew":
    from chargen.insight.novelty import novelty_test

    return novelty_test(paths, reading, options.copy_length)


def _text(text: "Request", notes: list[str]) -> Iterator[str]:
    """Yield the texts, a single one as it is written, and add remarks for the user to the notes."""
    if text.count == 1:
        stopped = [(yield from text.stream())]
    else:
        written = text.write()
        stopped = written.stopped
        yield ("\n" if text.model.reading == "line" else "\n\n").join(written.texts)
        notes += _too_few(written.texts, text.count)
    yield "\n"
    notes += _not_until(text, stopped)


def _json(text: "Request", notes: list[str]) -> Iterator[str]:
    written = text.write()
    content: dict[str, Any] = {"prompt": text.prompt.text, "texts": written.texts, "stopped": written.stopped}
    if written.log_probabilities is not None:
        content["log_probabilities"] = written.log_probabilities
    yield json_text(content)
    yield "\n"
    notes += _too_few(written.texts, text.count)


def _too_few(texts: Sequence[str], count: int) -> Iterator[str]:
    if len(texts) < count:
        hint = "a higher --temp gives more variety, --no-distinct allows repeats"
        yield f"the network wrote only {len(texts):,} different text{'s' * (len(texts) > 1)} of {count:,}; {hint}"


def _not_until(text: "Request", stopped: Sequence[str]) -> Iterator[str]:
    """Yield a note if --until did not stop every text."""
    missed = [one for one in stopped if one != "until"]
    until = text.options.until
    if not until or not missed:
        return
    if len(stopped) > 1:
        where = f"in {len(missed):,} of {len(stopped):,} texts"
    else:
        length = LENGTH if text.options.length is None else text.options.length
        where = f"within {length:,} characters" if missed == ["length"] else "before the text ended"
    yield f"--until {until!r} did not occur {where}"
