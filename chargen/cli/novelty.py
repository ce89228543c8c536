from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from chargen.cli.completing import complete_files, complete_runs
from chargen.cli.json_text import json_text
from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.cli.sampling import carry_option, copy_length_option, label_option, sampling_options
from chargen.errors import ConfigError
from chargen.settings.schema import SamplingOptions
from chargen.terminal import echo

LINES, TEXTS, LENGTH = 100, 10, 1000  # drawn unless told: lines, or other texts and their characters
SHOWN = 20  # lines of a list, and a list is cut after so many
SHOWN_CHARACTERS = 200  # of the longest copy


@click.command("novelty")
@click.argument("run_spec", metavar="[RUN]", required=False, shell_complete=complete_runs)
@click.option(
    "--file",
    "file",
    metavar="FILE",
    shell_complete=complete_files,
    help="NoveltyJudge the text of a file, - for stdin, instead of drawing some.",
)
@sampling_options
@click.option("--length", type=click.IntRange(1), help="Characters to draw, at most.  [default: 1000]")
@click.option("--count", type=click.IntRange(1), help="Texts to draw.  [default: 10, or 100 lines from a model of lines]")
@click.option("--random-seed", type=click.IntRange(0), help="Seed of the draws.")
@copy_length_option
@carry_option
@label_option
@runs_dir_option
@json_option
@common_options
def command(
    run_spec: str | None,
    file: str | None,
    sampling: SamplingOptions,
    length: int | None,
    count: int | None,
    random_seed: int | None,
    copy_length: int,
    label: str | None,
    carry: bool | None,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Tell what a network copies from its corpus: draw texts, and find again what of them stands there.

    The longest stretch that is copied and where it stands, the share of the text within copies, the lines that are lines of
    the corpus, and those that are so but for one or two letters. RUN is the newest one unless given.

    \b
      chargen novelty
      chargen novelty book-lstm-20260101-120000 --temp 0.5 --copy-length 30
      chargen novelty --file story.txt --json
    """
    from chargen.insight.novelty import NoveltyJudge
    from chargen.runs.directory import find_model
    from chargen.runs.trained_text import training_texts
    from chargen.writing.ensemble import load_models
    from chargen.writing.prompt import read_prompt
    from chargen.writing.request import Request

    path = find_model(run_spec, runs_dir)
    model = load_models([path], label=label, carry=carry)
    judge = NoveltyJudge(training_texts([path]), model.reading)
    if file is not None:
        if count or length:
            raise ConfigError(
                "--file judges a text, --count and --length are for drawn ones", hint="leave out one or the other"
            )
        texts = _given_texts(file, model.reading)
    else:
        by_line = model.reading == "line"
        request = Request(
            sampling=sampling,
            random_seed=random_seed,
            count=count or (LINES if by_line else TEXTS),
            length=length or (None if by_line else LENGTH),
            distinct=False,
        )
        texts = request.write(model, read_prompt(model.vocabulary, "")).texts
    report = judge.judge(texts, copy_length)
    if as_json:
        echo(json_text(_mapping(report, texts, copy_length)))
    else:
        echo("\n".join(_told(report, len(texts), judge, copy_length)))


def _given_texts(file: str, reading: str) -> list[str]:
    """Return the lines of a file that are not blank, or for models of documents the text as one."""
    from chargen.corpus.reading import read_texts

    texts = [str(source.text) for source in read_texts([file])]
    return [line for text in texts for line in text.split("\n") if line.strip()] if reading == "line" else texts


def _mapping(report: Any, texts: Sequence[str], copy_length: int) -> dict[str, Any]:
    return {
        "texts": list(texts),
        "characters": report.characters,
        "longest": report.longest and _span(report.longest),
        "copy_length": copy_length,
        "copied_share": report.copied_share,
        "copies": [_span(one) for one in report.copies],
        "lines": len(report.lines),
        "exact": list(report.exact),
        "near": [one._asdict() for one in report.near],
    }


def _span(span: Any) -> dict[str, Any]:
    return {
        "text": span.text,
        "length": len(span.text),
        "in_text": span.number,
        "at": span.start,
        "source": span.source,
        "line": span.line,
    }


def _told(report: Any, num_texts: int, judge: Any, copy_length: int) -> list[str]:
    """Return the lines that tell people of a report."""
    lines = [
        f"{num_texts:,} text{'s' if num_texts > 1 else ''}, {report.characters:,} characters, held against {judge.name} "
        f"({judge.num_characters:,} characters)"
    ]
    longest = report.longest
    if longest:
        shown = longest.text[:SHOWN_CHARACTERS] + ("..." if len(longest.text) > SHOWN_CHARACTERS else "")
        lines += [f"longest copy: {len(longest.text):,} characters, line {longest.line:,} of {longest.source}", f"  {shown!r}"]
    else:
        lines.append("longest copy: none, not one character is of the corpus")
    lines.append(f"within copies of {copy_length} characters or more: {report.copied_share:.1%} of the text")
    lines += _listed("lines of the corpus", report.exact, len(report.lines))
    for edits, what in ((1, "lines one letter off"), (2, "lines two letters off")):
        near = [f"{one.line}  ({one.nearest})" for one in report.near if one.edits == edits]
        lines += _listed(what, near, len(report.lines))
    return lines


def _listed(what: str, some: Sequence[str], of: int) -> list[str]:
    """Return how many of a number something is, and which, each once."""
    distinct = list(dict.fromkeys(some))
    more = [f"  and {len(distinct) - SHOWN:,} more"] if len(distinct) > SHOWN else []
    return [f"{what}: {len(some):,} of {of:,}", *(f"  {one}" for one in distinct[:SHOWN]), *more]
