import json
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from chargen.cli.completing import complete_resumable, complete_texts
from chargen.cli.environment import typed
from chargen.cli.options import common_options, json_option, option_layers, runs_dir_option, setting_options
from chargen.config import Settings
from chargen.resolution import Resolved, read_config, resolve
from chargen.terminal import echo

BYTES_PER_WEIGHT = 4 * (2 + 3 * 3)  # two models, three checkpoints of weights and two optimizer slots


@click.command("train")
@click.argument("files", nargs=-1, shell_complete=complete_texts)
@setting_options
@runs_dir_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    shell_complete=complete_resumable,
    help="Go on with a training that was stopped, exactly where it was; the newest one unless RUN is given.",
)
@click.option(
    "--preset",
    type=click.Choice(["fast", "balanced", "best"]),
    help="How long training may take to become how good: about 1, 5 or 30 minutes.  [default: balanced, without a --config]",
)
@click.option("--minutes", type=float, help="Choose settings for so many minutes, and end within them.")
@click.option("--dry-run", is_flag=True, help="Print the plan with a time estimate from a short probe, and train nothing.")
@json_option
@common_options
def command(
    files: tuple[str, ...],
    config_name: str | None,
    runs_dir: Path,
    resume: str | None,
    preset: str | None,
    minutes: float | None,
    dry_run: bool,
    as_json: bool,
    verbosity: int,
    **given: Any,
) -> int:
    """Train a network on FILES: text files, folders, shipped corpora (male.txt, book.txt), or - for stdin.

    With --task classify they are tables (.csv, .tsv) of texts and labels, or texts labelled by --label-by.

    Settings that are not given are chosen from the text and from the minutes that training may take.

    Progress goes to stderr; the path of the run directory is printed to stdout at the end. Ctrl-C ends training with
    everything saved; --resume goes on.

    \b
      chargen train male.txt --cell lstm
      chargen train book.txt --cell gru --layers 2 --minutes 10
      cat *.md | chargen train - --epochs 20
      chargen train female.txt --from male-lstm-20261121-120000
      chargen train --resume
      chargen train reviews.csv --task classify --tokens word
    """
    from chargen.run import find_resumable
    from chargen.training.budget import find_budget
    from chargen.training.transfer import find_start

    began = time.perf_counter()
    if resume is not None:  # it goes on with the settings that it began with, whatever the environment says now
        config_name, preset, minutes = typed({"config_name": config_name, "preset": preset, "minutes": minutes}).values()
        given = typed(given)
    resumed = find_resumable(resume or None, runs_dir) if resume is not None else None
    layers = option_layers(files, config_name, given)
    if resumed:
        layers.insert(0, read_config(str(resumed.config)))
    start = find_start(layers, runs_dir)
    resolved = resolve(*([start.layer] if start else []), *layers)
    budget = find_budget(preset, minutes, resolved, began=began, new=resumed is None, configured=config_name is not None)
    work = (
        _classification(resolved.settings, verbosity)
        if resolved.settings.training.task == "classify"
        else _generation(resolved, budget, start, verbosity)
    )
    if dry_run:
        forecast = work.forecast()
        echo(json.dumps(forecast) if as_json else _aligned(forecast))
        return 0
    run, outcome = _train_new(work, runs_dir) if resumed is None else _train_on(work, resumed, verbosity)
    summary = (outcome.summary() if outcome else {}) | {"run": str(run.path), "model": str(run.model)}
    if outcome and work.compare and (baselines := work.compare(outcome)):
        summary["baselines"] = baselines
    echo(json.dumps(summary) if as_json else str(run.path))
    return outcome.exit_code if outcome else 0


class _Work(NamedTuple):
    """A training that is planned: what it would do, what does it, and what its outcome is compared with."""

    plan: Any
    forecast: Callable[[], dict[str, Any]]
    train: Callable[..., Any]
    compare: Callable[[Any], dict[str, float]] | None = None


def _generation(resolved: Resolved, budget: Any, start: Any, verbosity: int) -> _Work:
    """Plan a network that writes text."""
    from chargen.corpus.documents import load_corpus
    from chargen.training.budget import plan_within
    from chargen.training.plan import make_plan
    from chargen.training.session import forecast_session, run_session

    settings = resolved.settings
    corpus = load_corpus(settings.corpus, stateful=settings.training.stateful)
    plan = plan_within(budget, resolved, corpus, verbosity=verbosity) if budget else make_plan(settings, corpus, start=start)
    return _Work(plan, partial(forecast_session, plan, verbosity=verbosity), partial(run_session, plan, verbosity=verbosity))


def _classification(settings: Settings, verbosity: int) -> _Work:
    """Plan a network that tells labels; its accuracy is compared with what baselines reach."""
    from chargen.corpus.examples import load_examples
    from chargen.insight.labels import baseline_accuracies
    from chargen.training.classifier_plan import make_classifier_plan
    from chargen.training.classifier_session import forecast_classifier, run_classifier_session

    plan = make_classifier_plan(settings, load_examples(settings.corpus))

    def compare(outcome: Any) -> dict[str, float]:
        if not plan.held_out or outcome.interrupted_by is not None:
            return {}
        baselines = baseline_accuracies(plan.documents, plan.held_out)
        if verbosity:
            told = {"network": outcome.summary()["accuracy"]} | baselines
            figures = "  ".join(f"{name} {accuracy:.3f}" for name, accuracy in told.items())
            echo(f"accuracy on the {len(plan.held_out):,} texts held out: {figures}", err=True)
        return baselines

    return _Work(
        plan,
        partial(forecast_classifier, plan, verbosity=verbosity),
        partial(run_classifier_session, plan, verbosity=verbosity),
        compare,
    )


def _train_new(work: _Work, runs_dir: Path) -> tuple[Any, Any]:
    """Train into a new run directory; return it and the outcome. What a user may have got wrong is known by now."""
    from chargen.run import check_room, started_run

    plan = work.plan
    cell = plan.settings.network.cell
    with started_run(runs_dir, corpus=plan.corpus.name, cell=cell, now=datetime.now()) as run:
        run.write_config(plan.settings, getattr(plan, "reasons", ()))
        check_room(run, BYTES_PER_WEIGHT * plan.num_parameters)
        return run, work.train(run)


def _train_on(work: _Work, run: Any, verbosity: int) -> tuple[Any, Any]:
    """Go on in a run directory; return it and the outcome, or None if there is nothing left to do."""
    from chargen.run import check_room, locked
    from chargen.training.resuming import find_checkpoint, is_finished

    with locked(run):
        checkpoint, notes = find_checkpoint(run, work.plan)
        if is_finished(checkpoint, work.plan):
            notes.append(f"{run.path} is finished; to train on: --from {run.path}")
        for note in notes if verbosity else []:
            echo(note, err=True)
        if is_finished(checkpoint, work.plan):
            return run, None
        check_room(run, BYTES_PER_WEIGHT * work.plan.num_parameters)
        return run, work.train(run, checkpoint=checkpoint)


def _aligned(figures: dict[str, Any]) -> str:
    """Return one line a figure, values in a column."""
    width = max(map(len, figures))
    lines = [
        f"{name.replace('_', ' '):{width}}  {value:,}" if isinstance(value, int | float) else f"{name:{width}}  {value}"
        for name, value in figures.items()
    ]
    return "\n".join(lines)
