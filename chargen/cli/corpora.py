from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from chargen.cli.completing import complete_corpora
from chargen.cli.json_text import json_text
from chargen.cli.options import common_options, json_option, write_output
from chargen.cli.suggesting import SuggestingGroup
from chargen.errors import ConfigError, CorpusError
from chargen.shipped import shipped_files
from chargen.terminal import echo


@click.group("corpora", cls=SuggestingGroup, invoke_without_command=True)
@json_option
@common_options
@click.pass_context
def command(context: click.Context, as_json: bool, verbosity: int) -> None:
    """List the texts that `chargen train` finds by name, and download more.

    \b
      chargen corpora list
      chargen corpora get tinyshakespeare
      chargen train tinyshakespeare.txt
      chargen corpora get male -o names.txt
    """
    if context.invoked_subcommand is None:
        _list(as_json)


@command.command("list")
@json_option
@common_options
def list_corpora(as_json: bool, verbosity: int) -> None:
    """List the texts: name, size, whether it is downloaded, and a description. `chargen corpora` does the same."""
    _list(as_json)


@command.command("get")
@click.argument("names", nargs=-1, required=True, shell_complete=complete_corpora)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the text to FILE as well, byte for byte; for one NAME.",
)
@json_option
@common_options
def get(names: tuple[str, ...], output: Path | None, as_json: bool, verbosity: int) -> None:
    """Download the texts of these NAMES and print their paths; with -o, the path is FILE.

    Texts that are not part of chargen are downloaded once, from the address that `chargen corpora list --json` shows, into your
    system's cache folder or $CHARGEN_CACHE. Their sha256 is checked.
    """
    if output and len(names) > 1:
        raise ConfigError(f"--output writes one file, but {len(names)} names are given", hint="get one text at a time")
    for find in [_finder(name) for name in names]:  # report an unknown name before the first download
        path = find(verbosity)
        if output:
            write_output(output, path.read_bytes())
        row = {"name": path.name, "path": str(output or path)}
        echo(json_text(row) if as_json else row["path"])


def _finder(name: str) -> Callable[[int], Path]:
    """Return a function that finds a text or downloads it. Raises CorpusError if no text has that name."""
    from chargen.corpus.fetching import find_public

    shipped = {known: path for path in shipped_files("corpora") for known in (path.name, path.stem)}
    if name in shipped:
        return lambda verbosity: shipped[name]
    if text := find_public(name):
        return partial(_fetched, text)
    known = ", ".join(row["name"] for row in _corpora())
    raise CorpusError(f"no such text: {name}", hint=f"there are {known}")


def _fetched(text: Any, verbosity: int) -> Path:
    from chargen.corpus.fetching import fetch, fetched_path

    if verbosity and not fetched_path(text):
        echo(f"downloading {text.name}, {text.size:,} bytes, from {text.url}", err=True)
    return fetch(text)


def _list(as_json: bool) -> None:
    rows = _corpora()
    echo(json_text(rows) if as_json else _table(rows))


def _corpora() -> list[dict[str, Any]]:
    from chargen.corpus.fetching import PUBLIC_TEXTS, fetched_path

    rows: list[dict[str, Any]] = [
        {"name": path.name, "bytes": path.stat().st_size, "path": str(path), "about": "comes with chargen"}
        for path in shipped_files("corpora")
    ]
    for text in PUBLIC_TEXTS:
        path = fetched_path(text)
        source = {"url": text.url, "sha256": text.sha256}
        row = {"name": text.name, "bytes": text.size, "path": str(path) if path else None, "about": text.about}
        rows.append(row | source)
    return rows


def _table(rows: list[dict[str, Any]]) -> str:
    """Return one line a text: its name, size, location and description."""
    lines = [(row["name"], f"{row['bytes']:,} bytes", "here" if row["path"] else "to fetch", row["about"]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        f"{name:{widths[0]}}  {size:>{widths[1]}}  {where:{widths[2]}}  {about}" for name, size, where, about in lines
    )
