from typing import Any

import click
import tomli_w

from chargen.cli.completing import complete_texts
from chargen.cli.json_text import json_text
from chargen.cli.options import SettingsCommand, common_options, json_option, resolve_options, setting_options
from chargen.cli.suggesting import SuggestingGroup
from chargen.config import SECTIONS
from chargen.resolution import Resolved
from chargen.terminal import echo


@click.group("config", cls=SuggestingGroup)
def command() -> None:
    """Show settings and where each comes from."""


@command.command("show", cls=SettingsCommand)
@click.argument("files", nargs=-1, shell_complete=complete_texts)
@setting_options
@json_option
@common_options
def show(files: tuple[str, ...], config_name: str | None, as_json: bool, verbosity: int, **given: Any) -> None:
    """Print the settings that `chargen train` with the same arguments would start from, as TOML.

    The comment behind each names its origin: default, the config file, or the command line. What is left out is chosen from
    the text, or stands for what `chargen train --help` says.
    """
    resolved = resolve_options(files, config_name, given)
    echo(json_text(_table(resolved)) if as_json else _toml(resolved))


def _table(resolved: Resolved) -> dict[str, dict[str, Any]]:
    values = resolved.settings.to_mapping()
    return {
        name: {"value": values[section].get(key), "origin": origin}
        for name, origin in resolved.origin.items()
        for section, _, key in [name.partition(".")]
    }


def _toml(resolved: Resolved) -> str:
    values = resolved.settings.to_mapping()
    sections = []
    for section in SECTIONS:
        lines = [f"[{section}]"]
        for name, value in values[section].items():
            lines.append(f"{_toml_line(name, value)}  # {resolved.origin[f'{section}.{name}']}")
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def _toml_line(name: str, value: Any) -> str:
    """Return `name = value` on one line; a list is an array of such values."""
    if isinstance(value, list):
        return f"{name} = [{', '.join(_toml_line('x', one).removeprefix('x = ') for one in value)}]"
    return tomli_w.dumps({name: value}).strip()
