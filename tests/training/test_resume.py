"""A training that was stopped goes on as if it had not been."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from filelock import FileLock

from chargen.errors import ConfigError
from chargen.runs.checkpoints import read_newest, write_checkpoint
from chargen.runs.config import read_comments, read_settings
from chargen.runs.directory import RunDirectory, locked
from chargen.runs.metrics import read_history
from chargen.runs.samples import read_samples
from chargen.settings.layers import filled_up, former_values, resolve
from chargen.training import signals
from chargen.training.resuming import check_settings
from chargen.training.signals import RequestedSignal

Train = Callable[..., Any]
FILES = ("model.safetensors", "last.safetensors", "metrics.csv", "gradients.csv", "samples.jsonl", "samples.txt")
SMALL_STEPS = ("--batch-size", 4, "--context-length", 9, "--epochs", 3, "--dropout", 0.2, "--patience", 0)


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Have the next training be stopped by a signal when it looks for one the nth time."""

    def stop(looks: int | None) -> None:
        left = [looks]

        def check(requested: RequestedSignal) -> None:
            if left[0] is not None:
                left[0] -= 1
                if left[0] < 0:
                    raise signals.TrainingInterrupted(signal.SIGINT)

        monkeypatch.setattr(RequestedSignal, "check", check)

    return stop


def contents(run: RunDirectory) -> dict[str, bytes]:
    return {name: (run.path / name).read_bytes() for name in FILES if (run.path / name).exists()}


def assert_resumed_equals_whole(
    invoke_train: Callable[..., Result], stop_after: Callable[..., None], text: Path, options: tuple[Any, ...], looks: int
) -> None:
    stop_after(None)
    whole = invoke_train(text, *options)
    assert whole.exit_code == 0, whole.output
    stop_after(looks)
    stopped = invoke_train(text, *options)
    assert stopped.exit_code == 130, stopped.output
    run = RunDirectory(Path(stopped.stdout.strip()))
    assert contents(run) != contents(RunDirectory(Path(whole.stdout.strip())))
    stop_after(None)
    resumed = invoke_train("--resume", run.path)
    assert resumed.exit_code == 0, resumed.output
    assert resumed.stdout.strip() == str(run.path)
    assert contents(run) == contents(RunDirectory(Path(whole.stdout.strip())))


FORMS = list(product(("simplernn", "lstm", "mlstm", "gru"), ((), ("--stateful",))))


@pytest.mark.parametrize(("cell", "form"), FORMS)
@pytest.mark.parametrize("looks", [0, 1, 3, 5])
def test_by_hand(
    invoke_train: Callable[..., Result],
    stop_after: Callable[..., None],
    prose: Path,
    monkeypatch: pytest.MonkeyPatch,
    cell: str,
    form: tuple[str, ...],
    looks: int,
) -> None:
    """Stopped before the first step, within an epoch, at its edge, in validation."""
    monkeypatch.setattr("chargen.training.numpy_trainer.STEPS_AT_ONCE", 7)
    options = ("--backend", "numpy", "--cell", cell, *form, *SMALL_STEPS)
    assert_resumed_equals_whole(invoke_train, stop_after, prose, options, looks)


@pytest.mark.parametrize(("cell", "form", "looks"), [("lstm", ("--stateful",), 3), ("gru", ("--schedule", "cosine"), 5)])
def test_with_keras(
    invoke_train: Callable[..., Result],
    stop_after: Callable[..., None],
    prose: Path,
    monkeypatch: pytest.MonkeyPatch,
    cell: str,
    form: tuple[str, ...],
    looks: int,
) -> None:
    monkeypatch.setattr("chargen.training.planning.memory.WORK_PER_EXECUTION", 1.5e6)  # a few steps an execution
    assert_resumed_equals_whole(invoke_train, stop_after, prose, ("--cell", cell, *form, *SMALL_STEPS), looks)


def test_a_plateau_and_patience_are_remembered(
    invoke_train: Callable[..., Result], stop_after: Callable[..., None], prose: Path
) -> None:
    still = ("--schedule", "plateau", "--decay-epochs", 2, "--learning-rate", 1e-20, "--optimizer", "sgd", "--patience", 5)
    options = ("--backend", "numpy", "--epochs", 9, *still)
    assert_resumed_equals_whole(invoke_train, stop_after, prose, options, looks=8)


@pytest.fixture
def stopped(invoke_train: Callable[..., Result], stop_after: Callable[..., None], prose: Path) -> RunDirectory:
    """A run that was stopped in its second epoch."""
    stop_after(4)
    result = invoke_train(prose, "--backend", "numpy", *SMALL_STEPS, "--checkpoint-steps", 2)
    assert result.exit_code == 130
    stop_after(None)
    return RunDirectory(Path(result.stdout.strip()))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--hidden-size", 9), "network.hidden_size is 9, "),
        (("--epochs", 30, "--batch-size", 9), "training.batch_size is 9, "),
        (("--epochs", 30, "--optimizer", "sgd"), "training.optimizer is sgd, "),
    ],
)
def test_other_settings_are_refused(
    invoke_train: Callable[..., Result], stopped: RunDirectory, options: tuple[Any, ...], told: str
) -> None:
    result = invoke_train("--resume", stopped.path, *options)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "was trained with" in result.stderr


def test_training_goes_on_beyond_its_end(invoke_train: Callable[..., Result], stopped: RunDirectory, prose: Path) -> None:
    """It ends as if it had been that long from the beginning: the optimizer goes on with its averages."""
    assert invoke_train("--resume").exit_code == 0
    finished = invoke_train("--resume")
    assert f"is finished; to go on: --resume {stopped.name} --epochs 6" in finished.stderr
    result = invoke_train("--resume", stopped.path, "--epochs", 5)
    assert result.exit_code == 0, result.output
    assert "going on after epoch 3: epochs 5 instead of 3\n" in result.stderr
    longer = (prose, "--backend", "numpy", *SMALL_STEPS, "--epochs", 5, "--checkpoint-steps", 2)
    whole = RunDirectory(Path(invoke_train(*longer).stdout.strip()))
    for name in ("model", "last_model", "metrics"):
        assert getattr(stopped, name).read_bytes() == getattr(whole, name).read_bytes()
    assert read_settings(stopped).training.epochs == 5
    assert "going on after epoch 3: epochs 5 instead of 3" in read_comments(stopped)
    assert "is finished" in invoke_train("--resume", stopped.path).stderr
    too_few = invoke_train("--resume", stopped.path, "--epochs", 4)
    assert too_few.exit_code == 2
    assert "training.epochs is 4" in too_few.stderr
    assert "has trained 5 epochs; give more with --epochs" in too_few.stderr


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_training_goes_on_at_another_learning_rate(invoke_train: Callable[..., Result], prose: Path, backend: str) -> None:
    small = ("--backend", backend, "--epochs", 1, "--learning-rate", 0.01, "--batch-size", 4)
    run = RunDirectory(Path(invoke_train(prose, *small).stdout.strip()))
    result = invoke_train("--resume", run.path, "--epochs", 2, "--learning-rate", 1e-20)
    assert result.exit_code == 0, result.output
    assert "epochs 2 instead of 1, learning rate 1e-20 instead of 0.01" in result.stderr
    first, second = read_history(run.metrics, name=run.name).epochs
    assert (first.learning_rate, second.learning_rate) == pytest.approx((0.01, 1e-20))
    assert second.validation_cross_entropy == pytest.approx(first.validation_cross_entropy, abs=1e-6)


def test_training_that_stopped_early_goes_on(invoke_train: Callable[..., Result], prose: Path) -> None:
    still = ("--learning-rate", 1e-20, "--optimizer", "sgd", "--patience", 1, "--backend", "numpy", "--epochs", 9)
    run = RunDirectory(Path(invoke_train(prose, *still).stdout.strip()))
    before = len(read_history(run.metrics, name=run.name).epochs)
    assert before < 9
    result = invoke_train("--resume", run.path, "--patience", 0)
    assert result.exit_code == 0, result.output
    assert len(read_history(run.metrics, name=run.name).epochs) == 9


def test_where_else_it_is_logged_may_change(invoke_train: Callable[..., Result], stopped: RunDirectory) -> None:
    result = invoke_train("--resume", stopped.path, "--tensorboard")
    assert result.exit_code == 0, result.output
    assert list(stopped.path.glob("tensorboard/*"))


def test_another_text_is_refused(invoke_train: Callable[..., Result], stopped: RunDirectory, prose: Path) -> None:
    prose.write_text(prose.read_text(encoding="utf-8").replace("cat", "cow"), encoding="utf-8")
    result = invoke_train("--resume", stopped.path)
    assert result.exit_code == 2
    assert "the text has changed since " in result.stderr


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no manifest"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    invoke_train: Callable[..., Result], stopped: RunDirectory, prose: Path, damage: str
) -> None:
    *_, newest = sorted(stopped.checkpoints.iterdir())
    arrays = newest / "arrays.safetensors"
    content = bytearray(arrays.read_bytes())
    if damage == "truncated":
        arrays.write_bytes(content[:-5])
    elif damage == "flipped":
        content[len(content) // 2] ^= 4
        arrays.write_bytes(content)
    else:
        (newest / "manifest.json").unlink()
    result = invoke_train("--resume", stopped.path)
    assert result.exit_code == 0, result.output
    assert f"the checkpoint {newest} is damaged" in result.stderr
    whole = RunDirectory(Path(invoke_train(prose, "--backend", "numpy", *SMALL_STEPS, "--checkpoint-steps", 2).stdout.strip()))
    assert contents(stopped) == contents(whole)


def test_a_run_of_an_older_version_goes_on(invoke_train: Callable[..., Result], stopped: RunDirectory, prose: Path) -> None:
    """It has no samples.jsonl, and its checkpoints store the size of samples.txt."""
    view, (checkpoint, _) = stopped.samples.with_suffix(".txt"), read_newest(stopped.checkpoints)
    assert checkpoint is not None
    del checkpoint.facts["samples_size"]
    write_checkpoint(stopped.checkpoints, checkpoint._replace(facts=checkpoint.facts | {"samples_bytes": view.stat().st_size}))
    stopped.samples.unlink()
    with view.open("a", encoding="utf-8") as file:
        file.write("----- Generating text after epoch 2\n")
    assert invoke_train("--resume", stopped.path).exit_code == 0
    assert [one.epoch for one in read_samples(stopped.samples)] == [1, 1, 2, 2, 3, 3]
    whole = RunDirectory(Path(invoke_train(prose, "--backend", "numpy", *SMALL_STEPS, "--checkpoint-steps", 2).stdout.strip()))
    resumed, expected = contents(stopped), contents(whole)
    del resumed["samples.jsonl"], expected["samples.jsonl"]  # samples.txt does not tell whether a text ends with a newline
    assert resumed == expected


def test_a_finished_run_is_left_alone(invoke_train: Callable[..., Result], stopped: RunDirectory) -> None:
    assert invoke_train("--resume").exit_code == 0
    before = contents(stopped)
    result = invoke_train("--resume", "--json")
    assert "is finished" in result.stderr
    assert json.loads(result.stdout)["run"] == str(stopped.path)
    assert contents(stopped) == before


def test_what_cannot_be_resumed(invoke_train: Callable[..., Result], tmp_path: Path) -> None:
    assert "no run with a checkpoint in runs" in invoke_train("--resume").stderr
    assert "no such run: missing" in invoke_train("--resume", "missing").stderr
    (tmp_path / "empty").mkdir()
    assert "empty is not a run" in invoke_train("--resume", "empty").stderr


def test_a_run_is_trained_by_one_process_at_a_time(stopped: RunDirectory, tmp_path: Path) -> None:
    """Of several that start at once one goes on; the others name it."""
    command = [
        sys.executable,
        "-m",
        "chargen",
        "train",
        "--resume",
        str(stopped.path),
        "--hidden-size",
        "7",
        "--embedding",
        "5",
    ]
    started = [
        subprocess.Popen(
            [*command, "--sample-length", "20"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(5)
    ]
    errors = [process.communicate()[1] for process in started]
    refused = [error for process, error in zip(started, errors, strict=True) if process.returncode]
    assert len(refused) < 5
    for error in refused:
        assert "is in use by process" in error


def test_the_process_that_trains_a_run_is_named(invoke_train: Train, stopped: RunDirectory) -> None:
    with locked(stopped):
        refused = invoke_train("--resume", str(stopped.path))
    assert refused.exit_code == 2
    assert f"is in use by process {os.getpid()} on " in refused.stderr


def test_a_process_that_has_yet_to_write_its_name_is_waited_for(
    invoke_train: Train, stopped: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileLock(stopped.lock):
        monkeypatch.setattr("chargen.runs.directory.time.sleep", lambda _: stopped.holder.write_text("process 7 on here"))
        refused = invoke_train("--resume", str(stopped.path))
    assert refused.exit_code == 2
    assert "is in use by process 7 on here" in refused.stderr


def test_killed_at_any_moment_nothing_is_lost(prose: Path, tmp_path: Path, small: tuple[str, ...]) -> None:
    """Kill training with no warning, go on, kill again, until it is done; the end is that of a run that was left in peace."""
    options = ["--backend", "numpy", *small, *map(str, SMALL_STEPS), "--checkpoint-steps", "2", "-q"]
    base = [sys.executable, "-m", "chargen", "train"]
    whole = subprocess.run([*base, str(prose), *options], cwd=tmp_path, capture_output=True, text=True, check=True)
    rng = np.random.default_rng(1)
    run: Path | None = None
    for _ in range(60):
        command = [*base, *(["--resume", str(run)] if run else [str(prose), *options, "--runs-dir", "killed"])]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, stderr = process.communicate(timeout=float(rng.uniform(0.3, 1.6)))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        else:
            assert process.returncode == 0, stderr
            break
        found = list((tmp_path / "killed").glob("*/config.toml"))
        run = found[0].parent if found else None
    else:
        pytest.fail("it never came to an end")
    (config,) = (tmp_path / "killed").glob("*/config.toml")  # a kill before it was written leaves an empty folder
    assert contents(RunDirectory(config.parent)) == contents(RunDirectory(tmp_path / whole.stdout.strip()))


def test_settings_that_came_after_a_run_are_as_they_were_before(tmp_path: Path) -> None:
    """A run that is older than a setting goes on, unless the setting is given another value."""
    run, given = RunDirectory(tmp_path), resolve(("config.toml", filled_up({}))).settings
    stored = given.to_mapping()
    for name in (*former_values(), "corpus.file_readings"):
        section, _, key = name.partition(".")
        del stored[section][key]
    check_settings(run, given.to_mapping(), stored)
    for changed in ({"validation": "spread"}, {"strip_licence": True}, {"file_readings": ("line",)}, {"label_by": "file"}):
        with pytest.raises(ConfigError, match=f"corpus.{next(iter(changed))} is "):
            check_settings(run, replace(given, corpus=replace(given.corpus, **changed)).to_mapping(), stored)
