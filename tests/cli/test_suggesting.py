"""What people type from habit, misspell or misplace is answered with what they meant."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from chargen.cli.program import COMMANDS as NAMES
from chargen.cli.program import program
from chargen.cli.suggesting import suggested
from chargen.errors import ConfigError
from chargen.settings.layers import keyword_layer, resolve
from chargen.settings.writing import read_keywords
from chargen.suggestions import COMMANDS, COMMANDS_BELOW, KEYWORDS, NO_OPTIONS, OPTIONS, Table
from tests.cli.results import assert_one_line

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


def loaded(name: str) -> click.Command:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    return command


def all_commands() -> Iterator[click.Command]:
    """Yield every command and those below it."""
    for name in NAMES:
        command = loaded(name)
        yield command
        if isinstance(command, click.Group):
            yield from command.commands.values()


def flags(command: click.Command) -> set[str]:
    return {flag for one in command.params if isinstance(one, click.Option) for flag in (*one.opts, *one.secondary_opts)}


@pytest.mark.parametrize("table", [OPTIONS, NO_OPTIONS, COMMANDS, *COMMANDS_BELOW.values()], ids=lambda one: one[0][0])
def test_no_word_stands_twice_in_a_table(table: Table) -> None:
    counts = Counter(word for _, words in table for word in words.split())
    assert [word for word, count in counts.items() if count > 1] == []
    assert all(word == word.lower() for word in counts)


def test_every_option_that_is_suggested_exists() -> None:
    known = set().union(*map(flags, all_commands()))
    arguments = {"RUN", "FILE", "TEXT"}
    for meant, _ in OPTIONS:
        for one in meant.split():
            assert one in known | arguments, one
    assert all(f"{one}" in known | arguments for one in KEYWORDS)


@pytest.mark.parametrize("command", list(all_commands()), ids=lambda one: one.name)
def test_what_is_suggested_is_of_the_command(command: click.Command) -> None:
    for _, words in OPTIONS:
        for word in words.split():
            meant = suggested(word, command)
            if meant is not None and meant.startswith("-"):
                assert meant in flags(command)
            elif meant is not None:
                metavars = [
                    one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)
                ]
                assert any(meant in metavar for metavar in metavars)


def test_every_word_helps_somewhere() -> None:
    commands = list(all_commands())
    for _, words in OPTIONS:
        for word in words.split():
            assert any(f"--{word}" not in flags(one) and suggested(word, one) for one in commands), word


def test_every_command_that_is_suggested_exists() -> None:
    for meant, words in COMMANDS:
        name, *rest = meant.split()
        assert not set(words.split()) & set(NAMES)
        if name.startswith("--"):
            assert name in ("--help", "--version")
            continue
        command = loaded(name)
        for one in rest:
            assert one in (command.commands if isinstance(command, click.Group) else flags(command))
    for name, table in COMMANDS_BELOW.items():
        group = loaded(name)
        assert isinstance(group, click.Group)
        assert {meant for meant, _ in table} <= set(group.commands)
        assert not {word for _, words in table for word in words.split()} & set(group.commands)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "--run", "x"], "no such option --run; the run is given without an option: chargen export x"),
        (["export", "--run=x"], "the run is given without an option: chargen export x"),
        (["compare", "--run", "x"], "the run is given without an option: chargen compare x"),
        (["serve", "--model"], "the run is given without an option: chargen serve RUN"),
        (["train", "--file", "a b.txt"], "the file is given without an option: chargen train 'a b.txt'"),
        (["train", "--data", "x"], "the file is given without an option: chargen train x"),
        (["next", "--seed", "Har"], "the text is given without an option: chargen next Har"),
        (["sample", "--prompt", "Har"], "no such option --prompt; did you mean --seed (text to continue)?"),
        (["sample", "--prime", "Har"], "did you mean --seed"),
        (["sample", "-n", "5"], "no such option -n; did you mean --count (texts to write)?"),
        (["sample", "--num_samples", "5"], "no such option --num-samples; did you mean --count"),
        (["sample", "-seed", "Har"], "no such option -seed; did you mean --seed"),
        (["train", "-rnn_size", "9"], "no such option -rnn-size; did you mean --hidden-size"),
        (["train", "--lr", "0.1"], "did you mean --learning-rate"),
        (["train", "--seed", "1"], "did you mean --random-seed"),
        (["train", "--model", "lstm"], "did you mean --cell"),
        (["sample", "--model", "x"], "did you mean --run"),
        (["sample", "--temperature", "1"], "did you mean --temp"),
        (["plot", "-o", "x"], "did you mean --output"),
        (["train", "--gpu", "0"], "no such option --gpu: training uses a GPU automatically"),
        (["train", "--maxlen", "40"], "did you mean --context-length"),
        (["train", "--bidirectional"], "no such option --bidirectional: Bidirectional layers read what comes after"),
        (["train", "--time_distributed"], "no such option --time-distributed: --targets all predicts at every position"),
        (["train", "--shuffle"], "windows are shuffled in each epoch"),
        (["train", "--prompt", "Har"], "no such option --prompt: sample texts begin with a piece of the text"),
        (["train", "--metrics", "accuracy"], "each epoch reports the loss"),
        (["sample", "--diversity", "0.5"], "did you mean --temp"),
        (["sample", "--lenght", "3"], "did you mean --length (characters to write, at most)?"),
        (["sample", "--epochs", "3"], "no such option --epochs; it is an option of chargen train, chargen tune"),
        (["sample", "--xyzzy", "3"], "no such option --xyzzy (chargen sample -h explains)"),
        (["--seed", "x"], "no such option --seed; it is an option of chargen sample, chargen play"),
        (["sample", "Har"], "unexpected argument 'Har'; a text to continue is given with --seed: chargen sample --seed Har"),
        (["sample", "Once", "upon"], "chargen sample --seed 'Once upon'"),
        (["sample", "noise"], "a run is given with --run: chargen sample --run noise"),
        (["sample", "runs/noise"], "a run is given with --run: chargen sample --run runs/noise"),
        (["next", "a", "b"], "put a text of several words in quotes: chargen next 'a b'"),
        (["runs", "x"], "unexpected argument 'x'; chargen runs takes options, but no arguments"),
        (["summary", "x", "y"], "unexpected argument 'y'; chargen summary takes only [RUN]"),
        (["generate"], "no such command 'generate'; did you mean chargen sample?"),
        (["resume"], "did you mean chargen train --resume?"),
        (["fit"], "did you mean chargen train?"),
        (["ls"], "did you mean chargen runs?"),
        (["help"], "did you mean chargen --help?"),
        (["novel.txt"], "to train on a text: chargen train novel.txt"),
        (["smaple"], "did you mean chargen sample?"),
        (["corpora", "download", "male"], "no such command 'download'; did you mean chargen corpora get?"),
        (["config", "ls"], "did you mean chargen config list?"),
        (["config", "xyzzy"], "no such command 'xyzzy'; commands: list, show"),
        (["train", "--list-configs"], "no such option --list-configs: chargen config list lists the configs"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_was_meant(arguments: list[str], told: str, invoke: Invoke, write_run: WriteRun) -> None:
    write_run()
    assert_one_line(invoke(*arguments), told)


def test_a_spelling_that_means_something_else_is_not_suggested(invoke: Invoke) -> None:
    assert "--runs-dir" not in invoke("export", "--run", "x").stderr
    assert "--raw" not in invoke("sample", "--lr", "1").stderr
    assert "next" not in invoke("text").stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"lr": 0.1}, "unknown keyword lr; did you mean learning_rate?"),
        ({"units": 9}, "did you mean hidden_size?"),
        ({"data": "x"}, "unknown keyword data; pass the files first, without a keyword"),
        ({"seed": 1}, "did you mean random_seed?"),
        ({"hidden_sise": 1}, "did you mean hidden_size?"),
        ({"xyzzy": 1}, "unknown keyword xyzzy; known: "),
    ],
)
def test_keywords_of_training(given: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        keyword_layer(["x.txt"], given)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"temp": 1}, "did you mean temperature?"),
        ({"max_new_tokens": 1}, "did you mean length?"),
        ({"prefix": "x"}, "unknown keyword prefix; pass the prompt first, without a keyword"),
        ({"n": 3}, "unknown keyword n; known: "),
    ],
)
def test_keywords_of_writing(given: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_keywords(given, count=None)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("section", "key", "told"),
    [
        ("training", "lr", "unknown key training.lr; did you mean training.learning_rate?"),
        ("training", "hidden_size", "did you mean network.hidden_size?"),
        ("network", "layers", "did you mean network.num_layers?"),
        ("corpus", "data", "did you mean corpus.files?"),
        ("network", "hidden_sizes", "did you mean hidden_size?"),
    ],
)
def test_keys_of_a_config(section: str, key: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(("x.toml", {section: {key: 1}}))
    assert told in str(raised.value)


@pytest.mark.parametrize(("typed", "meant"), [("LSTM", "lstm"), ("SimpleRNN", "simplernn"), ("Gru", "gru")])
def test_choices_may_be_written_in_any_case(typed: str, meant: str) -> None:
    assert resolve(keyword_layer([], {"cell": typed})).settings.network.cell == meant
    assert (
        resolve(("my.toml", {"network": {"cell": typed}, "training": {"optimizer": "RMSprop"}})).settings.network.cell == meant
    )
    with pytest.raises(ConfigError, match="cell is 'Transformer', expected one of simplernn"):
        resolve(keyword_layer([], {"cell": "Transformer"}))
