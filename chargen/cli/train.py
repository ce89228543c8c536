import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from chargen.cli.options import common_options, json_option, option_layers, runs_dir_option, setting_options
from chargen.config import Settings, resolve


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

    With --task classify they are tables (.csv, .tsv) of texts and labels, or texts labelled by --label-by.

    Progress goes to stderr; the path of the run directory is printed to stdout at the end. Ctrl-C ends training with
    everything saved.

    \b
      chargen train male.txt --cell lstm
      chargen train book.txt --cell gru --layers 2 --dropout 0.2
      cat *.md | chargen train - --epochs 20
      chargen train female.txt --from male-lstm-20261121-120000
      chargen train reviews.csv --task classify --tokens word
    """
    from chargen.corpus.documents import load_corpus
    from chargen.run import started_run
    from chargen.training.plan import make_plan
    from chargen.training.session import forecast_session, run_session
    from chargen.training.transfer import find_start

    layers = option_layers(files, config_name, given)
    start = find_start(layers, runs_dir)
    settings = resolve(*([start.layer] if start else []), *layers).settings
    if settings.training.task == "classify":
        return _train_classifier(settings, runs_dir, dry_run=dry_run, as_json=as_json, verbosity=verbosity)
    corpus = load_corpus(settings.corpus, stateful=settings.training.stateful)
    plan = make_plan(settings, corpus, start=start)
    if dry_run:
        forecast = forecast_session(plan, verbosity=verbosity)
        click.echo(json.dumps(forecast) if as_json else _aligned(forecast))
        return 0
    with started_run(runs_dir, corpus=corpus.name, cell=settings.network.cell, now=datetime.now()) as run:
        run.write_config(plan.settings)
        # Whatever a user may have got wrong is known by now; the heavy packages come last.
        outcome = run_session(plan, run, verbosity=verbosity)
        summary = outcome.summary() | {"run": str(run.path), "model": str(run.model)}
    click.echo(json.dumps(summary) if as_json else str(run.path))
    return outcome.exit_code


def _train_classifier(settings: Settings, runs_dir: Path, *, dry_run: bool, as_json: bool, verbosity: int) -> int:
    """Do for --task classify what `command` does for writing text; at the end, tell how well baselines do."""
    from chargen.corpus.examples import load_examples
    from chargen.insight.labels import baseline_accuracies
    from chargen.run import started_run
    from chargen.training.classifier_plan import make_classifier_plan
    from chargen.training.classifier_session import forecast_classifier, run_classifier_session

    plan = make_classifier_plan(settings, load_examples(settings.corpus))
    if dry_run:
        forecast = forecast_classifier(plan, verbosity=verbosity)
        click.echo(json.dumps(forecast) if as_json else _aligned(forecast))
        return 0
    with started_run(runs_dir, corpus=plan.corpus.name, cell=settings.network.cell, now=datetime.now()) as run:
        run.write_config(plan.settings)
        outcome = run_classifier_session(plan, run, verbosity=verbosity)
        summary = outcome.summary() | {"run": str(run.path), "model": str(run.model)}
    if plan.held_out and outcome.interrupted_by is None:
        baselines = baseline_accuracies(plan.documents, plan.held_out)
        summary["baselines"] = baselines
        if verbosity:
            told = "  ".join(
                f"{name} {accuracy:.3f}" for name, accuracy in ({"network": summary["accuracy"]} | baselines).items()
            )
            click.echo(f"accuracy on the {len(plan.held_out):,} texts held out: {told}", err=True)
    click.echo(json.dumps(summary) if as_json else str(run.path))
    return outcome.exit_code


def _aligned(figures: dict[str, Any]) -> str:
    """Return one line a figure, values in a column."""
    width = max(map(len, figures))
    lines = [
        f"{name.replace('_', ' '):{width}}  {value:,}" if isinstance(value, int | float) else f"{name:{width}}  {value}"
        for name, value in figures.items()
    ]
    return "\n".join(lines)
