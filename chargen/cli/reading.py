"""Define the options of commands that let a network read a file, and read those files."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from chargen.cli.completing import complete_runs, complete_runs_and_texts
from chargen.cli.options import Command, common_options, json_option, on_unknown_option, runs_dir_option
from chargen.cli.sampling import carry_option, label_option
from chargen.errors import ConfigError

END = "(end)"

run_option = click.option(
    "--run",
    "run_spec",
    metavar="NAME|PATH",
    shell_complete=complete_runs,
    help="Run or model file; the newest run unless given.",
)

html_option = click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a self-contained HTML page instead of text to stdout.",
)


def reading_options(command: Command) -> Command:
    """Add the options of a command that lets one network read a text.

    It receives `label`, `carry`, `on_unknown`, `runs_dir`, `as_json` and `verbosity`.
    """
    for option in (common_options, json_option, runs_dir_option, on_unknown_option, carry_option, label_option):
        command = option(command)
    return command


def load_reader(
    run_spec: str | None, runs_dir: Path, label: str | None, carry: bool | None, memory: float | None = None
) -> tuple[Path, Any]:
    """Return the model file of a run, the newest one for None, and its model. Raises RunError, ModelFileError, ConfigError."""
    from chargen.runs.directory import find_model
    from chargen.writing.ensemble import load_models

    path = find_model(run_spec, runs_dir)
    return path, load_models([path], label=label, carry=carry, memory=memory)


def run_and_file(without_file: str | None = None) -> Callable[[Command], Command]:
    """Return a decorator that adds the arguments [RUN] FILE to a command.

    It receives `run_spec`, None unless given, and `file`. without_file: a parameter that, if set, makes FILE superfluous.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def split(names: tuple[str, ...], **given: Any) -> Any:
            if without_file and given[without_file]:
                if len(names) > 1:
                    raise ConfigError(f"got {len(names)} names, expected [RUN] with --{without_file}")
                return command(run_spec=names[0] if names else None, file="", **given)
            if len(names) not in (1, 2):
                raise ConfigError(
                    f"got {len(names)} names, expected [RUN] FILE",
                    hint="give a file; the newest run reads it unless RUN is given",
                )
            return command(run_spec=names[0] if len(names) == 2 else None, file=names[-1], **given)

        return click.argument("names", nargs=-1, metavar="[RUN] FILE", shell_complete=complete_runs_and_texts)(split)  # type: ignore[return-value]

    return add


def model_name(path: Path) -> str:
    """Return the name of a model: the folder of its run, or the name of its file."""
    return path.resolve().parent.name if path.name == "model.safetensors" else path.stem


def given_text(file: str, model: Any = None) -> tuple[str, str]:
    """Return the name and the text of a file, a shipped text or, for -, stdin, as a model can read it. Raises CorpusError."""
    from chargen.corpus.reading import read_texts

    if Path(file).is_dir():
        raise ConfigError(f"{file} is a folder, expected a file", hint="give one of the files in it")
    sources = read_texts([file], encoding=None if model and model.vocabulary.kind == "byte" else "auto")
    return sources[0].name, str(sources[0].text)


def shown_token(token: str | None) -> str:
    """Return a token as it is printed."""
    return END if token is None else repr(token)
