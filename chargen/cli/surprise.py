from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.json_text import json_text
from chargen.cli.measuring import use_one_thread
from chargen.cli.options import write_output
from chargen.cli.reading import given_text, html_option, load_reader, model_name, reading_options, run_and_file, shown_token
from chargen.cli.sampling import memory_option
from chargen.errors import ConfigError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.insight.passages import Line
    from chargen.insight.surprise import Surprise

MARKED, LEAST_BITS = 3, 4.0  # pieces of a line that are shown with alternatives
LISTED = 100  # pieces of the most bits in JSON
LARGEST_PAGE = 1_000_000  # characters


@click.command("surprise")
@run_and_file()
@click.option(
    "--order",
    type=click.Choice(["surprise", "text"]),
    default="surprise",
    show_default=True,
    help="Show the most surprising lines first, or all lines in the order of the text.",
)
@click.option("--lines", type=click.IntRange(1), metavar="N", help="Lines to show.  [default: 10, all in the text's order]")
@html_option
@click.option("--cache", is_flag=True, help="Expect what stood before in FILE again: its names and phrases surprise only once.")
@memory_option
@reading_options
def command(
    run_spec: str | None,
    file: str,
    order: str,
    lines: int | None,
    html: Path | None,
    cache: bool,
    label: str | None,
    carry: bool | None,
    memory: float | None,
    on_unknown: str,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Show how surprising each character of FILE (- for stdin) is to a network: typing errors stand out.

    Each character is coloured by its bits; the worst ones are shown with their five best alternatives. The figure for the whole
    text is the first one of chargen evaluate RUN FILE. RUN is the newest run unless given.

    \b
      chargen surprise letter.txt
      chargen surprise book-lstm-20260101-120000 letter.txt --order text
      chargen surprise letter.txt --html letter.html
    """
    use_one_thread()
    from chargen.insight.passages import read_passages
    from chargen.insight.surprise import measure_surprise

    path, model = load_reader(run_spec, runs_dir, label, carry, memory)
    name, text = given_text(file, model)
    if html and len(text) > LARGEST_PAGE:
        raise ConfigError(
            f"{name} has {len(text):,} characters, expected at most {LARGEST_PAGE:,} for a page",
            hint="pass a part of it through a pipe, with -",
        )
    surprise = measure_surprise(model, read_passages(model, text, on_unknown=on_unknown), cache=cache)
    if html:
        write_output(html, _page(surprise, name, model_name(path)), option="--html")
    if as_json:
        echo(json_text(_mapping(surprise)))
    elif not html:
        _show(surprise, order, lines)


def _mapping(surprise: "Surprise") -> dict[str, Any]:
    bits = surprise.measured.bits
    worst = sorted(range(len(bits)), key=lambda place: -bits[place])[:LISTED]
    starts = {line: _columns(surprise, line) for line in surprise.lines}
    where = {place: (line.number, column) for line in surprise.lines for place, column in starts[line].items()}
    return {
        "characters": surprise.characters,
        "bits_per_character": surprise.bits_per_character,
        "end_bits": surprise.end_bits,
        "lines": [
            {
                "line": line.number,
                "bits_per_character": surprise.line_bits(line),
                "text": "".join(surprise.pieces[line.start : line.stop]).removesuffix("\n"),
            }
            for line in surprise.worst_lines()
        ],
        "worst": [
            {"line": where[place][0], "column": where[place][1], "token": surprise.pieces[place], "bits": float(bits[place])}
            | {"alternatives": [one._asdict() for one in surprise.alternatives(place)]}
            for place in worst
        ],
        "tokens": list(surprise.pieces),
        "bits": [round(float(one), 4) for one in bits],
    }


def _columns(surprise: "Surprise", line: "Line") -> dict[int, int]:
    """Return the column, from 1, of each piece of a line."""
    columns, column = {}, 1
    for place in range(line.start, line.stop):
        columns[place] = column
        column += len(surprise.pieces[place])
    return columns


def _show(surprise: "Surprise", order: str, count: int | None) -> None:
    """Print each line, and below it what was expected in the most surprising places."""
    from rich.console import Console

    from chargen.insight.heat import BIT_COLOURS, Heat, bits_level, draw_heat

    console = Console()
    ends = "each line's end" if surprise.end_bits is None else "the text's end"
    echo(f"{surprise.bits_per_character:.3f} bits a character, {surprise.characters:,} characters with {ends}")
    lines = surprise.worst_lines()[: count or 10] if order == "surprise" else surprise.lines[:count]
    for line in lines:
        worst = surprise.worst_pieces(line, MARKED, LEAST_BITS)
        heat = [
            Heat(surprise.pieces[place], BIT_COLOURS[bits_level(surprise.measured.bits[place])], "^" * (place in worst))
            for place in range(line.start, line.stop)
        ]
        echo(f"\nline {line.number:,}, {surprise.line_bits(line):.2f} bits a character")
        echo(draw_heat(console, heat, indent=2), end="", raw=True)  # contains colours, and no other escape sequences
        columns = _columns(surprise, line)
        for place in worst:
            echo(f"    column {columns[place]}: {_expected(surprise, place)}")


def _expected(surprise: "Surprise", place: int) -> str:
    rather = "  ".join(f"{shown_token(one.token)} {one.probability:.1%}" for one in surprise.alternatives(place))
    return f"{surprise.pieces[place]!r} {surprise.measured.bits[place]:.1f} bits, expected {rather}"


def _page(surprise: "Surprise", name: str, run: str) -> str:
    from chargen.pages.surprise import surprise_page

    return surprise_page(
        title=name,
        run=run,
        pieces=surprise.pieces,
        lines=surprise.lines,
        bits=surprise.measured.bits,
        choices=surprise.measured.choices,
        chances=surprise.measured.chances,
        names=surprise.names,
        worst=[(line, surprise.line_bits(line)) for line in surprise.worst_lines()],
        bits_per_character=surprise.bits_per_character,
    )
