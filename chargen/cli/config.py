from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import tomli_w

from chargen.cli.completing import complete_texts
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
from chargen.cli.suggesting import SuggestingGroup
from chargen.cli.tables import aligned
from chargen.errors import ConfigError
from chargen.settings.layers import Resolved, resolve
from chargen.settings.schema import SECTIONS
from chargen.shipped import shipped_files
from chargen.terminal import echo


@click.group("config", cls=SuggestingGroup)
def command() -> None:
    """Show settings and where each comes from, or list the configs."""


@command.command("list")
@json_option
@common_options
def list_configs(as_json: bool, verbosity: int) -> None:
    """List the configs that come with chargen, each with its first line.

    \b
      chargen config list
      chargen train nietzsche.txt --config nietzsche
    """
    found = {path.stem: _first_line(path) for path in shipped_files("configs") if path.suffix == ".toml"}
    echo(json_text(found) if as_json else aligned(list(found.items())))


def _first_line(config: Path) -> str:
    """Return the comment that a config begins with, up to the command that uses it."""
    with config.open(encoding="utf-8") as file:
        line = file.readline().removeprefix("#").strip()
    return line.partition(": chargen train")[0].rstrip(": ")


COMMON = {
    "Settings, as those of chargen train": ("--config", "--preset", "--minutes"),
    "Output": ("--json", *ABOUT_THE_CALL),
}


@command.command("show", cls=LongCommand, common=COMMON)
@click.argument("files", nargs=-1, shell_complete=complete_texts)
@setting_options
@runs_dir_option
@time_options
@json_option
@common_options
def show(
    files: tuple[str, ...],
    config_name: str | None,
    runs_dir: Path,
    preset: str | None,
    minutes: float | None,
    as_json: bool,
    verbosity: int,
    **given: Any,
) -> None:
    """Print the settings that `chargen train` would use with the same arguments, as TOML.

    The comment after each setting names its origin: default, the config file, the command line, or the text. With FILES, the
    other settings are chosen from the text as `chargen train` does, and comments say why; without FILES they are left out.
    Nothing is trained.

    \b
      chargen config show book.txt --preset fast > my.toml
      chargen train --config my.toml
    """
    from chargen.training.start import choose_settings

    layers = option_layers(files, config_name, given)
    comments: tuple[str, ...] = ()
    if files or given["corpus__mix"]:
        resolved, comments = choose_settings(
            layers,
            runs_dir=runs_dir,
            configured=config_name is not None,
            preset=preset,
            minutes=minutes,
            verbosity=verbosity,
        )
    else:
        for option, value in typed({"preset": preset, "minutes": minutes}).items():
            if value is not None:
                raise ConfigError(f"--{option} chooses settings for a text", hint="name a text, such as book.txt")
        resolved = resolve(*layers)
    echo(json_text(_table(resolved)) if as_json else _toml(resolved, comments))


def _table(resolved: Resolved) -> dict[str, dict[str, Any]]:
    values = resolved.settings.to_mapping()
    return {
        name: {"value": values[section].get(key), "origin": origin}
        for name, origin in resolved.origin.items()
        for section, _, key in [name.partition(".")]
    }


def _toml(resolved: Resolved, comments: Sequence[str]) -> str:
    values = resolved.settings.to_mapping()
    sections = ["\n".join(f"# {comment}" for comment in comments)] if comments else []
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
