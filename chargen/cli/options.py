"""Define the options that several commands share, and make options from declared settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field
from functools import partial, reduce, wraps
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

import click

from chargen.cli.completing import complete_configs, complete_runs
from chargen.cli.environment import is_from_environment, misspelt, variable_name
from chargen.errors import ConfigError, RunError
from chargen.files import write_atomically
from chargen.settings.layers import check_value, read_config
from chargen.settings.schema import COMMAND_LINE, SECTIONS, Mapped, Setting, declared_fields, declared_settings, flag_name
from chargen.settings.writing import WritingOptions
from chargen.terminal import echo

Command = TypeVar("Command", bound=Callable[..., Any])

_POSITIONAL = ("corpus", "files")
ABOUT_THE_CALL = ("--quiet", "--verbose", "--help", "--help-all")  # the last common options of each LongCommand
_ALL = "chargen.help_all"  # set in a context's meta to show all options

SETTINGS_OF = "train"  # the command in the names of the variables of all settings


class _Row(NamedTuple):
    """Name the setting of an option; `shorthand` is the value of a flag that stands for one."""

    section: str
    name: str
    flag: str
    shorthand: Any = None

    @property
    def variable(self) -> str:
        return variable_name(SETTINGS_OF, self.flag)


_rows: dict[str, _Row] = {}  # by the parameter's name


class LongCommand(click.Command):
    """Show the most used options with -h, by topic, and all options with --help-all, settings by section.

    common: the flags that -h shows, by the heading of their topic.
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
    details: dict[str, Any] = {"envvar": row.variable}
    if row.name == "start_from":
        details["shell_complete"] = complete_runs
    return _declared_option(row.flag, parameter, kind, detail, default, **details)


def _declared_option(
    flag: str, parameter: str, kind: Any, detail: Setting, default: Any, **details: Any
) -> Callable[[Command], Command]:
    """Return the option of a declared setting; its value is None, or empty, unless given."""
    multiple = get_origin(kind) is tuple
    if multiple or isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    shown_default = detail.unset if default is None else _shown(default)
    if detail.by_text:
        shown_default = f"{detail.unset}; {shown_default} with a config"
    details |= {"default": None, "help": f"{detail.help}  [default: {shown_default}]", "metavar": detail.metavar}
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", parameter, **details)
    if multiple and kind in (int, float):
        return click.option(flag, parameter, type=Numbers(kind), multiple=True, callback=_joined, **details)
    shown: Any = click.Choice(detail.choices, case_sensitive=False) if detail.choices else kind
    return click.option(flag, parameter, type=shown, multiple=multiple, **details)


class Numbers(click.ParamType[tuple[float, ...]]):
    """Parse one number, or several separated by commas, into a tuple."""

    name = "numbers"

    def __init__(self, kind: type[float]) -> None:
        self._kind = kind

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[float, ...]:
        try:
            return tuple(self._kind(one) for one in value.split(","))
        except ValueError:
            what, such = ("whole number", "20,30") if self._kind is int else ("number", "0.2,0.5,1.0")
            self.fail(f"{value!r} is not a {what}, nor several separated by commas, such as {such}", parameter, context)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "X[,X...]"


def _joined(context: click.Context, parameter: click.Parameter, given: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the numbers of an option that was given several times."""
    return tuple(number for one in given for number in one)


def options_of(cls: type) -> Callable[[Command], Command]:
    """Return a decorator that adds one option for each declared field of a class; the command receives `options`, its instance.

    The instance checks its values, so that the same mistake has the same message everywhere.
    """
    declared = {one.name: _field_option(one, kind, detail) for one, kind, detail in declared_fields(cls)}

    def add(command: Command) -> Command:
        @wraps(command)
        def collected(**given: Any) -> Any:
            values = {name: given.pop(name) for name in declared}
            return command(options=cls(**{name: value for name, value in values.items() if value not in (None, ())}), **given)

        return reduce(lambda made, option: option(made), reversed(declared.values()), collected)  # type: ignore[return-value]

    return add


def option_of(cls: type, name: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the option of one declared field of a class; the command receives its value by its name."""
    one, kind, detail = next(declared for declared in declared_fields(cls) if declared[0].name == name)

    def check(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        return one.default if value is None else check_value(flag_name(name, detail), value, kind, detail)

    return _field_option(one, kind, detail, callback=check)


def _field_option(one: Field[Any], kind: Any, detail: Setting, **details: Any) -> Callable[[Command], Command]:
    return _declared_option(flag_name(one.name, detail), one.name, kind, detail, one.default, **details)


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default)) or "none"
    return {True: "yes", False: "no"}.get(default, str(default)) if isinstance(default, bool) else str(default) or "none"


def option_layers(files: tuple[str, ...], config_name: str | None, given: dict[str, Any]) -> list[tuple[str, Mapped]]:
    """Return the layers that a user has given: the config file, one for each variable, and the command line.

    Raises ConfigError for a setting given in two ways.
    """
    layers: list[tuple[str, Mapped]] = [read_config(config_name)] if config_name else []
    variables = {name: value for name, value in given.items() if name in _rows and is_from_environment(name)}
    _sections(variables, "variable")  # if two conflict, neither takes precedence
    layers += [(f"environment {_rows[name].variable}", _sections({name: variables[name]})) for name in variables]
    command_line = _sections({name: value for name, value in given.items() if name not in variables})
    if files:
        command_line.setdefault("corpus", {})["files"] = list(files)
    return [*layers, (COMMAND_LINE, command_line)]


def _sections(given: dict[str, Any], called: str = "flag") -> Mapped:
    """Return the settings that some options stand for; errors name each option by its flag, or by its variable."""
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

    Before the command runs, environment variables that are probably misspelt are reported.
    """

    @wraps(command)
    def warned(*arguments: Any, verbosity: int, **given: Any) -> Any:
        context = click.get_current_context()
        for line in misspelt(context) if verbosity and context.invoked_subcommand is None else ():
            echo(line, err=True)
        return command(*arguments, verbosity=verbosity, **given)

    made = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(warned)
    made = click.option("-v", "--verbose", "verbosity", flag_value=2, type=int, help="Print more on stderr.")(made)
    return click.option("-q", "--quiet", "verbosity", flag_value=0, type=int, default=1, help="Print only errors.")(made)  # type: ignore[return-value]


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
        help="Choose settings for a training of this many minutes, and stop within them.",
    )
    preset = click.option(
        "--preset",
        type=click.Choice(["fast", "balanced", "best"]),
        envvar=variable_name(SETTINGS_OF, "--preset"),
        help="Time against quality: settings for about 1, 5 or 30 minutes on two cores.  "
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

on_unknown_option = option_of(WritingOptions, "on_unknown")

output_option = click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead of stdout."
)


def write_output(path: Path, content: str | bytes | Iterable[str], *, option: str = "--output") -> None:
    """Write the file that an option names, whole or not at all; half a surrogate pair becomes an escape. Raises RunError."""
    pieces = [content] if isinstance(content, str | bytes) else content
    try:
        write_atomically(path, (one if isinstance(one, bytes) else one.encode("utf-8", "backslashreplace") for one in pieces))
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}", hint=f"choose another file with {option}") from error
