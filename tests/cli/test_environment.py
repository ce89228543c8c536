"""CHARGEN_* variables stand for options: after the config, before the command line, and named where they are wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from chargen.cli.environment import variables_of
from chargen.cli.program import COMMANDS, program

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]

PROSE = "It was a dark night, and nobody could sleep. " * 9


@pytest.fixture
def shown(invoke: Invoke) -> Callable[..., dict[str, dict[str, Any]]]:
    """The settings that differ from the defaults, and their origins."""

    def show(*arguments: str, **variables: str) -> dict[str, dict[str, Any]]:
        result = invoke("config", "show", "--json", *arguments, env=variables)
        assert (result.exit_code, result.stderr) == (0, "")
        return {name: row for name, row in json.loads(result.stdout).items() if row["origin"] != "default"}

    return show


def assert_one_line(result: Result, line: str) -> None:
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"chargen: {line}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_variable_named_after_it(command: str) -> None:
    loaded = program.get_command(click.Context(program), command)
    assert loaded is not None
    for name, flag in variables_of(loaded).items():
        owners = {"CHARGEN_TRAIN", *(f"CHARGEN_{command.upper()}{below}" for below in ("", "_GET", "_LIST", "_SHOW"))}
        assert name.removesuffix(flag[1:].replace("-", "_").upper()) in owners or (name, flag) == ("CHARGEN_RUNS", "--runs-dir")
    assert not {"--debug", "--quiet", "--verbose"} & set(variables_of(loaded).values())


def test_the_environment_comes_between_config_and_command_line(shown: Callable[..., dict[str, dict[str, Any]]]) -> None:
    variables = {"CHARGEN_TRAIN_LAYERS": "3", "CHARGEN_TRAIN_DROPOUT": "0.25", "CHARGEN_TRAIN_CONFIG": "char-rnn"}
    found = shown("--dropout", "0.5", **variables)
    assert found["network.num_layers"] == {"value": 3, "origin": "environment CHARGEN_TRAIN_LAYERS"}
    assert found["network.dropout"] == {"value": 0.5, "origin": "command line"}
    assert found["training.batch_size"] == {"value": 50, "origin": "char-rnn.toml"}
    assert shown("--config", "plain", **variables)["network.dropout"]["value"] == 0.25


def test_flags_and_several_values(shown: Callable[..., dict[str, dict[str, Any]]]) -> None:
    found = shown(
        CHARGEN_TRAIN_WANDB="1",
        CHARGEN_TRAIN_UNIT_FORGET_BIAS="no",
        CHARGEN_TRAIN_ONE_HOT="1",
        CHARGEN_TRAIN_PER_LINE="0",
        CHARGEN_TRAIN_DIVERSITY="0.1 2",
        CHARGEN_TRAIN_EPOCHS="",
    )
    assert {name: row["value"] for name, row in found.items()} == {
        "tracking.wandb": True,
        "network.unit_forget_bias": False,
        "network.embedding_size": 0,
        "samples.diversity": [0.1, 2.0],
    }
    assert found["network.embedding_size"]["origin"] == "environment CHARGEN_TRAIN_ONE_HOT"
    typed = shown("--embedding", "8", CHARGEN_TRAIN_ONE_HOT="1")
    assert typed == {"network.embedding_size": {"value": 8, "origin": "command line"}}


def test_other_commands_have_variables_too(invoke: Invoke, write_run: WriteRun) -> None:
    write_run("one", characters="xy")
    write_run("two", characters="pq")
    variables = {"CHARGEN_SAMPLE_RUN": "one", "CHARGEN_SAMPLE_LENGTH": "30", "CHARGEN_SAMPLE_TEMP": "0.5,1"}
    assert set(invoke("sample", env=variables).stdout) <= set("xy\n")
    assert set(invoke("sample", "--run", "two", env=variables).stdout) <= set("pq\n")
    (runs,) = json.loads(invoke("runs", env={"CHARGEN_RUNS_JSON": "1", "CHARGEN_RUNS": "runs"}).stdout)[1:]
    assert runs["name"] == "one"


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("HIDDEN_SIZE", "ten", "invalid value for {}: 'ten' is not a whole number (chargen train -h explains)"),
        (
            "CELL",
            "gur",
            "invalid value for {}: 'gur' is not one of 'simplernn', 'dense', 'lstm', 'mlstm', 'gru' "
            "(chargen train -h explains)",
        ),
        ("HIDDEN_SIZE", "0", "environment {}: network.hidden_size is 0, expected 1 or more"),
        ("MINUTES", "-1", "--minutes is -1, expected a number above 0; such as --minutes 10 ({} is set)"),
        ("CONFIG", "dem", "no such config: dem; did you mean demo.toml? ({} is set)"),
        (
            "STATEFUL",
            "1",
            "training.stateful reads one text from end to end, but corpus.mix draws from several; "
            "choose one of --stateful and --mix ({} is set)",
        ),
    ],
)
def test_a_bad_value_names_its_variable(variable: str, value: str, line: str, invoke: Invoke) -> None:
    name = f"CHARGEN_TRAIN_{variable}"
    assert_one_line(invoke("train", "--mix", "tiny.txt:1", env={name: value}), line.format(name))


def test_what_was_typed_is_not_blamed_on_a_variable(invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    variables = {"CHARGEN_TRAIN_LAYERS": "2", "CHARGEN_SAMPLE_TOP_K": "-1", "CHARGEN_SAMPLE_TEMP": "0.5"}
    assert_one_line(invoke("train", "tiny.txt", "--layers", 0, env=variables), "--layers is 0, expected 1 or more")
    refused = invoke("train", "tiny.txt", "--layers", "two", env=variables)
    assert refused.stderr.startswith("chargen: invalid value for '--layers': 'two'")
    assert_one_line(invoke("sample", env=variables), "--top-k is -1, expected 0 or more (CHARGEN_SAMPLE_TOP_K is set)")


def test_only_a_variable_that_had_a_part_is_named(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    folder = write_run().parents[1]
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    told = "the weights of {} do not fit the settings: they have hidden_size 5 (asked for 9); leave them out"
    run, variables = folder / "noise", {"CHARGEN_RUNS": str(folder), "CHARGEN_TRAIN_CELL": "lstm", "CHARGEN_TRAIN_LAYERS": "1"}
    asked = ["train", "prose.txt", "--from", run, "--embedding", 4]
    assert_one_line(invoke(*asked, "--hidden-size", 9, env=variables), told.format(run))
    refused = invoke(*asked, env=variables | {"CHARGEN_TRAIN_HIDDEN_SIZE": "9"})
    assert_one_line(refused, told.format(run) + " (CHARGEN_TRAIN_HIDDEN_SIZE is set)")
    variables = {"CHARGEN_RUNS": "runs"}  # a word that hints have too
    shipped = "shipped/book and shipped/names come with chargen"
    assert_one_line(invoke("sample", "--run", "x", env=variables), f"no such run: x; chargen runs lists them; {shipped}")
    missing = invoke("sample", env={"CHARGEN_RUNS": "elsewhere"}).stderr
    assert missing.startswith("chargen: no trained run in elsewhere; ")
    assert missing.endswith(" (CHARGEN_RUNS is set)\n")
    missing = invoke("sample", env={"CHARGEN_SAMPLE_RUN": "x"})
    assert_one_line(missing, f"no such run: x; chargen runs lists them; {shipped} (CHARGEN_SAMPLE_RUN is set)")


def test_a_variable_of_habit_is_told_of(invoke: Invoke) -> None:
    lines = invoke("config", "show", env={"CHARGEN_TRAIN_LR": "1", "CHARGEN_TRAIN_RNN_SIZE": "3"}).stderr.splitlines()
    assert lines == [
        "unknown variable CHARGEN_TRAIN_LR; did you mean CHARGEN_TRAIN_LEARNING_RATE?",
        "unknown variable CHARGEN_TRAIN_RNN_SIZE; did you mean CHARGEN_TRAIN_HIDDEN_SIZE?",
    ]


def test_two_ways_to_say_one_thing(invoke: Invoke) -> None:
    variables = {"CHARGEN_TRAIN_ONE_HOT": "1", "CHARGEN_TRAIN_EMBEDDING": "8"}
    assert_one_line(
        invoke("train", "tiny.txt", env=variables),
        "CHARGEN_TRAIN_ONE_HOT and CHARGEN_TRAIN_EMBEDDING exclude each other, both set network.embedding_size; "
        "leave one of them out",
    )


def test_a_variable_that_nobody_reads_is_told_of(invoke: Invoke) -> None:
    variables = {
        "CHARGEN_TRAIN_HIDEN_SIZE": "3",
        "CHARGEN_EPOCHS": "3",
        "CHARGEN_RUN": "x",
        "CHARGEN_TRAIN_XYZZY": "1",
        "CHARGEN_SAMPLE_TMP": "1",  # which is told when it matters
        "CHARGEN_HOME": "x",  # which may be anybody's
        "CHARGEN_CACHE": "x",
        "CHARGEN_TRAIN_MINUTES": "3",
    }
    told = [
        "unknown variable CHARGEN_EPOCHS; did you mean CHARGEN_TRAIN_EPOCHS?",
        "unknown variable CHARGEN_RUN; did you mean CHARGEN_RUNS?",
        "unknown variable CHARGEN_TRAIN_HIDEN_SIZE; did you mean CHARGEN_TRAIN_HIDDEN_SIZE?",
        "unknown variable CHARGEN_TRAIN_XYZZY: no such option",
    ]
    assert invoke("config", "show", env=variables).stderr.splitlines() == told
    assert invoke("config", "show", "-q", env=variables).stderr == ""
    assert invoke("runs", env=variables | {"CHARGEN_RUNS": "runs"}).stderr.splitlines()[:1] == told[1:2]
    once = invoke("sample", env=variables).stderr.splitlines()
    assert once[:2] == [told[1], "unknown variable CHARGEN_SAMPLE_TMP; did you mean CHARGEN_SAMPLE_TEMP?"]


def test_a_resumed_training_keeps_its_settings(invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    small = ["--hidden-size", 4, "--context-length", 8, "--epochs", 1, "--backend", "numpy", "-q"]
    assert invoke("train", "prose.txt", *small).exit_code == 0
    variables = {"CHARGEN_TRAIN_HIDDEN_SIZE": "9", "CHARGEN_TRAIN_CONFIG": "plain", "CHARGEN_TRAIN_MINUTES": "1"}
    result = invoke("train", "--resume", env=variables)
    assert result.exit_code == 0
    assert "is finished" in result.stderr
    assert "was trained with 4" in invoke("train", "--resume", "--hidden-size", 9, env=variables).stderr


def test_a_variable_counts_as_the_users_choice(invoke: Invoke) -> None:
    """What suits the text is chosen around what the user chose, which here leaves nothing for the minutes to decide."""
    chosen = invoke("train", "tiny.txt", "--dry-run", env={"CHARGEN_TRAIN_EPOCHS": "2", "CHARGEN_TRAIN_MINUTES": "1"})
    both = "--minutes and training.epochs both set the length of training; leave one of them out"
    assert_one_line(chosen, f"{both} (CHARGEN_TRAIN_MINUTES is set)")


def test_the_rule_is_said_once(invoke: Invoke) -> None:
    assert "CHARGEN_TRAIN_EPOCHS=20 is the same as chargen train --epochs 20" in invoke("--help").stdout
    assert "CHARGEN_TRAIN_" not in invoke("train", "--help-all").stdout
