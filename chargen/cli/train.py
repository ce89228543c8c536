import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.completing import complete_resumable, complete_texts
from chargen.cli.environment import typed
from chargen.cli.json_text import json_text
from chargen.cli.options import (
    ABOUT_THE_CALL,
    LongCommand,
    common_options,
    json_option,
    option_layers,
    runs_dir_option,
    setting_options,
    time_options,
)
from chargen.errors import ConfigError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.training.planning.plan import Plan

COMMON = {
    "Start": ("--preset", "--minutes", "--config", "--from", "--resume", "--dry-run"),
    "Text": ("--per-line", "--tokens", "--label-by"),
    "Network": ("--cell", "--layers", "--hidden-size", "--dropout"),
    "Training": ("--epochs", "--batch-size", "--learning-rate", "--backend", "--random-seed"),
    "Output": ("--wandb", *ABOUT_THE_CALL),
}


@click.command("train", cls=LongCommand, common=COMMON)
@click.argument("files", nargs=-1, shell_complete=complete_texts)
@setting_options
@runs_dir_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    shell_complete=complete_resumable,
    help="Continue a stopped training exactly where it was; the newest one unless RUN is given. With --epochs, go on beyond "
    "its end; --learning-rate, --patience and --until-loss may change too.",
)
@time_options
@click.option(
    "--distribute",
    is_flag=True,
    help="Split each batch over all devices of this machine, or of all processes started with this option.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Train for some steps, print the plan and the estimated time, and keep nothing.",
)
@click.option("--summary", is_flag=True, help="Print the table of layers, shapes and parameters before training.")
@json_option
@common_options
def command(
    files: tuple[str, ...],
    config_name: str | None,
    runs_dir: Path,
    resume: str | None,
    preset: str | None,
    minutes: float | None,
    distribute: bool,
    dry_run: bool,
    summary: bool,
    as_json: bool,
    verbosity: int,
    **given: Any,
) -> int:
    """Train a network on FILES: text files, folders, addresses (https://, s3://), shipped corpora (male.txt), or - for stdin.

    Each row of a table (.csv, .tsv, .jsonl, .json, .parquet) is one text.

    With --task classify, FILES are tables of texts and labels, or texts labelled by --label-by.

    Settings that you do not give are chosen from the text and the time budget.

    Progress goes to stderr; the path of the run directory is printed to stdout at the end. Ctrl-C stops training and saves
    everything; --resume continues.

    \b
      chargen train male.txt --cell lstm
      chargen train book.txt --cell gru --layers 2 --minutes 10
      cat *.md | chargen train - --epochs 20
      chargen train female.txt --from male-lstm-20261121-120000
      chargen train --resume
      chargen train --resume male-lstm-20261121-120000 --epochs 40 --learning-rate 0.0001
      chargen train reviews.csv --task classify --tokens word
    """
    from chargen.training.start import plan_training

    _check_files(files, given)
    if dry_run and distribute:
        raise ConfigError("--dry-run measures one process, but --distribute starts several", hint="leave one of them out")
    if resume is not None:  # a resumed training keeps its settings, whatever the environment says now
        config_name, preset, minutes = typed({"config_name": config_name, "preset": preset, "minutes": minutes}).values()
        given = typed(given)
    training = plan_training(
        option_layers(files, config_name, given),
        runs_dir=runs_dir,
        resume=resume,
        configured=config_name is not None,
        preset=preset,
        minutes=minutes,
        distribute=distribute,
        verbosity=verbosity,
    )
    if summary:
        _print_layers(training.plan)
    if dry_run:
        forecast = training.forecast()
        echo(json_text(forecast) if as_json else _aligned(forecast))
        return 0
    trained = training.train()
    if trained.leads:
        echo(json_text(trained.summary()) if as_json else str(trained.run.path))
    return trained.exit_code


def _check_files(files: Sequence[str], given: Mapping[str, Any]) -> None:
    """Raise ConfigError for a file that is a number and not there, after numbers that were not separated by commas."""
    diversity = given.get("samples__diversity")
    for file in files:
        if diversity and re.fullmatch(r"\d*\.?\d+", file) and not Path(file).exists():
            together = ",".join([*(f"{one:g}" for one in diversity), file])
            raise ConfigError(
                f"no such file: {file}", hint=f"several diversities are separated by commas: --diversity {together}"
            )


def _print_layers(plan: "Plan") -> None:
    """Print the table of layers to stderr."""
    from chargen.cli.summary import layer_table
    from chargen.insight.layers import layer_rows
    from chargen.network.model_file import num_class_outputs

    network, classifies = plan.settings.network, plan.settings.training.task == "classify"
    num_outputs = num_class_outputs(len(plan.corpus.labels)) if classifies else None
    length = plan.training.context_length
    rows = layer_rows(network, len(plan.vocabulary), context_length=length, num_outputs=num_outputs)
    echo(layer_table(rows, network, plan.vocabulary), err=True)


def _aligned(figures: dict[str, Any]) -> str:
    """Return one line a figure, values in a column."""
    width = max(map(len, figures))
    lines = [
        f"{name.replace('_', ' '):{width}}  {value:,}" if isinstance(value, int | float) else f"{name:{width}}  {value}"
        for name, value in figures.items()
    ]
    return "\n".join(lines)
