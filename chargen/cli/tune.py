from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.json_text import json_text
from chargen.cli.options import (
    ABOUT_THE_CALL,
    LongCommand,
    common_options,
    json_option,
    option_layers,
    runs_dir_option,
    setting_options,
)
from chargen.cli.tables import aligned
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.tuning.tuner import TuningOutcome

COMMON = {
    "Search": ("--trials", "--minutes", "--epochs", "--search", "--study", "--config"),
    "Output": ("--runs-dir", "--json", *ABOUT_THE_CALL),
}


@click.command("tune", cls=LongCommand, common=COMMON)
@click.argument("files", nargs=-1)
@click.option(
    "--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Total number of trials, over all processes."
)
@click.option("--minutes", type=float, help="Minutes of each trial.  [default: 1, unless --epochs is given]")
@click.option(
    "--search",
    multiple=True,
    metavar="SETTING=VALUES",
    help="Values to search: network.cell=lstm,gru or training.learning_rate=1e-4..1e-2; may be given several times.  "
    "[default: sizes, dropout, learning rate, batch and context, around what train would choose]",
)
@click.option("--study", "study_name", metavar="NAME", help="Folder of the study in --runs-dir.  [default: CORPUS-tune]")
@setting_options
@runs_dir_option
@json_option
@common_options
def command(
    files: tuple[str, ...],
    trials: int,
    minutes: float | None,
    search: tuple[str, ...],
    study_name: str | None,
    config_name: str | None,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
    **given: Any,
) -> int:
    """Search for the best settings for FILES, in trials of equal cost.

    Each trial is a training with the same options as `chargen train`, in a run directory inside the study's folder. A trial
    that is worse than half of the others at the same epoch is stopped. The same command continues the study; any number of
    processes, on any machines that share the folder, may work on it at once.

    The trials are printed to stdout at the end, the best first. Ctrl-C stops this process and saves everything.

    \b
      chargen tune book.txt --trials 30 --minutes 2
      chargen tune male.txt --cell gru --epochs 12 --search training.learning_rate=1e-4..1e-2
      chargen tune book.txt --search network.cell=lstm,gru --search network.hidden_size=64..256/64
    """
    from chargen.tuning.task import make_task

    task = make_task(
        option_layers(files, config_name, given),
        minutes=minutes,
        search=search,
        configured=config_name is not None,
        verbosity=verbosity,
    )
    folder = runs_dir / (study_name or f"{task.name}-tune")
    from chargen.tuning.tuner import tune  # raises an error if Optuna is not installed

    outcome = tune(task, folder, trials=trials, verbosity=verbosity)
    echo(json_text(outcome.summary()) if as_json else aligned(_rows(outcome)))
    if verbosity:
        echo(_farewell(outcome), err=True)
    return outcome.exit_code


def _rows(outcome: "TuningOutcome") -> list[tuple[str, ...]]:
    from chargen.tuning.space import short_name, shown

    names = list(dict.fromkeys(name for result in outcome.results for name in result.values))
    rows: list[tuple[str, ...]] = [("trial", "state", "epochs", "bits/char", *map(short_name, names))]
    for one in outcome.results:
        bits = "-" if one.bits_per_character is None else f"{one.bits_per_character:.3f}"
        values = (shown(one.values[name]) if name in one.values else "-" for name in names)
        rows.append((one.run.name, one.state, str(one.epochs), bits, *values))
    return rows


def _farewell(outcome: "TuningOutcome") -> str:
    interrupted = "interrupted, everything is saved; " if outcome.interrupted_by else ""
    running = sum(one.state == "running" for one in outcome.results)
    if running:
        interrupted += f"other processes are running {running} of the trials; "
    if outcome.best:
        best = f"best {outcome.best.bits_per_character:.3f} bits/char, {outcome.best.run.path}"
        return f"{interrupted}{best}; to train with its settings: {outcome.command}"
    reasons = [one.reason for one in outcome.results if one.reason]
    return f"{interrupted}no trial is finished" + (f"; {reasons[0]}" if reasons else "")
