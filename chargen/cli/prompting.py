"""Define the options for the text to continue: typed, or read from a file or stdin."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from chargen.cli.completing import complete_files
from chargen.cli.environment import is_from_environment
from chargen.cli.options import Command
from chargen.cli.reading import given_text
from chargen.errors import ConfigError

STDIN = "-"

seed_file_option = click.option(
    "--seed-file",
    metavar="FILE",
    shell_complete=complete_files,
    help="Read the text to continue from FILE, without the newline at its end.",
)


def prompt_options(*, stdin: bool = True) -> Callable[[Command], Command]:
    """Return a decorator that adds --seed and --seed-file to a command, which receives `prompt`, the text to continue.

    stdin: whether - reads stdin; False if the command needs stdin for something else.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def read(prompt: str, seed_file: str | None, **given: Any) -> Any:
            if not stdin and STDIN in (prompt, seed_file):
                raise ConfigError(
                    "stdin is for your answers, so - cannot read the text from it", hint="give the text with --seed-file FILE"
                )
            return command(prompt=given_prompt(prompt, seed_file, option="prompt", flag="--seed"), **given)

        about = "Text to continue; - reads it from stdin." if stdin else "Text to begin with."
        return click.option("--seed", "prompt", default="", metavar="TEXT", help=about)(seed_file_option(read))  # type: ignore[return-value]

    return add


def given_prompt(text: str, file: str | None, *, option: str, flag: str) -> str:
    """Return the text to continue: as it was given, or read from a file or, for -, from stdin.

    option, flag: the parameter of the text and its flag. A value on the command line replaces one from the environment. The
    newline at the end of a file is left out, since editors and `echo` add one. Raises ConfigError for a text given in two ways,
    and CorpusError for one that cannot be read.
    """
    if text and file is not None and is_from_environment(option) != is_from_environment("seed_file"):
        text, file = ("", file) if is_from_environment(option) else (text, None)
    if text and file is not None:
        raise ConfigError(f"{flag} and --seed-file both give the text to continue", hint="leave one of them out")
    if text == STDIN:
        file = STDIN
    return text if file is None else given_text(file)[1].removesuffix("\n")
