import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from chargen.cli.options import common_options, json_option, option_layers, runs_dir_option, setting_options
from chargen.config import resolve
from chargen.terminal import echo


@click.command("train")
@click.argument("files", nargs=-1)
@setting_options
@runs_dir_option
@click.option("--dry-run", is_flag=True, help="Print the plan with a time estimate from a short probe, and train nothing.")
@json_option
@common_options
def command(
    files: tuple[str, ...],
    config_name: str | None,
    runs_dir: Path,
    dry_run: bool,
    as_json: bool,
    verbosity: int,
    **given: Any,
) -> int:
    """Train a network on FILES: text files, folders, shipped corpora (male.txt, book.txt), or - for stdin.

    Progress goes to stderr; the path of the run directory is printed to stdout at the end. Ctrl-C ends training with
    everything saved.

    \b
      chargen train male.txt --cell lstm
      chargen train book.txt --cell gru --layers 2 --dropout 0.2
      cat *.md | chargen train - --epochs 20
      chargen train female.txt --from male-lstm-20261121-120000
    """
    from chargen.corpus.documents import load_corpus
    from chargen.run import started_run
    from chargen.training.plan import make_plan
    from chargen.training.session import forecast_session, run_session
    from chargen.training.transfer import find_start

    layers = option_layers(files, config_name, given)
    start = find_start(layers, runs_dir)
    settings = resolve(*([start.layer] if start else []), *layers).settings
    corpus = load_corpus(settings.corpus, stateful=settings.training.stateful)
    plan = make_plan(settings, corpus, start=start)
    if dry_run:
        forecast = forecast_session(plan, verbosity=verbosity)
        echo(json.dumps(forecast) if as_json else _aligned(forecast))
        return 0
    with started_run(runs_dir, corpus=corpus.name, cell=settings.network.cell, now=datetime.now()) as run:
        run.write_config(plan.settings)
        # Whatever a user may have got wrong is known by now; the heavy packages come last.
        outcome = run_session(plan, run, verbosity=verbosity)
        summary = outcome.summary() | {"run": str(run.path), "model": str(run.model)}
    echo(json.dumps(summary) if as_json else str(run.path))
    return outcome.exit_code


def _aligned(figures: dict[str, Any]) -> str:
    """Return one line a figure, values in a column."""
    width = max(map(len, figures))
    lines = [
        f"{name.replace('_', ' '):{width}}  {value:,}" if isinstance(value, int | float) else f"{name:{width}}  {value}"
        for name, value in figures.items()
    ]
    return "\n".join(lines)
