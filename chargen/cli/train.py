import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from chargen.cli.options import common_options, json_option, resolve_options, runs_dir_option, setting_options


@click.command("train")
@click.argument("files", nargs=-1)
@setting_options
@runs_dir_option
@json_option
@common_options
def command(
    files: tuple[str, ...], config_name: str | None, runs_dir: Path, as_json: bool, verbosity: int, **given: Any
) -> int:
    r"""Train a network on FILES: text files, folders, shipped corpora (male.txt, book.txt), or - for stdin.

    Progress goes to stderr; the path of the run directory is printed to stdout at the end. Ctrl-C ends training with
    everything saved.

    \b
      chargen train male.txt --cell lstm
      chargen train book.txt --cell gru --layers 2 --dropout 0.2
      cat *.md | chargen train - --epochs 20
    """
    from chargen.corpus.documents import load_corpus
    from chargen.run import started_run
    from chargen.training.plan import make_plan
    from chargen.training.session import run_session

    settings = resolve_options(files, config_name, given).settings
    corpus = load_corpus(settings.corpus, stateful=settings.training.stateful)
    plan = make_plan(settings, corpus)
    with started_run(runs_dir, corpus=corpus.name, cell=settings.network.cell, now=datetime.now()) as run:
        run.write_config(plan.settings)
        # Whatever a user may have got wrong is known by now; the heavy packages come last.
        outcome = run_session(plan, run, verbosity=verbosity)
        summary = outcome.summary() | {"run": str(run.path), "model": str(run.model)}
    click.echo(json.dumps(summary) if as_json else str(run.path))
    return outcome.exit_code
