import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from chargen.training.start import plan_training
from tests.cli.results import assert_one_line

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


def test_runs_are_listed_newest_first(invoke: Invoke, write_run: WriteRun) -> None:
    for age, name in ((5000, "older"), (100, "newer")):
        path = write_run(name)
        time = path.stat().st_mtime - age
        os.utime(path, (time, time))
    heading, newer, older = invoke("runs").stdout.splitlines()
    assert heading.split() == ["name", "corpus", "cell", "size", "epochs", "bits/char", "age"]
    assert newer.split() == ["newer", "text", "lstm", "1x5", "4", "2.500", "1", "min"]
    assert older.split()[-2:] == ["1", "h"]


def test_runs_as_json(invoke: Invoke, write_run: WriteRun) -> None:
    path = write_run()
    (run,) = json.loads(invoke("runs", "--json").stdout)
    assert (run["name"], run["cell"], run["bits_per_character"]) == ("noise", "lstm", 2.5)
    assert Path(run["path"]) == path.parent.relative_to(Path.cwd())


def test_a_damaged_model_is_told_of(invoke: Invoke, write_run: WriteRun) -> None:
    write_run().write_bytes(b"damaged")
    result = invoke("runs")
    assert result.exit_code == 0
    assert "damaged" in result.stdout.splitlines()[1]
    assert "error" in json.loads(invoke("runs", "--json").stdout)[0]


def test_no_runs(invoke: Invoke) -> None:
    result = invoke("runs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "chargen train" in result.stderr
    assert json.loads(invoke("runs", "--json").stdout) == []
    assert invoke("runs", "-q").stderr == ""


def test_runs_in_another_folder(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run("here")
    (in_folder / "runs").rename(in_folder / "elsewhere")
    assert "here" in invoke("runs", "--runs-dir", "elsewhere").stdout
    assert "here" in invoke("runs", env={"CHARGEN_RUNS": "elsewhere"}).stdout


def test_config_show_tells_values_and_origins(invoke: Invoke) -> None:
    shown = invoke("config", "show", "--config", "char-rnn", "--hidden-size", 256, "--diversity", 0.2, "--diversity", 1).stdout
    settings = tomllib.loads(shown)
    assert settings["network"]["hidden_size"] == 256
    assert settings["samples"]["diversity"] == [0.2, 1.0]
    assert "hidden_size = 256  # command line" in shown
    assert "num_layers = 2  # char-rnn.toml" in shown
    assert "dropout = 0.0  # default" in shown


def test_config_show_as_json(invoke: Invoke) -> None:
    table = json.loads(invoke("config", "show", "--one-hot", "--json").stdout)
    assert table["corpus.files"] == {"value": [], "origin": "default"}
    assert table["network.embedding_size"] == {"value": 0, "origin": "command line"}
    assert table["training.stride"] == {"value": None, "origin": "default"}


PROSE = "It was a dark night, and the rain fell in torrents.\n"


def test_config_show_of_a_text_is_what_training_would_choose(invoke: Invoke) -> None:
    Path("prose.txt").write_text(PROSE * 60, encoding="utf-8")
    arguments = ("prose.txt", "--cell", "gru", "--preset", "fast")
    shown = invoke("config", "show", *arguments)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.startswith("# settings for about 1 minute on 2 cores (--preset, --minutes): gru 1x128 ")
    for line in ('cell = "gru"  # command line', "batch_size = 1  # chosen from the text", "num_layers = 1  # default"):
        assert line in shown.stdout
    chosen = plan_training(
        [("command line", {"corpus": {"files": ["prose.txt"]}, "network": {"cell": "gru"}})],
        runs_dir=Path("runs"),
        preset="fast",
    )
    assert tomllib.loads(shown.stdout) == chosen.plan.settings.to_mapping()
    Path("my.toml").write_text(shown.stdout, encoding="utf-8")
    again = tomllib.loads(invoke("config", "show", "--config", "my.toml", "prose.txt").stdout)
    assert again == tomllib.loads(shown.stdout)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.txt"], "no such file: nowhere.txt"),
        (["--preset", "fast"], "--preset chooses settings for a text; name a text"),
        (["prose.txt", "--minutes", "0"], "--minutes is 0, expected a number above 0"),
        (["prose.txt", "--context-length", "5000"], "one window needs 5001"),
    ],
)
def test_config_show_refuses_what_train_refuses(invoke: Invoke, arguments: list[str], told: str) -> None:
    Path("prose.txt").write_text(PROSE, encoding="utf-8")
    assert_one_line(invoke("config", "show", *arguments), told)


def test_config_show_measures_nothing(invoke: Invoke) -> None:
    """The steps that fit into minutes are an estimate, and a comment says so; few of them are warned of."""
    Path("prose.txt").write_text(PROSE * 9, encoding="utf-8")
    shown = invoke("config", "show", "prose.txt", "--minutes", 3)
    assert shown.exit_code == 0
    assert (
        "# with --minutes, training measures how fast this machine is before it chooses; here that is an estimate"
        in shown.stdout
    )
    few = invoke("config", "show", "prose.txt", "--epochs", 2, "--batch-size", 8)
    assert "# only 4 optimizer steps" in few.stdout


def test_config_show_knows_tasks_and_kinds_of_text(invoke: Invoke) -> None:
    Path("names.txt").write_text("Ada\nAlan\nGrace\nBarbara\n" * 30, encoding="utf-8")
    names = tomllib.loads(invoke("config", "show", "names.txt").stdout)
    assert (names["corpus"]["reading"], names["training"]["stateful"]) == ("line", False)
    Path("table.csv").write_text("text,label\n" + "good,1\nbad,0\n" * 5, encoding="utf-8")
    table = tomllib.loads(invoke("config", "show", "table.csv", "--task", "classify").stdout)
    assert table["training"]["context_length"] == 4
