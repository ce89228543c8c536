"""Define the options of the commands that write text: which models write, and what a terminal gets."""

from typing import Any

import click

from chargen.cli.completing import complete_runs
from chargen.cli.options import Command
from chargen.terminal import echo

raw_option = click.option("--raw", is_flag=True, help="Write control characters to a terminal as they are.")

label_option = click.option("--label", help="For models of labelled documents: write like those of this label.")

carry_option = click.option(
    "--carry/--no-carry",
    "carry",
    default=None,
    help="Carry the network's state from character to character, which is fast, or read the window before each character from "
    "a zero state.  [default: as in training]",
)


memory_option = click.option(
    "--memory",
    type=click.FloatRange(0, 1),
    metavar="W",
    help="Weight of the model's n-gram memory beside the network, from 0 (the network alone) to 1.  [default: as chosen in "
    "training]",
)


member_option = click.option(
    "--member",
    type=click.IntRange(1),
    metavar="N",
    help="Use only this network of a model that holds several, counted from 1.",
)


def model_options(command: Command) -> Command:
    """Add --run, --label, --carry, --memory and --ensemble to a command.

    It receives `run_specs`, `label`, `carry`, `memory` and `ensemble`.
    """
    command = click.option(
        "--ensemble",
        type=click.Choice(["average", "turns"]),
        default="average",
        show_default=True,
        help="How several models write together: average their probabilities, or take turns, one a character.",
    )(command)
    return click.option(
        "--run",
        "run_specs",
        multiple=True,
        metavar="NAME|PATH",
        shell_complete=complete_runs,
        help="Run or model file; the newest run unless given. Given several times, the models write together.",
    )(label_option(carry_option(memory_option(command))))


def warn_of_drift(model: Any, verbosity: int) -> None:
    """Warn on stderr if the model predicts worse with a carried state than from a zero state."""
    if model.drift and verbosity:
        echo(
            f"this network predicts held-out text worse with a carried state, by {model.drift:.2f} bits a character; "
            "try --no-carry, which reads windows from a zero state",
            err=True,
        )
