from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.completing import complete_files, complete_runs
from chargen.cli.json_text import json_text
from chargen.cli.options import common_options, json_option, option_of, options_of, runs_dir_option
from chargen.cli.sampling import carry_option, label_option, memory_option
from chargen.errors import ConfigError
from chargen.settings.writing import SamplingOptions, WritingOptions
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.novelty import CopiedSpan, Novelty, NoveltyJudge

LINES, TEXTS, LENGTH = 100, 10, 1000  # drawn by default: lines, or other texts and their characters
SHOWN = 20  # lines of a list; longer lists are cut
SHOWN_CHARACTERS = 200  # of the longest copy


@click.command("novelty")
@click.argument("run_spec", metavar="[RUN]", required=False, shell_complete=complete_runs)
@click.option(
    "--file",
    "file",
    metavar="FILE",
    shell_complete=complete_files,
    help="Check the text of a file, - for stdin, instead of drawing texts.",
)
@options_of(SamplingOptions)
@click.option("--length", type=click.IntRange(1), help="Characters to draw, at most.  [default: 1000]")
@click.option("--count", type=click.IntRange(1), help="Texts to draw.  [default: 10, or 100 lines from a model of lines]")
@option_of(WritingOptions, "copy_length")
@carry_option
@memory_option
@label_option
@runs_dir_option
@json_option
@common_options
def command(
    run_spec: str | None,
    file: str | None,
    options: SamplingOptions,
    length: int | None,
    count: int | None,
    copy_length: int,
    label: str | None,
    carry: bool | None,
    memory: float | None,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Measure how much a network copies from its corpus: draw texts, and find the stretches that the corpus contains.

    Prints the longest copied stretch and its place, the share of the text within copies, and the lines that are in the corpus
    or differ from one of its lines by one or two letters. RUN is the newest run unless given.

    \b
      chargen novelty
      chargen novelty book-lstm-20260101-120000 --temp 0.5 --copy-length 30
      chargen novelty --file story.txt --json
    """
    from chargen.insight.novelty import NoveltyJudge
    from chargen.runs.directory import find_model
    from chargen.runs.trained_text import training_texts
    from chargen.writing.ensemble import load_models
    from chargen.writing.request import make_request

    path = find_model(run_spec, runs_dir)
    model = load_models([path], label=label, carry=carry, memory=memory)
    judge = NoveltyJudge(training_texts([path]), model.reading)
    if file is not None:
        if count or length:
            raise ConfigError(
                "--file checks a given text, --count and --length are for drawn texts", hint="leave out one or the other"
            )
        texts = _given_texts(file, model.reading)
    else:
        texts = make_request(model, "", _drawn(options, model.reading, length, count)).write().texts
    report = judge.judge(texts, copy_length)
    if as_json:
        echo(json_text(_mapping(report, texts, copy_length)))
    else:
        echo("\n".join(_told(report, len(texts), judge, copy_length)))


def _drawn(options: SamplingOptions, reading: str, length: int | None, count: int | None) -> WritingOptions:
    """Return the options of drawn texts."""
    if reading == "line":
        return WritingOptions(**asdict(options), count=count or LINES, length=length, distinct=False)
    return WritingOptions(**asdict(options), count=count or TEXTS, length=length or LENGTH, distinct=False)


def _given_texts(file: str, reading: str) -> list[str]:
    """Return the lines of a file that are not blank, or for models of documents the text as one."""
    from chargen.corpus.reading import read_texts

    texts = [str(source.text) for source in read_texts([file])]
    return [line for text in texts for line in text.split("\n") if line.strip()] if reading == "line" else texts


def _mapping(report: "Novelty", texts: Sequence[str], copy_length: int) -> dict[str, Any]:
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


def _span(span: "CopiedSpan") -> dict[str, Any]:
    return {
        "text": span.text,
        "length": len(span.text),
        "in_text": span.number,
        "at": span.start,
        "source": span.source,
        "line": span.line,
    }


def _told(report: "Novelty", num_texts: int, judge: "NoveltyJudge", copy_length: int) -> list[str]:
    """Return the lines of the text output."""
    lines = [
        f"{num_texts:,} text{'s' if num_texts > 1 else ''}, {report.characters:,} characters, compared with {judge.name} "
        f"({judge.num_characters:,} characters)"
    ]
    longest = report.longest
    if longest:
        shown = longest.text[:SHOWN_CHARACTERS] + ("..." if len(longest.text) > SHOWN_CHARACTERS else "")
        lines += [f"longest copy: {len(longest.text):,} characters, line {longest.line:,} of {longest.source}", f"  {shown!r}"]
    else:
        lines.append("longest copy: none, no character is in the corpus")
    lines.append(f"within copies of {copy_length} characters or more: {report.copied_share:.1%} of the text")
    lines += _listed("lines in the corpus", report.exact, len(report.lines))
    for edits, what in ((1, "lines one letter off"), (2, "lines two letters off")):
        near = [f"{one.line}  ({one.nearest})" for one in report.near if one.edits == edits]
        lines += _listed(what, near, len(report.lines))
    return lines


def _listed(what: str, some: Sequence[str], of: int) -> list[str]:
    """Return the count of some lines, and each of them once."""
    distinct = list(dict.fromkeys(some))
    more = [f"  and {len(distinct) - SHOWN:,} more"] if len(distinct) > SHOWN else []
    return [f"{what}: {len(some):,} of {of:,}", *(f"  {one}" for one in distinct[:SHOWN]), *more]
