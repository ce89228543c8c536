from pathlib import Path

import click

from chargen.cli.completing import complete_runs
from chargen.cli.json_text import json_text
from chargen.cli.options import common_options, json_option, runs_dir_option
from chargen.terminal import echo


@click.command("plot")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=complete_runs)
@click.option("--unit", type=click.Choice(["bits", "nats"]), help="Unit of the loss.  [default: bits; nats for classifiers]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a .png, .svg or .pdf file with matplotlib, instead of text to stdout.",
)
@runs_dir_option
@json_option
@common_options
def command(
    runs: tuple[str, ...], unit: str | None, output: Path | None, runs_dir: Path, as_json: bool, verbosity: int
) -> None:
    """Plot the loss of each epoch of RUNs, given by name or path; the newest run unless given.

    \b
      chargen plot
      chargen plot male-lstm-20260101-120000 male-gru-20260101-120100
      chargen plot --output loss.svg
    """
    from rich.console import Console

    from chargen.insight.terminal import draw_on
    from chargen.runs.curves import draw_file, make_panels
    from chargen.runs.directory import find_run
    from chargen.runs.metrics import read_histories

    histories = read_histories([find_run(spec, runs_dir) for spec in runs or (None,)])
    if output:
        draw_file(make_panels(histories, unit=unit), output)
    if as_json:
        echo(json_text([{"run": one.name, "epochs": one.rows} for one in histories]))
    elif not output:
        echo(draw_on(Console(), make_panels(histories, unit=unit)), end="", raw=True)  # which has sanitised the names
