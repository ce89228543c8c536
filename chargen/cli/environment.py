"""Read options from environment variables: CHARGEN_TRAIN_EPOCHS is `chargen train --epochs`.

Every option has a variable named after its command and its flag, except -q, -v, --debug and the help options.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from chargen.errors import ChargenError
from chargen.suggestions import OPTIONS, meaning, most_similar

PREFIX = "CHARGEN_"
OTHERS = {"CHARGEN_CACHE", "CHARGEN_NATIVE"}  # variables that belong to no option
ABOUT_ONE_CALL = ("verbosity", "debug", "help_all")


def variable_name(command: str, flag: str) -> str:
    """Return the name of the variable of a command's flag."""
    return PREFIX + re.sub(r"\W", "_", f"{command} {flag.removeprefix('--')}").upper()


def name_variables(command: click.Command, path: str) -> None:
    """Give each option of a command, and of its subcommands, a variable, unless it has one."""
    for name, below in _below(command).items():
        name_variables(below, f"{path} {name}")
    for option in _options(command):
        if option.envvar is None and option.name not in ABOUT_ONE_CALL:
            option.envvar = variable_name(path, _flag(option))


def _below(command: click.Command) -> Mapping[str, click.Command]:
    return command.commands if isinstance(command, click.Group) else {}


def _options(command: click.Command) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option)]


def _flag(option: click.Option) -> str:
    return next(one for one in option.opts if one.startswith("--"))


def variables_of(command: click.Command) -> dict[str, str]:
    """Return the flag of each variable that a command or its subcommands read."""
    return {name: _flag(option) for name, option in _variables(command).items()}


def _variables(command: click.Command) -> dict[str, click.Option]:
    """Return the option of each variable that a command or its subcommands read."""
    found = {str(one.envvar): one for one in _options(command) if one.envvar}
    for below in _below(command).values():
        found |= _variables(below)
    return found


def is_from_environment(parameter: str) -> bool:
    """Return whether a parameter of the running command was given by its variable."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(parameter) is ParameterSource.ENVIRONMENT


def typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of parameters, None for those that came from the environment."""
    return {name: None if is_from_environment(name) else value for name, value in given.items()}


def misspelt(context: click.Context) -> Iterator[str]:
    """Yield a line for each unknown variable that was probably meant for the running command."""
    root = context.find_root()
    program, running = root.command, context.command_path.removeprefix(root.command_path).split()
    if not isinstance(program, click.Group) or not running:
        return
    prefixes = {variable_name(name, ""): name for name in program.list_commands(root)}
    known = _known(program, root, running[0]) | OTHERS
    judged = [prefix for prefix in prefixes if any(name.startswith(prefix) for name in known)]
    for prefix in judged:  # `config show` uses the variables of `train`, which reads others too
        known |= _known(program, root, prefixes[prefix])
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            owner = next((prefix for prefix in judged if name.startswith(prefix)), None)
            if owner or not name.startswith(tuple(prefixes)):
                yield from _suggestion(name, known, owner)


def _known(program: click.Group, root: click.Context, name: str) -> set[str]:
    command = program.get_command(root, name)
    return set(variables_of(command)) if command else set()


def _suggestion(name: str, known: set[str], owner: str | None) -> Iterator[str]:
    """Yield a line about an unknown variable of a command, its `owner`; without an owner only if it looks misspelt."""
    prefix = owner or PREFIX
    rest = {one.removeprefix(prefix): one for one in known if one.startswith(prefix)}
    wanted = name.removeprefix(prefix)
    meant = (meaning(wanted.replace("_", "-"), OPTIONS) or "").split() if owner else []
    matches = [one for flag in meant if (one := variable_name("", flag).removeprefix(f"{PREFIX}_")) in rest]
    matches += most_similar(wanted, rest, cutoff=0.6 if owner else 0.75)
    matches += sorted((one for one in rest if one.endswith(f"_{wanted}")), key=len)  # the command's name is missing
    if matches:
        yield f"unknown variable {name}; did you mean {rest[matches[0]]}?"
    elif owner:
        yield f"unknown variable {name}: no such option"


def behind(error: ChargenError, command: click.Command, arguments: Sequence[str]) -> list[str]:
    """Return the variables that contributed to an error, unless it names them itself.

    The error contains the option of the variable, or its value as a whole word. The value must be a name that the user chose: a
    number, or one of several choices, may mean something else there, unless the option's name is in the error too.
    """
    flags, line = _typed_flags(arguments), str(error)
    return [
        name
        for name, option in _variables(command).items()
        if (value := os.environ.get(name)) and name not in line and _flag(option) not in flags
        if _stands_in(_flag(option), line) or _values_stand_in(option, value, error.message)
    ]


def _values_stand_in(option: click.Option, value: str, message: str) -> bool:
    words = filter(None, re.split(r"[,\s]+", value))
    names = (_flag(option)[2:], option.name or "")
    named = any(_stands_in(one, message.replace("_", "-")) for one in names)
    chosen = isinstance(option.type, click.types.StringParamType | click.Path) and not option.is_flag
    return (named or chosen) and any(_stands_in(one, message) for one in words)


def _typed_flags(arguments: Sequence[str]) -> set[str]:
    """Return the flags among some arguments, --batch_size as --batch-size."""
    return {one.partition("=")[0].replace("_", "-") for one in arguments}


def _stands_in(part: str, line: str) -> bool:
    """Return whether a part of a line is a word by itself, and not the beginning of a path."""
    return bool(part) and re.search(rf"(?<![\w/.-]){re.escape(part)}(?![\w/-]|\.\w)", line) is not None


def name_variable(error: click.BadParameter, arguments: Sequence[str]) -> None:
    """Name the option's variable in an error about a value that came from it."""
    option = error.param
    if not isinstance(option, click.Option) or _typed_flags(arguments) & {*option.opts, *option.secondary_opts}:
        return
    if option.envvar and os.environ.get(str(option.envvar)):
        error.param_hint = str(option.envvar)
