from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from chargen.cli.json_text import json_text
from chargen.cli.measuring import use_one_thread
from chargen.cli.options import (
    ABOUT_THE_CALL,
    LongCommand,
    common_options,
    json_option,
    on_unknown_option,
    output_option,
    runs_dir_option,
    write_output,
)
from chargen.cli.prompting import prompt_options
from chargen.cli.sampling import copy_length_option, model_options, raw_option, sampling_options, warn_of_drift
from chargen.settings.schema import SamplingOptions
from chargen.terminal import echo, echo_stream

FEW_TEXTS = 16  # that are written side by side, for whose products one thread is enough
DRAWN_IN_BATCHES = ("beam", "max_length", "must_contain", "novel")  # options for which many texts are


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
@sampling_options
@click.option("--beam", type=click.IntRange(1), metavar="K", help="Search for the most probable texts, keeping K; no draws.")
@click.option("--length", type=click.IntRange(0), help="Characters to write, at most.  [default: 200]")
@click.option(
    "--count",
    type=click.IntRange(1),
    help="Texts to write; with --beam the best ones, up to K.  [default: 1, or 10 drawn from a model of lines]",
)
@click.option("--until", metavar="TEXT", help="Stop once TEXT has been written.")
@click.option(
    "--min-length",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="For models of lines: no line ends before it has N characters, those of --seed counted.",
)
@click.option(
    "--max-length",
    type=click.IntRange(1),
    metavar="N",
    help="For models of lines: only whole lines of up to N characters, those of --seed counted. Longer ones are drawn anew, "
    "never cut.",
)
@click.option("--must-contain", default="", metavar="TEXT", help="Only texts that hold TEXT as written; others are drawn anew.")
@click.option(
    "--novel",
    is_flag=True,
    help="Only new texts: lines that are none of the corpus, other texts without a stretch of --copy-length copied from it.",
)
@copy_length_option
@click.option(
    "--distinct/--no-distinct",
    default=None,
    help="No text twice.  [default: for several lines, as far as there are different ones]",
)
@click.option(
    "--tries",
    type=click.IntRange(1),
    help="Texts drawn for --max-length, --must-contain, --novel and --distinct before it gives up.  "
    "[default: 20000, 1000 for --novel without lines, or 100 times --count]",
)
@click.option("--random-seed", type=click.IntRange(0), help="Seed of the draws; the same one gives the same text.")
@on_unknown_option
@output_option
@runs_dir_option
@raw_option
@json_option
@common_options
def command(
    run_specs: tuple[str, ...],
    label: str | None,
    carry: bool | None,
    ensemble: str,
    prompt: str,
    sampling: SamplingOptions,
    count: int | None,
    output: Path | None,
    runs_dir: Path,
    raw: bool,
    as_json: bool,
    verbosity: int,
    **asked: Any,
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
    if (count or 1) <= FEW_TEXTS and not any(asked[name] for name in DRAWN_IN_BATCHES):
        use_one_thread()
    from chargen.runs.directory import find_model
    from chargen.tasks.writing import WritingOptions, compose
    from chargen.writing.ensemble import load_models

    paths = [find_model(spec, runs_dir) for spec in run_specs or [None]]
    model = load_models(paths, ensemble, label=label, carry=carry)
    warn_of_drift(model, verbosity)
    text = compose(model, paths, prompt, WritingOptions(**asdict(sampling), **asked), count=count)
    notes: list[str] = []
    pieces = _json(text, notes) if as_json else _text(text, notes)
    if output is not None:
        write_output(output, "".join(pieces))
    else:
        echo_stream(pieces, raw=raw)
    for note in notes if verbosity else ():
        echo(note, err=True)


def _text(text: Any, notes: list[str]) -> Iterator[str]:
    """Yield the texts, a single one as it is written, and add what the user should know of them to the notes."""
    if text.count == 1:
        stopped = [(yield from text.stream())]
    else:
        written = text.write()
        stopped = written.stopped
        yield ("\n" if text.model.reading == "line" else "\n\n").join(written.texts)
        notes += _too_few(written.texts, text.count)
    yield "\n"
    notes += _not_until(text.request, stopped)


def _json(text: Any, notes: list[str]) -> Iterator[str]:
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
        yield f"the network wrote only {len(texts):,} different text{'s' * (len(texts) > 1)}, of {count:,}; {hint}"


def _not_until(request: Any, stopped: Sequence[str]) -> Iterator[str]:
    """Yield a note if --until did not stop every text."""
    missed = [one for one in stopped if one != "until"]
    if not request.until or not missed:
        return
    if len(stopped) > 1:
        where = f"in {len(missed):,} of {len(stopped):,} texts"
    else:
        where = f"within {request.most_characters:,} characters" if missed == ["length"] else "before the text came to its end"
    yield f"--until {request.until!r} did not occur {where}"
