"""Define the `chargen` command: load subcommands when they are used, and turn every error into one line of text."""

import io
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click
from click.exceptions import NoArgsIsHelpError
from click.shell_completion import add_completion_class

from chargen.cli.completing import Bash
from chargen.cli.environment import behind, name_variable, name_variables
from chargen.cli.suggesting import SuggestingGroup, explain
from chargen.errors import ChargenError
from chargen.terminal import echo
from chargen.version import __version__

# The help text of each command; a command is the module of its name and is imported when it is called.
TOPICS = {
    "Train": {
        "inspect": "Show how training would read a text, and possible problems.",
        "tokenize": "Write the tokens of a large text into files, to train on.",
        "train": "Train a network on a text.",
        "tune": "Search for the best settings for a text.",
    },
    "Write": {
        "sample": "Write new text with a trained network.",
        "next": "Show the most probable next characters.",
        "play": "Write a text together with a network.",
    },
    "Measure": {
        "evaluate": "Measure how well a run predicts text, with baselines.",
        "novelty": "Measure how much a network copies from its corpus.",
        "surprise": "Show how surprising each character of a text is.",
        "units": "Show what hidden units do over a text.",
        "classify": "Predict the label of a text.",
    },
    "Share": {
        "export": "Turn a network into one file that works without chargen.",
        "serve": "Serve a page to write with, and an API.",
        "report": "Write a page about a run.",
    },
    "Runs": {
        "runs": "List the trained runs.",
        "combine": "Make one run of several, whose predictions are averaged.",
        "summary": "Print the layers, shapes and parameters of a network.",
        "compare": "Show runs side by side.",
        "plot": "Draw the loss curves of runs.",
    },
    "Settings": {
        "config": "Show settings and where each comes from; list the configs.",
        "corpora": "List the texts that are found by name, download more.",
        "completion": "Print the script for completion in a shell.",
        "doctor": "Show what chargen uses on this machine, and what to install.",
    },
}
# The page of the manual about each command.
MANUAL = {
    "inspect": "text",
    "tokenize": "machines",
    "train": "train",
    "tune": "search",
    "sample": "sample",
    "next": "sample",
    "play": "sample",
    "evaluate": "evaluate",
    "novelty": "inside",
    "surprise": "inside",
    "units": "inside",
    "classify": "classify",
    "export": "share",
    "serve": "share",
    "report": "inside",
    "runs": "train",
    "combine": "train",
    "summary": "train",
    "compare": "evaluate",
    "plot": "train",
    "config": "train",
    "corpora": "text",
    "completion": "conventions",
    "doctor": "machines",
}
COMMANDS = {name: text for commands in TOPICS.values() for name, text in commands.items()}

PROGRAM = "chargen"
NUMBERS = {"integer": "a whole number", "float": "a number"}
NOT_A_NUMBER = re.compile(r"a valid (integer|float)( range)?")  # click's whole message
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

add_completion_class(Bash)


class Program(SuggestingGroup):
    """Import commands on use, and turn every error into one line and an exit code.

    Exit codes: 0 success, 1 failure, 2 an error that the user can fix, 130 interrupted, 143 terminated.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"chargen.cli.{cmd_name}").command
        name_variables(command, cmd_name)
        _name_page(command, MANUAL[cmd_name])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for topic, commands in TOPICS.items():
            with formatter.section(topic):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            outcome = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader closed the pipe; click would call it a failure
            _close_stdout()
            return 0
        return outcome

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        signal.signal(signal.SIGTERM, _terminate)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # as on stderr: no text may be lost because of the encoding
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(arguments, prog_name or "chargen", **extra | {"standalone_mode": False})
        except NoArgsIsHelpError as error:
            echo(error.format_message(), err=True)
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            code = _say("interrupted", EXIT_INTERRUPTED)
        except Exception as error:
            if "--debug" in arguments:
                import traceback

                echo(traceback.format_exc(), err=True, end="")
                sys.exit(1)
            code = _say(*self._explained(error, arguments))
        sys.exit(code if isinstance(code, int) else 0)

    def _explained(self, error: Exception, arguments: Sequence[str]) -> tuple[str, int]:
        """Return the line that explains an error, and the exit code."""
        if isinstance(error, ChargenError):
            return str(error) + self._blame(error, arguments), error.exit_code
        if isinstance(error, click.BadParameter):
            name_variable(error, arguments)
        if isinstance(error, click.UsageError):
            name = error.ctx.command_path if error.ctx else "chargen"
            plain = NOT_A_NUMBER.sub(lambda found: NUMBERS[found[1]], error.format_message())
            message = explain(error, arguments, self._contexts) or _uncapitalized(plain)
            return f"{message} ({name} -h explains)", 2
        if isinstance(error, click.ClickException):
            return error.format_message(), 2
        return f"internal error: {type(error).__name__}: {error}; run again with --debug for the traceback", 1

    def _contexts(self) -> Iterator[click.Context]:
        """Yield the context of each command."""
        context = click.Context(self, info_name=PROGRAM)
        for name in COMMANDS:
            if command := self.get_command(context, name):
                yield click.Context(command, info_name=name, parent=context)

    def _blame(self, error: ChargenError, arguments: Sequence[str]) -> str:
        """Return the addition to an error's line that names the environment variables involved."""
        command = self.get_command(click.Context(self), arguments[0]) if arguments else None
        names = behind(error, command, arguments) if command else []
        return f" ({', '.join(names)} {'is' if len(names) == 1 else 'are'} set)" if names else ""


def _name_page(command: click.Command, page: str) -> None:
    """End the help of a command, and of its subcommands, with its page of the manual."""
    command.epilog = f"Manual: docs/{page}.md"
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _name_page(below, page)


def _say(line: str, code: int) -> int:
    single = "".join(one if one.isprintable() else "?" for one in " ".join(line.split()))  # names may contain anything
    echo(f"chargen: {single}", err=True)
    return code


def _uncapitalized(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Exit through every `finally`, as Ctrl-C does."""
    sys.exit(EXIT_TERMINATED)


def _close_stdout() -> None:
    """Redirect stdout to nothing, so that the interpreter's flush at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(
    "chargen",
    cls=Program,
    epilog="""\b
Environment: CHARGEN_TRAIN_EPOCHS=20 is the same as chargen train --epochs 20,
  and so on for every command and option; a flag is 1 or 0, several values
  are separated by spaces. CHARGEN_RUNS is the folder of all runs,
  CHARGEN_CACHE that of downloaded texts. The command line takes precedence
  over the environment, and the environment over a config.

\b
Exit codes: 0 success, 1 failure, 2 an error that you can fix,
  130 interrupted (Ctrl-C), 143 terminated.

Manual: docs/index.md
""",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: name.replace("_", "-"),  # sweep agents say --batch_size=32
    },
)
@click.version_option(__version__, prog_name="chargen")
def program() -> None:
    """Train a SimpleRNN, LSTM or GRU on any text file, and write more of it.

    \b
      chargen train male.txt --cell lstm
      chargen sample --seed "Har" --temp 1.2
    """
