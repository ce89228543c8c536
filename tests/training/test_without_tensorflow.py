"""chargen works where TensorFlow and wandb are not installed: on JAX, on PyTorch, and in NumPy."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from chargen.errors import ConfigError
from chargen.settings.layers import resolve
from chargen.training.choosing import choose_backend
from chargen.training.devices import backend as devices
from chargen.tuning.task import make_task

OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed: make test-backends"))
    for name in ("jax", "torch")
]
HIDE = "import sys; sys.modules['tensorflow'] = sys.modules['wandb'] = None"  # importing fails, and find_spec finds neither
Commands = Callable[..., list[tuple[int, str, str]]]
RUN = """
import json, sys
from click.testing import CliRunner
from chargen.cli.program import program
results = [CliRunner().invoke(program, command.split()) for command in sys.argv[1:]]
print(json.dumps([[one.exit_code, one.stdout, one.stderr] for one in results]))
"""
SMALL = "--hidden-size 4 --embedding 3 --context-length 8 --epochs 1 --sample-length 9"


@pytest.fixture
def chargen(tmp_path: Path) -> Commands:
    """Run commands in one process without TensorFlow and wandb, nor have its own processes them.

    Return the exit code, stdout and stderr of each command.
    """
    (tmp_path / "prose.txt").write_text("the cat sat on the mat.\nthe dog sat on the log.\n" * 25, encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def run(*commands: str) -> list[tuple[int, str, str]]:
        done = subprocess.run(
            [sys.executable, "-c", RUN, *commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("backend", OTHERS)
def test_it_trains_and_goes_on_with_another_backend(chargen: Commands, backend: str) -> None:
    trained, resumed, sampled = chargen(
        f"train prose.txt --backend {backend} {SMALL}", "train --resume", "sample --length 9 --seed the"
    )
    assert trained[0] == 0, trained[2]
    assert f", {backend}\n" in trained[2]
    assert (resumed[0], "is finished" in resumed[2]) == (0, True)
    assert sampled[0] == 0
    assert len(sampled[1]) >= 9


def test_the_numpy_trainer_and_all_light_commands_work(chargen: Commands) -> None:
    commands = [
        f"train prose.txt --backend numpy {SMALL}",
        "--help",
        "sample --length 9",
        "next the",
        "evaluate prose.txt",
        "runs",
        "plot",
        "report",
        "export --output model.py",
        "config show",
        "corpora",
        "novelty --count 2 --length 9",
    ]
    for command, (code, _, stderr) in zip(commands, chargen(*commands), strict=True):
        assert code == 0, f"{command}: {stderr}"


def test_a_run_that_cannot_be_logged_is_trained_all_the_same(chargen: Commands) -> None:
    ((code, stdout, stderr),) = chargen(f"train prose.txt --backend numpy {SMALL} --wandb --wandb-mode offline")
    assert code == 0
    assert "prose-lstm" in stdout
    assert "W&B is off for the rest of this run: wandb is not installed; pip install wandb\n" in stderr


def test_a_backend_that_is_not_installed_is_refused_before_the_text_is_read(chargen: Commands) -> None:
    ((code, stdout, stderr),) = chargen("train missing.txt --backend tensorflow")
    assert (code, stdout) == (2, "")
    assert stderr.startswith("chargen: training.backend is tensorflow, which is not installed; ")
    assert stderr.endswith("pip install tensorflow\n")
    assert len(stderr.splitlines()) == 1


def pretend(monkeypatch: pytest.MonkeyPatch, *installed: str) -> None:
    """Have these backends be the ones that are installed."""
    monkeypatch.setattr(devices, "find_spec", lambda name: name if name in installed else None)


@pytest.mark.parametrize(("installed", "chosen"), [(("jax", "torch"), "jax"), (("torch",), "torch")])
def test_what_is_installed_is_chosen_and_said(
    installed: tuple[str, ...], chosen: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, *installed)
    layers = choose_backend(resolve(), verbosity=1)
    assert resolve(*layers).settings.training.backend == chosen
    assert capsys.readouterr() == ("", f"tensorflow is not installed: training with --backend {chosen}\n")
    assert choose_backend(resolve(), verbosity=0) == layers
    assert capsys.readouterr() == ("", "")
    task = make_task([("test", {"corpus": {"files": ["prose.txt"]}})], minutes=None, search=(), configured=False)
    assert resolve(*task.layers).settings.training.backend == chosen


@pytest.mark.parametrize("given", ["tensorflow", "jax", "numpy"])
def test_a_backend_that_is_installed_is_left_as_it_is(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, "tensorflow", "jax", "torch")
    assert choose_backend(resolve(("test", {"training": {"backend": given}})), verbosity=1) == []
    assert choose_backend(resolve(), verbosity=1) == []
    assert capsys.readouterr().err == ""


def test_a_backend_that_was_given_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "jax", "torch")
    assert choose_backend(resolve(("test", {"training": {"backend": "numpy"}})), verbosity=1) == []
    with pytest.raises(ConfigError, match=r"training\.backend is tensorflow, which is not installed") as caught:
        choose_backend(resolve(("test", {"training": {"backend": "tensorflow"}})), verbosity=1)
    assert caught.value.hint == "give --backend jax or torch, or pip install tensorflow"


def test_without_any_backend_of_keras_the_default_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(ConfigError) as caught:
        choose_backend(resolve(), verbosity=1)
    assert caught.value.hint == "pip install tensorflow"
