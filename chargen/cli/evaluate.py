from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargen.cli.accuracy import evaluate_classifier
from chargen.cli.completing import complete_runs_and_texts
from chargen.cli.json_text import json_text
from chargen.cli.measuring import ProgressBars, block_length_option, use_one_thread
from chargen.cli.options import common_options, json_option, on_unknown_option, runs_dir_option
from chargen.cli.positions import measure_positions, positions_rows, positions_table
from chargen.cli.sampling import carry_option, member_option, memory_option
from chargen.errors import ConfigError, CorpusError, RunError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.assessment import Row, Subject
    from chargen.network.model_file import TextModel
    from chargen.runs.directory import RunDirectory


@click.command("evaluate")
@click.argument("run_and_files", nargs=-1, metavar="[RUN]... [FILE]...", shell_complete=complete_runs_and_texts)
@block_length_option
@click.option("--training", "with_training", is_flag=True, help="Also measure the training part.")
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Also measure n-grams, gzip and xz.")
@click.option(
    "--cache", is_flag=True, help="Also measure the model with a cache: n-grams that are counted while the text is read."
)
@click.option("--dynamic", is_flag=True, help="Also measure dynamic evaluation: the weights adapt to the text as it is read.")
@click.option(
    "--dynamic-rate",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Learning rate of --dynamic.  [default: 0.00003]",
)
@click.option(
    "--positions",
    is_flag=True,
    help="Measure only the nats a token at each position of the windows of training, read from a zero state.",
)
@click.option("--label", help="Read FILE as documents of this label, for models of labelled documents.")
@member_option
@carry_option
@memory_option
@on_unknown_option
@runs_dir_option
@json_option
@common_options
def command(
    run_and_files: tuple[str, ...],
    block_length: int,
    with_training: bool,
    baselines: bool,
    cache: bool,
    dynamic: bool,
    dynamic_rate: float | None,
    positions: bool,
    label: str | None,
    member: int | None,
    carry: bool | None,
    memory: float | None,
    on_unknown: str,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Measure how well a run predicts its held-out text, or whole FILEs: nats and bits a character, perplexity.

    RUN is a run or a model file, the newest run unless given; of several, the probabilities are averaged. Each character
    counts, and so does the end of each line or document. Documents are read in two ways: as one stream, with the state carried
    from start to end, and in blocks, each from a zero state, which is harder. Lines are read one by one from a zero state.
    A model with an n-gram memory is measured with it and without.

    The baselines use the same training part: character n-grams (interpolated Kneser-Ney), and gzip and xz, by how much the text
    adds to the compressed training part. gzip looks back on 32 KB only.

    Of a classifier, the accuracy on its held-out texts or on FILEs with labels is measured, and the accuracy on the texts of
    chargen train --test is repeated.

    --cache and --dynamic (Krause et al. 2018) do not measure the model that sample uses: they learn from the text after
    predicting it. Each has its own line.

    \b
      chargen evaluate
      chargen evaluate male-lstm-20260101-120000 female.txt
      chargen evaluate male-lstm-20260101-120000 male-gru-20260101-120100 female.txt
      chargen evaluate reviews-lstm-20260101-120000 unseen.csv
      chargen evaluate --block-length 64 --training --dynamic --json
    """
    use_one_thread()
    from chargen.insight.assessment import assess, carried_state_warning, file_subject, held_out_subject, missing_baselines_note
    from chargen.insight.dynamic import RATE
    from chargen.insight.unigram import warn_if_worse
    from chargen.network.model_file import load_model, read_metadata
    from chargen.runs.directory import RunDirectory, find_model

    if positions and (with_training or cache or dynamic or dynamic_rate):
        raise ConfigError("--positions is measured alone", hint="leave out --training, --cache and --dynamic")
    specs, files = _told_apart(run_and_files, runs_dir)
    paths = [find_model(spec, runs_dir) for spec in specs or (None,)]
    if any(read_metadata(path)["task"] == "classify" for path in paths):
        adapting = {"--cache": cache, "--dynamic": dynamic, "--dynamic-rate": dynamic_rate}
        for_text = adapting | {"--training": with_training, "--label": label}
        evaluate_classifier(
            paths,
            files,
            for_text | {"--carry": carry, "--memory": memory, "--positions": positions},
            baselines=baselines,
            on_unknown=on_unknown,
            as_json=as_json,
            verbosity=verbosity,
        )
        return
    members = [
        (RunDirectory(path.parent), load_model(path).member(member).with_carry(carry).with_memory(memory)) for path in paths
    ]
    if files:
        with _explained_typo(specs, files):
            subject = file_subject(members, files, label=label, on_unknown=on_unknown)
    else:
        _refuse_label(label)
        subject = held_out_subject(members)
    no_baselines = missing_baselines_note(subject) if baselines and not positions else ""
    for line in (*_heading(paths, members, subject), *subject.notes, no_baselines) if verbosity else ():
        if line:
            echo(line, err=True)
    facts = {"models": list(map(str, paths)), "files": list(files)}
    if positions:
        by_position = measure_positions(subject, verbosity)
        echo(json_text(facts | {"positions": positions_rows(by_position)}) if as_json else positions_table(by_position))
        return
    rate = (dynamic_rate or RATE) if dynamic or dynamic_rate else None
    rows = assess(
        subject,
        ProgressBars(verbosity).stage,
        block_length=block_length,
        with_training=with_training,
        with_baselines=baselines,
        cache=cache,
        dynamic_rate=rate,
    )
    if as_json:
        found = list(rows)
        echo(json_text(facts | {"block_length": block_length, "results": [row.to_mapping() for row in found]}))
    else:
        part = ", training part" if with_training else ", memory" if cache or subject.model.has_memory else ""
        longest = f"blocks of {block_length}{part}" if part else f"blocks of {block_length:5}"
        found = _print_table(rows, width=len(longest))
    warnings = [*warn_if_worse(subject, found), carried_state_warning(found)]
    for line in filter(None, warnings) if verbosity else ():
        echo(line, err=True)


def _told_apart(given: tuple[str, ...], runs_dir: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the runs and the files in [RUN]... [FILE]..."""
    from chargen.runs.directory import names_run

    runs = tuple(takewhile(lambda spec: names_run(spec, runs_dir), given))
    return runs, given[len(runs) :]


@contextmanager
def _explained_typo(specs: Sequence[str], files: tuple[str, ...]) -> Iterator[None]:
    """Raise the error for a first argument that is neither a run nor a text."""
    try:
        yield
    except CorpusError as error:
        if not specs and error.message == f"no such file: {files[0]}":
            raise RunError(f"no such run or text: {files[0]}", hint=error.hint or "chargen runs lists the runs") from error
        raise


def _refuse_label(label: str | None) -> None:
    if label is not None:
        raise ConfigError("--label applies to FILE, but no FILE is given", hint="the held-out part has its own labels")


def _heading(paths: Sequence[Path], members: "Sequence[tuple[RunDirectory, TextModel]]", subject: "Subject") -> list[str]:
    """Return a line for each model, the last one with the text that is measured."""
    from chargen.insight.layers import describe_networks

    networks = [describe_networks([one.config for one in model.network.members]) for _, model in members]
    measured = sum(len(document.text) for document in subject.documents)
    learnt = sum(len(document.text) for document in subject.training)
    part = f"{measured:,} characters held out of {measured + learnt:,}" if subject.held_out else f"{measured:,} characters"
    lines = [f"{path}: {network}" for path, network in zip(paths, networks, strict=True)]
    return [*lines[:-1], f"{lines[-1]}; {part}"]


def _print_table(rows: "Iterable[Row]", width: int) -> "list[Row]":
    """Print each figure once it is known, since some take minutes, and return the rows."""
    printed: list[Row] = []
    for row in rows:
        if not printed:
            echo(f"{'':{width}}  nats/char  bits/char  perplexity")
        figures = row.quality
        echo(
            f"{row.name:{width}}  {figures.cross_entropy:<9.4f}  {figures.bits_per_character:<9.4f}  {figures.shown_perplexity}"
        )
        printed.append(row)
    return printed
