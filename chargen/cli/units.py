from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.embedding import show_embedding
from chargen.cli.json_text import json_text
from chargen.cli.measuring import use_one_thread
from chargen.cli.options import write_output
from chargen.cli.reading import given_text, html_option, load_reader, model_name, reading_options, run_and_file
from chargen.cli.sampling import member_option
from chargen.errors import ConfigError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.units import Activations, Unit

PROPERTIES = ("quotes", "line-position", "brackets", "indent", "words")
PAGE_BYTES = 1 << 23  # activations in a page, at most


@click.command("units")
@run_and_file(without_file="embedding")
@click.option("--find", "wanted", type=click.Choice(PROPERTIES), help="Rank the units by how well they follow a property.")
@click.option("--unit", type=click.IntRange(1), metavar="N", help="Show the activations of this unit, counted from 1.")
@click.option(
    "--layer", type=click.IntRange(1), metavar="N", help="Recurrent layer, counted from 1.  [default: all; for --unit the last]"
)
@click.option(
    "--state",
    type=click.Choice(["hidden", "cell"]),
    help="Hidden state, or an LSTM's cell state c as tanh(c).  [default: both; for --unit the cell state, if there is one]",
)
@click.option(
    "--length", type=click.IntRange(2), default=5000, show_default=True, metavar="N", help="Characters to read, at most."
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Units to list.")
@click.option("--embedding", is_flag=True, help="Show the embedding of the tokens instead: neighbours and a picture.")
@click.option("--token", metavar="TOKEN", help="With --embedding: show the neighbours of this token only.")
@html_option
@member_option
@reading_options
def command(
    run_spec: str | None,
    file: str,
    wanted: str | None,
    unit: int | None,
    layer: int | None,
    state: str | None,
    length: int,
    top: int,
    embedding: bool,
    token: str | None,
    html: Path | None,
    member: int | None,
    label: str | None,
    carry: bool | None,
    on_unknown: str,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Show the activations of hidden units while a network reads FILE (- for stdin): some follow quotes or line length.

    Without --find and --unit, shows the best unit for each property of the text. RUN is the newest run unless given.

    \b
      chargen units book.txt
      chargen units book-lstm-20260101-120000 book.txt --find quotes
      chargen units book.txt --unit 17 --layer 2
      chargen units book.txt --html units.html
      chargen units --embedding --token e
    """
    use_one_thread()
    if embedding:
        show_embedding(_one_network(run_spec, runs_dir, label, carry, member, verbosity)[1], token, top, as_json=as_json)
        return
    if token is not None:
        raise ConfigError("--token needs --embedding", hint="add --embedding, or leave out --token")
    from chargen.insight.passages import read_passages
    from chargen.insight.units import record_units

    if wanted and unit:
        raise ConfigError("--find and --unit exclude each other", hint="leave out one")
    path, model = _one_network(run_spec, runs_dir, label, carry, member, verbosity)
    name, text = given_text(file, model)
    activations = record_units(model, read_passages(model, text[:length], on_unknown=on_unknown))
    chosen = _one_unit(activations, unit, layer, state) if unit else None
    activations = activations if unit else activations.only(layer=layer, state=state)
    if wanted:
        chosen = activations.ranked(wanted)[0].unit
    if html:
        write_output(html, _page(activations, chosen, name, model_name(path)), option="--html")
    if as_json:
        echo(json_text(_mapping(activations, chosen, wanted, top)))
    elif not html:
        _show(activations, chosen, wanted, top)


def _one_network(
    run_spec: str | None, runs_dir: Path, label: str | None, carry: bool | None, member: int | None, verbosity: int
) -> tuple[Path, Any]:
    """Return a model file and its model with one network: the chosen one, or the first of several, which is reported."""
    path, model = load_reader(run_spec, runs_dir, label, carry)
    count = len(model.network.members)
    if member is None and count > 1 and verbosity:
        echo(f"the model holds {count} networks; these are the units of the first, --member chooses another", err=True)
    return path, model.member(member or 1)


def _one_unit(activations: "Activations", unit: int, layer: int | None, state: str | None) -> "Unit":
    """Return the chosen unit. Raises ConfigError if there is no unit of that number."""
    from chargen.insight.units import Unit

    last = activations.units[-1]
    chosen = Unit(layer or last.layer, unit, state or last.state)
    activations.of(chosen)
    return chosen


def _mapping(activations: "Activations", chosen: "Unit | None", wanted: str | None, top: int) -> dict[str, Any]:
    """Return the JSON output: the best units for one property or for each, and the activations of the chosen unit."""
    names = [wanted] if wanted else [one for one in PROPERTIES if one in activations.properties and not chosen]
    found = {
        name: [one.unit._asdict() | {"correlation": one.correlation} for one in activations.ranked(name)[:top]]
        for name in names
    }
    mapping = {"characters": sum(map(len, activations.pieces)), "units": len(activations.units), "found": found}
    if not chosen:
        return mapping
    values = [round(float(one), 4) for one in activations.of(chosen)]
    return mapping | {"unit": chosen._asdict(), "tokens": list(activations.pieces), "values": values}


def _show(activations: "Activations", chosen: "Unit | None", wanted: str | None, top: int) -> None:
    characters = sum(map(len, activations.pieces))
    echo(f"{characters:,} characters, {len(activations.units):,} states of units")
    if wanted:
        for one in activations.ranked(wanted)[:top]:
            echo(f"  {one.correlation:+.3f}  {one.unit}")
    elif not chosen:
        _show_best(activations)
    if chosen:
        _show_unit(activations, chosen)


def _show_best(activations: "Activations") -> None:
    """Print the unit that follows each property best."""
    width = max(map(len, PROPERTIES))
    for name in PROPERTIES:
        if name in activations.properties:
            best = activations.ranked(name)[0]
            echo(f"  {name:{width}}  {best.correlation:+.3f}  {best.unit}")
        else:
            echo(f"  {name:{width}}       -  constant in this text")


def _show_unit(activations: "Activations", unit: "Unit") -> None:
    """Print the text in the colours of a unit, from -1 (blue) to 1 (red)."""
    from rich.console import Console

    from chargen.insight.heat import ACTIVATION_COLOURS, ACTIVATION_MARKS, Heat, activation_level, draw_heat, is_coloured

    console = Console()
    scale = "blue is -1, red is 1" if is_coloured(console) else f"below the text, from -1 to 1: {ACTIVATION_MARKS!r}"
    echo(f"\n{unit}; {scale}\n")
    levels = [activation_level(float(one)) for one in activations.of(unit)]
    for line in activations.lines:
        heat = [
            Heat(activations.pieces[place], ACTIVATION_COLOURS[levels[place]], ACTIVATION_MARKS[levels[place]])
            for place in range(line.start, line.stop)
        ]
        echo(draw_heat(console, heat), end="", raw=True)  # contains colours, and no other escape sequences


def _page(activations: "Activations", chosen: "Unit | None", name: str, run: str) -> str:
    from chargen.pages.units import units_page

    correlations = {name: activations.correlations(name) for name in PROPERTIES if name in activations.properties}
    return units_page(
        title=name,
        run=run,
        pieces=activations.pieces,
        lines=activations.lines,
        units=activations.units,
        values=activations.values,
        correlations=correlations,
        chosen=activations.units.index(chosen) if chosen else None,
        most_bytes=PAGE_BYTES,
    )
