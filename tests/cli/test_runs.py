import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

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
    table = json.loads(invoke("config", "show", "some.txt", "--one-hot", "--json").stdout)
    assert table["corpus.files"] == {"value": ["some.txt"], "origin": "command line"}
    assert table["network.embedding_size"] == {"value": 0, "origin": "command line"}
    assert table["training.stride"] == {"value": None, "origin": "default"}
