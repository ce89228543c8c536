"""Generate pages of the manual from the code: commands from click, settings from their declaration, and the live pages."""

from collections.abc import Iterator, Sequence
from inspect import cleandoc
from itertools import groupby
from types import UnionType
from typing import Any, get_args, get_origin

import click

from chargen.cli.program import COMMANDS, program
from chargen.export.single_page import make_page
from chargen.network.model_file import load_model
from chargen.settings.schema import Setting, declared_settings, flag_name
from chargen.shipped import shipped_models

COMMANDS_PAGE, SETTINGS_PAGE = "reference/commands.md", "reference/settings.md"
TYPES = {bool: "yes or no", int: "whole number", float: "number", str: "text"}


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to those in docs/."""
    from mkdocs.structure.files import File

    for path, content in {COMMANDS_PAGE: commands_page(), SETTINGS_PAGE: settings_page(), **live_pages()}.items():
        files.append(File.generated(config, path, content=content))
    return files


def live_pages() -> dict[str, str]:
    """Return the live pages of the shipped networks, by path."""
    return {f"live/{path.stem}.html": make_page(load_model(path), "float16") for path in shipped_models().values()}


def commands_page() -> str:
    """Return the page on every command and its options."""
    intro = "Every option also has an environment variable; see [Conventions](../conventions.md#environment)."
    context = click.Context(program, info_name="chargen")
    sections = [section for name in COMMANDS for section in _command(program.get_command(context, name), context, name)]
    return "\n\n".join(["# Commands", intro, *sections]) + "\n"


def _command(command: click.Command | None, parent: click.Context, name: str) -> Iterator[str]:
    """Yield the sections of a command and of its subcommands."""
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent)
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"## {path}\n\n```text\n{usage}\n```\n\n{_paragraphs(command.help or '')}\n\n{_options(command, context)}"
    for below, one in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _command(one, context, below)


def _paragraphs(text: str) -> str:
    r"""Return a help text as Markdown; a paragraph after \b becomes a code block."""
    blocks = cleandoc(text).split("\n\n")
    return "\n\n".join(f"```text\n{cleandoc(one[2:])}\n```" if one.startswith("\b\n") else _escaped(one) for one in blocks)


def _options(command: click.Command, context: click.Context) -> str:
    records = [
        (record, option.envvar)
        for option in command.get_params(context)
        if isinstance(option, click.Option) and (record := option.get_help_record(context))
    ]
    rows = [(f"`{flags}`", _escaped(text), f"`{variable}`" if variable else "") for (flags, text), variable in records]
    return _table(("option", "what it does", "environment variable"), rows)


def settings_page() -> str:
    """Return the page on every setting of a run, by section."""
    intro = (
        "Settings come from the defaults, then a config (`--config`), then the environment, then the command line; `chargen "
        "config show` prints them with their origin. A config is a TOML file with these sections and names. In the [Python "
        "interface](python.md), the keyword is the flag with underscores: `batch_size=`, or `from_=` for `--from`."
    )
    heading = ("name", "flag", "value", "default", "meaning")
    sections = [
        f"## {section}\n\n{_table(heading, [_setting(*one) for one in rows])}"
        for section, rows in groupby(declared_settings(), key=lambda row: row[0])
    ]
    return "\n\n".join(["# Settings", intro, *sections]) + "\n"


def _setting(section: str, field: Any, kind: Any, detail: Setting) -> Sequence[str]:
    shorthands = "".join(f"<br>`{flag}` (= {value})" for flag, value in detail.shorthands.items())
    chosen = _escaped(detail.unset) if field.default is None or detail.by_text else ""
    plain = "" if field.default is None else _shown(field.default) + " with a config" * detail.by_text
    default = "; ".join(filter(None, (chosen, plain)))
    flag = flag_name(field.name, detail)
    return (
        f"`{field.name}`",
        ("the arguments" if (section, field.name) == ("corpus", "files") else f"`{flag}`") + shorthands,
        _values(kind, detail),
        default,
        _escaped(detail.help),
    )


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return ", ".join(map(_shown, default)) or "none"
    return {True: "yes", False: "no"}[default] if isinstance(default, bool) else f"`{default}`"


def _values(kind: Any, detail: Setting) -> str:
    """Return the possible values of a setting: its choices, or its type and bounds."""
    several = get_origin(kind) is tuple
    if several or isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    if detail.choices:
        return ", ".join(f"`{choice}`" for choice in detail.choices)
    bounds = [
        f"{word} {bound:,}"
        for word, bound in (("at least", detail.minimum), ("above", detail.above), ("at most", detail.maximum))
        if bound is not None
    ]
    return ", ".join([("list of: " if several else "") + TYPES[kind], *bounds])


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Return plain text escaped for Markdown."""
    for mark in "\\*_<>[]`|":
        text = text.replace(mark, {"<": "&lt;", ">": "&gt;", "|": "&#124;"}.get(mark, f"\\{mark}"))
    return " ".join(text.split())
