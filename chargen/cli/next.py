from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.json_text import json_text
from chargen.cli.measuring import use_one_thread
from chargen.cli.prompting import given_prompt, seed_file_option
from chargen.cli.reading import load_reader, reading_options, run_option, shown_token
from chargen.cli.sampling import memory_option
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.network.model_file import TextModel
    from chargen.writing.prompt import Prompt

SHOWN_BEFORE = 20  # characters of the text before a guess


@click.command("next")
@click.argument("text", default="")
@seed_file_option
@run_option
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Characters to show.")
@memory_option
@reading_options
def command(
    text: str,
    seed_file: str | None,
    run_spec: str | None,
    top: int,
    label: str | None,
    carry: bool | None,
    memory: float | None,
    on_unknown: str,
    runs_dir: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Show the most probable characters after TEXT (- for stdin), and the predictions while the network read TEXT.

    Probabilities are at temperature 1. Without TEXT, shows how a text begins. In a model of lines, (end) is the end of the
    line; in JSON it is null.

    \b
      chargen next "The wor"
      chargen next "Har" --top 3 --json
    """
    use_one_thread()
    from chargen.writing.prompt import read_prompt

    text = given_prompt(text, seed_file, option="text", flag="TEXT")
    _, model = load_reader(run_spec, runs_dir, label, carry, memory)
    report = _report(model, read_prompt(model.vocabulary, text, on_unknown=on_unknown), top)
    echo(json_text(report) if as_json else "\n".join(_told(report)))


def _report(model: "TextModel", prompt: "Prompt", top: int) -> dict[str, Any]:
    """Return a model's predictions after a prompt, and before each of its tokens."""
    from chargen.writing.prediction import guesses, most_probable

    pieces = [None, *model.vocabulary]  # by token id
    read = [
        {
            "token": piece,
            "probability": one.probability,
            "guess": pieces[one.guess],
            "guess_probability": one.guess_probability,
            "right": one.guess == one.token,
        }
        for piece, one in zip(prompt.tokens(model.vocabulary), guesses(model, prompt.ids), strict=True)
    ]
    expected = most_probable(model, prompt.ids, top)
    following = [{"token": pieces[token], "probability": probability} for token, probability in expected]
    return {"text": prompt.text, "next": following, "read": read}


def _told(report: dict[str, Any]) -> list[str]:
    """Return the lines of the text output."""
    lines = [f"after {report['text']!r}:"]
    lines += [f"  {shown_token(one['token']):8}{one['probability']:7.1%}" for one in report["next"]]
    if not report["read"]:
        return lines
    right = sum(one["right"] for one in report["read"])
    lines += ["", f"while reading, {right} of {len(report['read'])} guessed right:"]
    before = ""
    rows = [("after", "came", "", "guessed", "", "")]
    for one in report["read"]:
        came = (shown_token(one["token"]), f"{one['probability']:.1%}")
        guessed = (shown_token(one["guess"]), f"{one['guess_probability']:.1%}", "right" if one["right"] else "")
        rows.append((repr(before[-SHOWN_BEFORE:]), *came, *guessed))
        before += one["token"]
    return lines + _columns(rows)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the rows as lines, texts and percentages in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) if "%" in cell[-1:] else cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines
