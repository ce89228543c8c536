"""Options that several commands share; those of the settings are made from the settings themselves."""

from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import click

from chargen.config import COMMAND_LINE, Mapped, Setting, declared_settings, flag_name
from chargen.errors import ConfigError, RunError
from chargen.files import write_atomically
from chargen.resolution import Resolved, read_config, resolve

Command = TypeVar("Command", bound=Callable[..., Any])

_POSITIONAL = ("corpus", "files")

# One row of a settings option: the parameter's name, section, setting, and the value that a shorthand flag stands for.
_rows: dict[str, tuple[str, str, Any]] = {}


def setting_options(command: Command) -> Command:
    """Add --config and one option for each setting to a command; it receives them as keyword arguments."""
    for section, one, kind, detail in reversed(list(declared_settings())):
        if (section, one.name) == _POSITIONAL:
            continue
        for flag, value in detail.shorthands.items():
            parameter = f"{section}__{one.name}__{value}"
            _rows[parameter] = (section, one.name, value)
            command = click.option(flag, parameter, is_flag=True, help=f"Short for {flag_name(one.name, detail)} {value}.")(
                command
            )
        parameter = f"{section}__{one.name}"
        _rows[parameter] = (section, one.name, None)
        command = _setting_option(flag_name(one.name, detail), parameter, kind, detail, one.default)(command)
    return click.option("--config", "config_name", metavar="NAME|PATH", help="Settings from a TOML file or a shipped config.")(
        command
    )


def _setting_option(flag: str, parameter: str, kind: Any, detail: Setting, default: Any) -> Callable[[Command], Command]:
    multiple = get_origin(kind) is tuple
    if multiple or isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    shown_default = detail.unset if default is None else _shown(default)
    if detail.by_text:
        shown_default = f"{detail.unset}; {shown_default} with a config"
    help_text = f"{detail.help}  [default: {shown_default}]"
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", parameter, default=None, help=help_text)
    shown: Any = click.Choice(detail.choices) if detail.choices else kind
    return click.option(flag, parameter, type=shown, default=None, multiple=multiple, help=help_text)


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return {True: "yes", False: "no"}.get(default, str(default)) if isinstance(default, bool) else str(default)


def resolve_options(files: tuple[str, ...], config_name: str | None, given: dict[str, Any]) -> Resolved:
    """Lay the defaults, the config file and the given options over each other.

    Raises ConfigError for a setting given in two ways, and what `chargen.resolution.resolve` raises.
    """
    return resolve(*option_layers(files, config_name, given))


def option_layers(files: tuple[str, ...], config_name: str | None, given: dict[str, Any]) -> list[tuple[str, Mapped]]:
    """Return the layers that a user has named: the config file and the given options."""
    layers: list[tuple[str, Mapped]] = [read_config(config_name)] if config_name else []
    return [*layers, (COMMAND_LINE, _given_settings(files, given))]


def _given_settings(files: tuple[str, ...], given: dict[str, Any]) -> Mapped:
    sections: Mapped = {"corpus": {"files": list(files)}} if files else {}
    for parameter, (section, name, shorthand) in _rows.items():
        value = given.get(parameter)
        if value is None or (value is False and shorthand is not None) or value == ():
            continue
        values = sections.setdefault(section, {})
        if name in values:
            raise ConfigError(f"{section}.{name} is given in two ways that exclude each other", hint="choose one")
        values[name] = shorthand if shorthand is not None else value
    return sections


def common_options(command: Command) -> Command:
    """Add -q, -v and --debug; the command receives `verbosity`: 0 quiet, 1 usual, 2 verbose."""
    command = click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")(command)
    command = click.option("-v", "--verbose", "verbosity", flag_value=2, type=int, help="Say more on stderr.")(command)
    return click.option("-q", "--quiet", "verbosity", flag_value=0, type=int, default=1, help="Say only errors.")(command)


runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    envvar="CHARGEN_RUNS",
    show_default=True,
    show_envvar=True,
    help="Folder of all runs.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

on_unknown_option = click.option(
    "--on-unknown",
    type=click.Choice(["error", "skip", "nearest"]),
    default="error",
    show_default=True,
    help="What to do with a character that the model has never seen.",
)

output_option = click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead of stdout."
)


def write_output(path: Path, content: str | bytes, *, option: str = "--output") -> None:
    """Write the file that an option names whole, half a surrogate pair as an escape. Raises RunError."""
    try:
        write_atomically(path, content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}", hint=f"choose another file with {option}") from error
