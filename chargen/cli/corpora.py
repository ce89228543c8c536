import json
from typing import Any

import click

from chargen.cli.options import common_options, json_option
from chargen.errors import CorpusError
from chargen.shipped import shipped_files
from chargen.terminal import echo


@click.group("corpora", invoke_without_command=True)
@json_option
@common_options
@click.pass_context
def command(context: click.Context, as_json: bool, verbosity: int) -> None:
    """List the texts that `chargen train` finds by name, and those that can be fetched.

    \b
      chargen corpora
      chargen corpora get tinyshakespeare
      chargen train tinyshakespeare.txt
    """
    if context.invoked_subcommand is None:
        rows = _corpora()
        echo(json.dumps(rows, ensure_ascii=False) if as_json else _table(rows))


@command.command("get")
@click.argument("names", nargs=-1, required=True)
@json_option
@common_options
def get(names: tuple[str, ...], as_json: bool, verbosity: int) -> None:
    """Fetch the texts of these NAMES into your cache; stdout gets the path of each.

    Each comes from the address that `chargen corpora --json` tells, once, and its sha256 is checked. The folder is your
    system's cache folder, or $CHARGEN_CACHE.
    """
    from chargen.corpus.fetching import fetch, fetched_path

    texts = [_wanted(name) for name in names]
    for text in texts:
        if verbosity and not fetched_path(text):
            echo(f"fetching {text.name}, {text.size:,} bytes, from {text.url}", err=True)
        path = str(fetch(text))
        echo(json.dumps({"name": text.name, "path": path}, ensure_ascii=False) if as_json else path)


def _wanted(name: str) -> Any:
    """Return the public text of a name. Raises CorpusError where there is none."""
    from chargen.corpus.fetching import PUBLIC_TEXTS, find_public

    if text := find_public(name):
        return text
    known = ", ".join(one.name for one in PUBLIC_TEXTS)
    shipped = name in {path.name for path in shipped_files("corpora")}
    hint = f"chargen train {name} finds it" if shipped else f"there are {known}"
    raise CorpusError(f"{name} comes with chargen" if shipped else f"no text to fetch is called {name}", hint=hint)


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
    """Return one line a text: its name, its size, whether it is here, what it is."""
    lines = [(row["name"], f"{row['bytes']:,} bytes", "here" if row["path"] else "to fetch", row["about"]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        f"{name:{widths[0]}}  {size:>{widths[1]}}  {where:{widths[2]}}  {about}" for name, size, where, about in lines
    )
