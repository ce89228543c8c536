import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.measuring import use_one_thread
from chargen.cli.options import common_options, options_of, output_option, runs_dir_option, write_output
from chargen.cli.prompting import prompt_options
from chargen.cli.sampling import model_options, raw_option, warn_of_drift
from chargen.cli.writing import Proposal, WritingSession
from chargen.errors import UnknownTokenError
from chargen.settings.writing import SamplingOptions
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.writing.ensemble import AnyModel


@click.command("play")
@model_options
@prompt_options(stdin=False)
@options_of(SamplingOptions)
@click.option("--length", type=click.IntRange(1), default=30, show_default=True, help="Characters of a continuation, at most.")
@click.option("--count", type=click.IntRange(1), default=4, show_default=True, help="Continuations to choose from.")
@output_option
@runs_dir_option
@raw_option
@common_options
def command(
    run_specs: tuple[str, ...],
    label: str | None,
    carry: bool | None,
    memory: float | None,
    ensemble: str,
    prompt: str,
    options: SamplingOptions,
    length: int,
    count: int,
    output: Path | None,
    runs_dir: Path,
    raw: bool,
    verbosity: int,
) -> None:
    """Write a text together with a network: it proposes continuations, you choose one or type your own.

    The session is on stderr; /help lists the commands. At the end, also after Ctrl-D or Ctrl-C, the text goes to stdout or to
    --output.

    \b
      chargen play --seed "It was" --output story.txt
      chargen play --temp 0.7 > story.txt
    """
    use_one_thread()
    from chargen.runs.directory import find_model
    from chargen.writing.ensemble import load_models

    paths = [find_model(spec, runs_dir) for spec in run_specs or [None]]
    model = load_models(paths, ensemble, label=label, carry=carry, memory=memory)
    warn_of_drift(model, verbosity)
    proposer = Proposer(model, count=count, length=length, random_seed=options.random_seed)
    session = WritingSession(proposer, text=prompt, sampling=options, output=output, raw=raw)
    if verbosity:
        echo(
            "a number takes a continuation, other text is added, an empty line shows new ones; /help, /quit",
            err=True,
        )
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # an invalid byte must not end the session
    session.propose()
    try:
        session.run(sys.stdin)
    finally:  # also after Ctrl-C and SIGTERM, so that the text is never lost
        _deliver(session.text, output, raw=raw)


class Proposer:
    """Propose continuations with a network."""

    def __init__(self, model: "AnyModel", *, count: int, length: int, random_seed: int | None) -> None:
        """Propose `count` continuations of up to `length` characters at a time."""
        import numpy as np

        self._model = model
        self._drawn: dict[str, Any] = {"count": count, "length": length, "rng": np.random.default_rng(random_seed)}

    def propose(self, text: str, sampling: SamplingOptions) -> list[Proposal]:
        """Draw continuations of a text; unknown characters are skipped. Raises ConfigError."""
        from chargen.writing.prompt import read_prompt
        from chargen.writing.sampling import make_sampler
        from chargen.writing.selection import distinct_continuations

        sampler = make_sampler(sampling, self._model.vocabulary)
        prompt = read_prompt(self._model.vocabulary, text, on_unknown="skip")
        found = distinct_continuations(self._model, prompt, sampler=sampler, **self._drawn)
        return [Proposal(one.text, one.complete) for one in found]

    def unknown(self, text: str) -> str:
        """Return a line about the characters or words that the models do not know, or an empty text."""
        from chargen.writing.prompt import read_prompt

        try:
            read_prompt(self._model.vocabulary, text)
        except UnknownTokenError as error:
            return error.message
        return ""


def _deliver(text: str, output: Path | None, *, raw: bool) -> None:
    """Write the text to the file; without a file, or if that fails, to stdout."""
    if not text:
        return
    whole = text if text.endswith("\n") else f"{text}\n"
    try:
        if output is not None:
            write_output(output, whole)
            return
    except Exception:
        echo(whole, end="", raw=raw)
        raise
    echo(whole, end="", raw=raw)
