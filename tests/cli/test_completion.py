"""What a shell offers at a Tab: asked through bash itself, and through click's own classes for the other shells."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import get_completion_class
from click.testing import Result

from chargen.cli.program import COMMANDS, program
from chargen.corpus.fetching import PUBLIC_TEXTS
from chargen.runs.directory import model_runs
from chargen.shipped import shipped_files

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]

CORPORA = [path.name for path in shipped_files("corpora")]
CONFIGS = [path.stem for path in shipped_files("configs")]


def offered(*words: str) -> list[str]:
    """Return what is offered for the last of some words, or ["file"] where that is left to the shell."""
    completer = get_completion_class("zsh")(program, {}, "chargen", "_CHARGEN_COMPLETE")  # type: ignore[misc]
    *before, incomplete = words
    items = completer.get_completions(before, incomplete)
    return ["file"] if [one.type for one in items] == ["file"] else [one.value for one in items]


@pytest.fixture
def runs(write_run: WriteRun, in_folder: Path) -> list[str]:
    """Two trained runs, the newest first, and beside them a training that has only begun."""
    for name, modified in (("male-lstm", 1000), ("book-gru", 2000), ("male-gru", 500)):
        os.utime(write_run(name), (modified, modified))
    (in_folder / "runs" / "begun" / "checkpoints").mkdir(parents=True)
    return [run.name for run in model_runs(in_folder / "runs")]


def test_runs_are_offered_as_chargen_runs_lists_them(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs == ["book-gru", "male-lstm", "male-gru"]
    shipped = ["shipped/book", "shipped/names"]
    for words in (["sample", "--run"], ["play", "--run"], ["next", "--run"], ["classify", "--run"], ["train", "--from"]):
        assert offered(*words, "") == [*runs, *shipped], words
    for command in ("report", "plot", "compare", "novelty", "export", "serve"):
        assert offered(command, "ma") == ["male-lstm", "male-gru"], command
    assert offered("compare", "male-lstm", "b") == ["book-gru"]
    assert offered("train", "--resume", "") == ["begun"]
    assert offered("sample", "--run", "models/") == ["file"]
    assert offered("sample", "--runs-dir", "elsewhere", "--run", "") == shipped
    monkeypatch.setenv("CHARGEN_RUNS", "elsewhere")
    assert offered("sample", "--run", "") == shipped
    assert offered("sample", "--runs-dir", "runs", "--run", "") == [*runs, *shipped]


def test_texts_are_offered_with_the_files_that_lie_here(
    runs: list[str], in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEN_CACHE", str(in_folder / ".cache"))
    for name in ("mine.txt", "male.txt", ".hidden", "articles/one.txt", ".cache/corpora/names.txt"):
        (in_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (in_folder / name).touch()
    for command in (["train"], ["config", "show"]):
        assert offered(*command, "m") == ["male.txt", "mine.txt"]
        assert offered(*command, "") == [*CORPORA, "names.txt", "articles/", "mine.txt", "runs/"]
        assert offered(*command, "mi") == ["file"]
        assert offered(*command, "--config", "") == CONFIGS
        assert offered(*command, "--config", "./") == ["file"]
    for command in (["surprise"], ["units"], ["evaluate"], ["units", "book-gru"]):
        assert offered(*command, "m") == ["male-lstm", "male-gru", "male.txt", "mine.txt"]
    assert offered("novelty", "--file", "") == offered("classify", "--file", "") == ["file"]
    assert offered("corpora", "get", "") == CORPORA + [one.name for one in PUBLIC_TEXTS]


def test_commands_options_and_choices_are_offered(in_folder: Path) -> None:
    assert offered("") == list(COMMANDS)
    assert offered("train", "--hid") == ["--hidden-size"]
    assert offered("train", "--cell", "") == ["simplernn", "dense", "lstm", "mlstm", "gru"]
    assert offered("completion", "") == ["bash", "zsh", "fish"]
    assert offered("config", "") == ["list", "show"]
    assert offered("smaple", "--t") == []


@pytest.mark.parametrize(
    ("shell", "words", "current"), [("zsh", "chargen train --cell l", "3"), ("fish", "chargen train --cell l", "l")]
)
def test_the_scripts_of_other_shells_ask_for_what_is_offered(shell: str, words: str, current: str, invoke: Invoke) -> None:
    script = invoke("completion", shell).stdout
    assert f"_CHARGEN_COMPLETE={shell}_complete" in script
    asked = invoke(env={"_CHARGEN_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": current})
    assert (asked.exit_code, asked.stderr) == (0, "")
    assert "lstm" in asked.stdout
    assert "gru" not in asked.stdout


TYPED = """
eval "$(chargen completion bash)"
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _chargen_completion chargen; echo "${COMPREPLY[@]}"; }
ask chargen samp
ask chargen sample --run m
ask chargen train --cell = gr
ask chargen train --config char
complete -p chargen
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_takes_the_script(runs: list[str], in_folder: Path) -> None:
    """The script calls the program that was typed, by `env`, so there has to be one on the path."""
    shim = in_folder / "bin" / "chargen"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m chargen "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    environment = os.environ | {"PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", TYPED], cwd=in_folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "sample",
        "male-lstm male-gru",
        "gru",
        "char-rnn",
        "complete -o nosort -F _chargen_completion chargen",
    ]


def test_every_command_can_be_completed() -> None:
    """The options of a run are those that are completed by its name."""
    for name in COMMANDS:
        command = program.get_command(click.Context(program), name)
        assert command is not None
        for option in command.params:
            if option.name in ("run_spec", "run_specs", "runs", "run_and_files"):
                assert option._custom_shell_complete is not None, (name, option.name)
