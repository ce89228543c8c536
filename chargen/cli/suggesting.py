"""Suggest the option, argument or command that was probably meant."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from chargen.suggestions import COMMANDS, COMMANDS_BELOW, NO_OPTIONS, OPTIONS, Table, meaning, most_similar

ALIKE, ALIKE_COMMANDS = 0.7, 0.65  # least similarity of a mistyped name to the right one, as `difflib` measures it
EXTRA = re.compile(r"got unexpected extra arguments? \((?P<arguments>.*)\)", re.IGNORECASE | re.DOTALL)
LONG_WITH_ONE_DASH = re.compile("-[a-zA-Z][a-zA-Z_-]+")


class SuggestingGroup(click.Group):
    """Suggest a command for one that does not exist."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names and not ctx.resilient_parsing:
            below = ctx.command_path.partition(" ")[2]
            raise click.UsageError(unknown_command(ctx.command_path, args[0], names, COMMANDS_BELOW.get(below, COMMANDS)), ctx)
        return super().resolve_command(ctx, args)


def unknown_command(path: str, typed: str, names: Sequence[str], known: Table) -> str:
    """Return the message for an unknown command below a path; known: the words that mean other commands."""
    meant = meaning(typed, known)
    if meant is None and known is COMMANDS and (Path(typed).suffix or Path(typed).exists()):
        return f"no such command {typed!r}; to train on a text: {path} train {_quoted(typed)}"
    if meant is None:
        meant = next(iter(most_similar(typed, names, cutoff=ALIKE_COMMANDS)), None)
    hint = f"did you mean {path} {meant}?" if meant else f"commands: {', '.join(names)}"
    return f"no such command {typed!r}; {hint}"


def explain(error: click.UsageError, arguments: Sequence[str], others: Callable[[], Iterable[click.Context]]) -> str | None:
    """Return a message that suggests what was probably meant, or None for errors of other kinds.

    arguments: the whole command line. others: the contexts of all commands, which are only loaded if needed.
    """
    if error.ctx is None:
        return None
    if isinstance(error, click.NoSuchOption):
        return _unknown_option(error.ctx, *_as_typed(error.option_name, arguments), others)
    found = EXTRA.fullmatch(error.message)
    return _extra_arguments(error.ctx, found["arguments"]) if found else None


def suggested(name: str, command: click.Command) -> str | None:
    """Return the option or argument of a command that a name without dashes probably means, if it is in the table."""
    options = {flag for option in _options(command) for flag in (*option.opts, *option.secondary_opts)}
    meant = [f"--{name}", *(meaning(name, OPTIONS) or "").split()]
    return next((one for one in meant if one in options or _argument(command, one)), None)


def _as_typed(option: str, arguments: Sequence[str]) -> tuple[str, str | None]:
    """Return an unknown option as it was typed, and its value if it has one. Click reads -seed as -s -e -e -d."""
    for place, argument in enumerate(arguments):
        flag, _, value = argument.partition("=")
        single = LONG_WITH_ONE_DASH.fullmatch(flag) and not option.startswith("--") and option[1:] in flag
        if single or flag.replace("_", "-") == option:
            following = next(iter(arguments[place + 1 : place + 2]), "-")
            return flag.replace("_", "-"), value or (None if following.startswith("-") else following)
    return option, None


def _unknown_option(
    context: click.Context, typed: str, value: str | None, others: Callable[[], Iterable[click.Context]]
) -> str:
    command, name = context.command, typed.lstrip("-")
    meant = suggested(name, command)
    if meant is not None and not meant.startswith("-"):
        given = _quoted(value) if value else meant
        return f"no such option {typed}; {_article(meant)} is given without an option: {context.command_path} {given}"
    if meant is not None:
        return f"no such option {typed}; did you mean {_described(command, meant)}?"
    if reason := meaning(name, NO_OPTIONS):
        return f"no such option {typed}: {reason}"
    elsewhere = [other.command_path for other in others() if f"--{name}" in _flags(other.command)]
    if elsewhere:
        return f"no such option {typed}; it is an option of {', '.join(elsewhere)}"
    alike = most_similar(name, [flag[2:] for flag in _flags(command)], count=2, cutoff=ALIKE)
    hint = " or ".join(_described(command, f"--{one}") for one in alike)
    return f"no such option {typed}" + (f"; did you mean {hint}?" if hint else "")


def _quoted(text: str) -> str:
    from shlex import quote

    return quote(text)


def _article(argument: str) -> str:
    return {"RUN": "the run", "FILE": "the file", "TEXT": "the text"}[argument]


def _described(command: click.Command, flag: str) -> str:
    """Return a flag with the first sentence of its help."""
    option = next(one for one in _options(command) if flag in (*one.opts, *one.secondary_opts))
    sentence = re.split(r"[.;:] |\.?$|  ", option.help or "", maxsplit=1)[0]
    return f"{flag} ({sentence[:1].lower() + sentence[1:]})" if sentence else flag


def _extra_arguments(context: click.Context, extra: str) -> str:
    """Return the message for arguments that a command does not take."""
    command, path = context.command, context.command_path
    flags = _flags(command)
    if "--run" in flags and _is_run(extra, context):
        return f"unexpected argument {extra!r}; a run is given with --run: {path} --run {_quoted(extra)}"
    if "--temp" in flags and _is_number(extra):
        return f"unexpected argument {extra!r}; several numbers are separated by commas, such as --temp 0.2,{extra}"
    if "--seed" in flags:
        return f"unexpected argument {extra!r}; a text to continue is given with --seed: {path} --seed {_quoted(extra)}"
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    if _argument(command, "TEXT"):
        whole = " ".join([context.params[one.name] for one in arguments if one.name] + [extra])
        return f"unexpected argument {extra!r}; put a text of several words in quotes: {path} {_quoted(whole)}"
    taken = " ".join(one.make_metavar(context) for one in arguments)
    return f"unexpected argument {extra!r}; {path} takes {f'only {taken}' if taken else 'options, but no arguments'}"


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"\d*\.?\d+", text))


def _is_run(name: str, context: click.Context) -> bool:
    runs_dir = context.params.get("runs_dir") or "runs"
    return any(path.exists() for path in (Path(name), Path(runs_dir) / name))


def _options(command: click.Command) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option)]


def _flags(command: click.Command) -> list[str]:
    """Return the long flags of a command."""
    return [flag for option in _options(command) for flag in option.opts if flag.startswith("--")]


def _argument(command: click.Command, name: str) -> bool:
    """Return whether a command takes an argument of a name in capitals; FILE also stands for [FILES]..."""
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    return any(re.search(rf"\b{name}S?\b", one.metavar or (one.name or "").upper()) for one in arguments)
