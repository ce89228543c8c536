"""Define the options that several commands share; those of the settings are made from the settings themselves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

import click

from chargen.cli.completing import complete_configs, complete_runs
from chargen.cli.environment import is_from_environment, misspelt, variable_name
from chargen.errors import ConfigError, RunError
from chargen.files import write_atomically
from chargen.settings.layers import read_config
from chargen.settings.schema import COMMAND_LINE, SECTIONS, UNKNOWN_CHOICES, Mapped, Setting, declared_settings, flag_name
from chargen.terminal import echo

Command = TypeVar("Command", bound=Callable[..., Any])

_POSITIONAL = ("corpus", "files")
ABOUT_THE_CALL = ("--quiet", "--verbose", "--help", "--help-all")  # what each LongCommand ends its common options with
_ALL = "chargen.help_all"  # set in a context's meta where all options are to be shown

SETTINGS_OF = "train"  # the command that the variables of all settings are named after


class _Row(NamedTuple):
    """What an option of a setting stands for; `shorthand` is the value of a flag that stands for one."""

    section: str
    name: str
    flag: str
    shorthand: Any = None

    @property
    def variable(self) -> str:
        return variable_name(SETTINGS_OF, self.flag)


_rows: dict[str, _Row] = {}  # by the parameter's name


class LongCommand(click.Command):
    """A command of many options: -h shows those that people use most, by topic, and --help-all shows all of them.

    common: the flags that -h shows, below the heading of their topic. Settings are shown by section with --help-all.
    """

    def __init__(self, *arguments: Any, common: Mapping[str, Sequence[str]], **details: Any) -> None:
        super().__init__(*arguments, **details)
        self.common = common
        help_all = partial(click.option, "--help-all", is_flag=True, is_eager=True, expose_value=False)
        help_all(callback=_show_all, help="Show all options and exit.")(self)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        for heading, shown in (_by_section(options) if ctx.meta.get(_ALL) else self._by_topic(options)).items():
            if records := [record for one in shown if (record := one.get_help_record(ctx))]:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def _by_topic(self, options: Sequence[click.Option]) -> dict[str, list[click.Option]]:
        by_flag = {flag: one for one in options for flag in one.opts}
        return {topic: [by_flag[flag] for flag in flags] for topic, flags in self.common.items()}


def _show_all(context: click.Context, option: click.Parameter, given: bool) -> None:
    """Print the help text with all options."""
    if given:
        context.meta[_ALL] = True
        echo(context.get_help())
        context.exit()


def _by_section(options: Sequence[click.Option]) -> dict[str, list[click.Option]]:
    """Return the options of a command itself, then the settings by section."""
    sections: dict[str, list[click.Option]] = {section: [] for section in ("options", *SECTIONS)}
    for option in options:
        row = _rows.get(option.name or "")
        sections[row.section if row else "options"].append(option)
    return {section.capitalize(): found for section, found in sections.items()}


def setting_options(command: Command) -> Command:
    """Add --config and one option for each setting to a command; it receives them as keyword arguments."""
    return config_option(section_options(*SECTIONS)(command))


def section_options(*sections: str) -> Callable[[Command], Command]:
    """Return a decorator that adds one option for each setting of some sections; the command receives keyword arguments."""
    return partial(_add_options, sections)


def _add_options(sections: Sequence[str], command: Command) -> Command:
    for section, one, kind, detail in reversed(list(declared_settings())):
        if section not in sections or (section, one.name) == _POSITIONAL:
            continue
        for flag, value in detail.shorthands.items():
            parameter = f"{section}__{one.name}__{value}"
            row = _rows[parameter] = _Row(section, one.name, flag, value)
            shown = f"Short for {flag_name(one.name, detail)} {value}."
            command = click.option(flag, parameter, is_flag=True, envvar=row.variable, help=shown)(command)
        parameter = f"{section}__{one.name}"
        row = _rows[parameter] = _Row(section, one.name, flag_name(one.name, detail))
        command = _setting_option(row, parameter, kind, detail, one.default)(command)
    return command


def _setting_option(row: _Row, parameter: str, kind: Any, detail: Setting, default: Any) -> Callable[[Command], Command]:
    multiple = get_origin(kind) is tuple
    if multiple or isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    shown_default = detail.unset if default is None else _shown(default)
    if detail.by_text:
        shown_default = f"{detail.unset}; {shown_default} with a config"
    help_text = f"{detail.help}  [default: {shown_default}]"
    details: dict[str, Any] = {"default": None, "envvar": row.variable, "help": help_text}
    if kind is bool:
        return click.option(f"{row.flag}/--no-{row.flag[2:]}", parameter, **details)
    shown: Any = click.Choice(detail.choices) if detail.choices else kind
    if row.name == "start_from":
        details["shell_complete"] = complete_runs
    return click.option(row.flag, parameter, type=shown, multiple=multiple, **details)


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default)) or "none"
    return {True: "yes", False: "no"}.get(default, str(default)) if isinstance(default, bool) else str(default)


def option_layers(files: tuple[str, ...], config_name: str | None, given: dict[str, Any]) -> list[tuple[str, Mapped]]:
    """Return the layers that a user has named: the config file, a layer for each variable, and the command line.

    Raises ConfigError for a setting given in two ways.
    """
    layers: list[tuple[str, Mapped]] = [read_config(config_name)] if config_name else []
    variables = {name: value for name, value in given.items() if name in _rows and is_from_environment(name)}
    _sections(variables, "variable")  # where two of them exclude each other, none of them is the later one
    layers += [(f"environment {_rows[name].variable}", _sections({name: variables[name]})) for name in variables]
    command_line = _sections({name: value for name, value in given.items() if name not in variables})
    if files:
        command_line.setdefault("corpus", {})["files"] = list(files)
    return [*layers, (COMMAND_LINE, command_line)]


def _sections(given: dict[str, Any], called: str = "flag") -> Mapped:
    """Return the settings that some options stand for; each option is called by its flag, or by its variable."""
    sections: Mapped = {}
    ways: dict[tuple[str, str], str] = {}
    for parameter, row in _rows.items():
        value = given.get(parameter)
        if value is None or (value is False and row.shorthand is not None) or value == ():
            continue
        way = getattr(row, called)
        before = ways.setdefault((row.section, row.name), way)
        if before != way:
            raise ConfigError(
                f"{before} and {way} exclude each other, both set {row.section}.{row.name}", hint="leave one of them out"
            )
        sections.setdefault(row.section, {})[row.name] = value if row.shorthand is None else row.shorthand
    return sections


def common_options(command: Command) -> Command:
    """Add -q, -v and --debug; the command receives `verbosity`: 0 quiet, 1 usual, 2 verbose.

    Before it begins, what is probably misspelt in the environment is told.
    """

    @wraps(command)
    def warned(*arguments: Any, verbosity: int, **given: Any) -> Any:
        context = click.get_current_context()
        for line in misspelt(context) if verbosity and context.invoked_subcommand is None else ():
            echo(line, err=True)
        return command(*arguments, verbosity=verbosity, **given)

    made = click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")(warned)
    made = click.option("-v", "--verbose", "verbosity", flag_value=2, type=int, help="Say more on stderr.")(made)
    return click.option("-q", "--quiet", "verbosity", flag_value=0, type=int, default=1, help="Say only errors.")(made)  # type: ignore[return-value]


config_option = click.option(
    "--config",
    "config_name",
    metavar="NAME|PATH",
    envvar=variable_name(SETTINGS_OF, "--config"),
    shell_complete=complete_configs,
    help="Settings from a TOML file or a shipped config.",
)


def time_options(command: Command) -> Command:
    """Add --preset and --minutes, from which settings are chosen."""
    minutes = click.option(
        "--minutes",
        type=float,
        envvar=variable_name(SETTINGS_OF, "--minutes"),
        help="Choose settings for so many minutes, and end within them.",
    )
    preset = click.option(
        "--preset",
        type=click.Choice(["fast", "balanced", "best"]),
        envvar=variable_name(SETTINGS_OF, "--preset"),
        help="How long training may take to become how good: the work of two cores in about 1, 5 or 30 minutes.  "
        "[default: balanced, without a --config]",
    )
    return preset(minutes(command))


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
    type=click.Choice(UNKNOWN_CHOICES),
    default="error",
    show_default=True,
    help="What to do with a character, or a word of a prompt, that the model has never seen.",
)

output_option = click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead of stdout."
)


def write_output(path: Path, content: str | bytes | Iterable[str], *, option: str = "--output") -> None:
    """Write the file that an option names whole, half a surrogate pair as an escape. Raises RunError."""
    pieces = [content] if isinstance(content, str | bytes) else content
    try:
        write_atomically(path, (one if isinstance(one, bytes) else one.encode("utf-8", "backslashreplace") for one in pieces))
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}", hint=f"choose another file with {option}") from error
