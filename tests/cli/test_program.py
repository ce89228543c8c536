import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

import chargen
from chargen.cli.program import COMMANDS, program
from chargen.cli.train import command as train
from chargen.settings.schema import SECTIONS, declared_settings, flag_name

Invoke = Callable[..., Result]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(flag: str, invoke: Invoke) -> None:
    result = invoke(flag)
    assert result.exit_code == 0
    for name, text in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert text in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, invoke: Invoke) -> None:
    result = invoke(command, "-h")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: chargen {command}")
    assert "\\b" not in result.stdout


@pytest.mark.parametrize("arguments", [[], ["config"]])
def test_a_command_is_missing(arguments: list[str], invoke: Invoke) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == invoke(*arguments, "-h").stdout


LONG = [["train"], ["tune"], ["config", "show"], ["inspect"], ["sample"]]


@pytest.mark.parametrize("command", LONG, ids=" ".join)
def test_help_is_short_and_help_all_has_every_option(command: list[str], invoke: Invoke) -> None:
    brief, whole = invoke(*command, "-h").stdout, invoke(*command, "--help-all").stdout
    assert brief == invoke(*command, "--help").stdout
    assert len(re.findall(r"^  -", brief, re.MULTILINE)) <= 24 < len(re.findall(r"^  -", whole, re.MULTILINE))
    context = click.Context(program, info_name="chargen")
    found: click.Command | None = program
    for name in command:
        assert isinstance(found, click.Group)
        found = found.get_command(context, name)
    assert found is not None
    for option in found.params:
        assert isinstance(option, click.Argument) or option.opts[-1] in whole


def test_help_all_is_no_setting(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEN_SAMPLE_HELP_ALL", "1")
    assert not invoke("sample").stdout.startswith("Usage")


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["config", "show"], ["corpora", "get"]], ids=" ".join)
def test_every_help_names_a_page_of_the_manual(command: list[str], invoke: Invoke) -> None:
    line = invoke(*command, "-h").stdout.splitlines()[-1]
    assert line.startswith("  Manual: docs/")
    assert (Path(__file__).parents[2] / line.split()[-1]).is_file()


@pytest.mark.parametrize("command", [["train"], ["tune"], ["config", "show"]], ids=" ".join)
def test_help_lists_settings_by_section(command: list[str], invoke: Invoke) -> None:
    shown = invoke(*command, "--help-all").stdout
    parts = re.split(r"^([A-Z]\w+):\n", shown, flags=re.MULTILINE)
    assert parts[1::2] == ["Options", *(section.capitalize() for section in SECTIONS)]
    by_section = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert "--config" in by_section["Options"]
    assert "FILES" not in by_section["Options"]
    assert "--hidden-size" in by_section["Network"]
    assert "--one-hot" in by_section["Network"]
    assert "--batch-size" in by_section["Training"]


def test_examples_stand_on_lines_of_their_own(invoke: Invoke) -> None:
    assert "\n    chargen train male.txt --cell lstm\n" in invoke("--help").stdout
    assert "\n    chargen plot --output loss.svg\n" in invoke("plot", "--help").stdout


def test_train_has_an_option_for_every_setting(invoke: Invoke) -> None:
    shown = invoke("train", "--help-all").stdout
    for section, one, _, detail in declared_settings():
        if (section, one.name) != ("corpus", "files"):
            assert flag_name(one.name, detail) in shown
        for shorthand in detail.shorthands:
            assert shorthand in shown


@pytest.mark.parametrize("option", [one for one in train.params if isinstance(one, click.Option)], ids=lambda one: one.opts[0])
def test_train_takes_underscores_for_hyphens(option: click.Option) -> None:
    """As sweep agents spell options."""
    context = click.Context(train, parent=click.Context(program, **program.context_settings))
    for flag in filter(lambda flag: flag.startswith("--"), [*option.opts, *option.secondary_opts]):
        value = [] if option.is_flag else ["3"]
        given, rest, _ = train.make_parser(context).parse_args(["--" + flag[2:].replace("-", "_"), *value])
        assert option.name in given
        assert rest == []


def test_choices_keep_their_underscores(invoke: Invoke) -> None:
    shown = invoke("config", "show", "--recurrent_init=glorot_uniform", "--no_unit_forget_bias").stdout
    assert 'recurrent_init = "glorot_uniform"  # command line' in shown
    assert "unit_forget_bias = false  # command line" in shown


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").stdout.split()[-1] == chargen.__version__
    done = subprocess.run([sys.executable, "-m", "chargen", "--version"], capture_output=True, text=True, check=True)
    assert chargen.__version__ in done.stdout


def test_shell_completion(invoke: Invoke) -> None:
    assert "complete" in invoke(env={"_CHARGEN_COMPLETE": "bash_source"}).stdout


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (RuntimeError("boom"), 1, "internal error: RuntimeError: boom; run again with --debug for the traceback"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_nobody_expected(
    error: BaseException, code: int, told: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("chargen.runs.directory.model_runs", fail)
    result = invoke("runs")
    assert result.exit_code == code
    assert result.stderr.lstrip("\n") == f"chargen: {told}\n"  # click ends the line that ^C stands on
