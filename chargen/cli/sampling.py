"""Define the options of the commands that write text: how it is drawn, and which models draw it."""

from dataclasses import fields
from functools import reduce, wraps
from typing import Any

import click

from chargen.cli.completing import complete_runs
from chargen.cli.options import Command
from chargen.settings.schema import SamplingOptions
from chargen.terminal import echo


def read_temperatures(value: str) -> tuple[float, ...]:
    """Read one temperature, or several between commas. Raises click.BadParameter."""
    try:
        return tuple(float(one) for one in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number, nor several between commas, such as 0.2,0.5,1.0") from None


_OPTIONS = [
    click.option(
        "--temp",
        "temperature",
        default="1.0",
        show_default=True,
        callback=lambda context, parameter, value: read_temperatures(value),
        metavar="T[,T...]",
        help="Temperature; 0 is greedy. Several take turns, one a character.",
    ),
    click.option("--top-k", type=int, default=0, metavar="K", help="Draw from the K most probable characters only; 0 for all."),
    click.option("--top-p", type=float, default=1.0, metavar="P", help="Draw from the fewest characters that hold P together."),
    click.option("--greedy", is_flag=True, help="Always take the most probable character."),
    click.option(
        "--repetition-penalty",
        type=float,
        default=1.0,
        metavar="R",
        help="Make characters drawn of late less probable: logits divided by R, or multiplied where negative, as in CTRL "
        "(Keskar et al. 2019); 1 changes nothing.",
    ),
    click.option(
        "--repetition-window",
        type=int,
        default=64,
        show_default=True,
        metavar="N",
        help="How many drawn characters the penalty looks back on.",
    ),
    click.option("--ban", default="", metavar="CHARS", help="Characters that are never drawn."),
]


def sampling_options(command: Command) -> Command:
    """Add the options of a draw to a command; it receives them as `sampling`, a SamplingOptions."""

    @wraps(command)
    def collected(**given: Any) -> Any:
        options = {one.name: given.pop(one.name) for one in fields(SamplingOptions)}
        return command(sampling=SamplingOptions(**options), **given)

    return reduce(lambda made, option: option(made), reversed(_OPTIONS), collected)  # type: ignore[return-value]


raw_option = click.option("--raw", is_flag=True, help="Write control characters to a terminal as they are.")

label_option = click.option("--label", help="Write like the documents of this label, for models of labelled documents.")

carry_option = click.option(
    "--carry/--no-carry",
    "carry",
    default=None,
    help="Carry the network's state from character to character, which is fast, or read the window of characters before each "
    "one from the zero state.  [default: as it was trained]",
)

copy_length_option = click.option(
    "--copy-length",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Characters from which on a stretch that stands in the corpus is a copy.",
)


def model_options(command: Command) -> Command:
    """Add --run, --label, --carry and --ensemble to a command; it receives `run_specs`, `label`, `carry` and `ensemble`."""
    command = click.option(
        "--ensemble",
        type=click.Choice(["average", "turns"]),
        default="average",
        show_default=True,
        help="How several models write together: by the average of their probabilities, or in turns, one a character.",
    )(command)
    return click.option(
        "--run",
        "run_specs",
        multiple=True,
        metavar="NAME|PATH",
        shell_complete=complete_runs,
        help="Run or model file; the newest run unless given. Given several times, the models write together.",
    )(label_option(carry_option(command)))


def warn_of_drift(model: Any, verbosity: int) -> None:
    """Write a line to stderr if the model's carried state has drifted, and how to write without it."""
    if model.drift and verbosity:
        echo(
            f"the carried state of this network has drifted: held-out text costs {model.drift:.2f} bits a character more "
            "with it than from the zero state; --no-carry reads windows instead",
            err=True,
        )
