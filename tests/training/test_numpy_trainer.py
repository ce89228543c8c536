"""Training by hand makes the same kind of run as training with Keras, and loads no backend."""

import csv
import platform
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

import chargen
from chargen.network.model_file import load_model

Train = Callable[..., Any]
BY_HAND = ("--backend", "numpy")


@pytest.mark.parametrize("cell", ["simplernn", "dense", "lstm", "mlstm", "gru"])
@pytest.mark.parametrize(
    "form", [("--targets", "all"), ("--targets", "last", "--context-length", 9, "--stride", 5), ("--stateful",)]
)
def test_every_cell_and_form_learns(train: Train, prose: Path, cell: str, form: tuple[object, ...]) -> None:
    if cell == "dense" and form == ("--stateful",):
        pytest.skip("the dense cell carries no state")
    options = ("--epochs", 4, "--batch-size", 8, "--learning-rate", 0.02, "--dropout", 0.1, "--layers", 2)
    trained = train(prose, *BY_HAND, "--cell", cell, *form, *options)
    assert trained.validation[-1] < trained.validation[0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon", "rmsprop", "adagrad", "sgd"])
def test_every_optimizer_learns(train: Train, prose: Path, optimizer: str) -> None:
    rate = 1.0 if optimizer == "sgd" else 0.02
    options = ("--optimizer", optimizer, "--learning-rate", rate, "--clip-norm", 0, "--clip-value", 5)
    trained = train(prose, *BY_HAND, *options, "--epochs", 3, "--batch-size", 4)
    assert trained.validation[-1] < trained.validation[0]


def test_the_run_is_one_like_any_other(train: Train, names: Path) -> None:
    run = train(names, *BY_HAND, "--epochs", 2, "--schedule", "cosine").run
    assert {path.name for path in run.path.iterdir()} == {
        ".lock", "checkpoints", "config.toml", "metrics.csv", "gradients.csv", "samples.jsonl", "samples.txt",
        "model.safetensors", "last.safetensors", "versions.toml",
    }  # fmt: skip
    versions = tomllib.loads(run.versions.read_text(encoding="utf-8"))
    assert versions == {"python": platform.python_version(), "chargen": chargen.__version__, "numpy": np.__version__}
    with run.metrics.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.0015, 0.0])
    assert load_model(run.last_model).provenance["epochs"] == 2
    assert "after epoch 2" in run.samples.with_suffix(".txt").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_bytes(train: Train, names: Path) -> None:
    one, other = (train(names, *BY_HAND, "--epochs", 2, "--dropout", 0.2).run for _ in range(2))
    assert one.model.read_bytes() == other.model.read_bytes()
    assert one.metrics.read_bytes() == other.metrics.read_bytes()


def test_validation_is_the_mean_that_keras_has_too(train: Train, names: Path) -> None:
    """With a learning rate that changes nothing both measure the same untrained kind of network."""
    still = ("--learning-rate", 1e-20, "--optimizer", "sgd", "--epochs", 1)
    by_hand, by_keras = train(names, *BY_HAND, *still), train(names, *still)
    assert by_hand.validation[0] == pytest.approx(by_keras.validation[0], abs=0.02)
    assert by_hand.validation[0] == pytest.approx(np.log(len(load_model(by_hand.run.model).vocabulary)), abs=0.05)


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (("--recurrent-dropout", 0.1), "network.recurrent_dropout"),
        (("--embedding-norm", "batch"), "network.embedding_norm"),
        (("--layer-norm", "--layers", 2), "network.layer_norm"),
        (("--precision", "mixed_bfloat16"), "training.precision"),
    ],
)
def test_what_only_keras_can_do_is_refused(
    invoke_train: Callable[..., Result], names: Path, options: tuple[object, ...], setting: str
) -> None:
    result = invoke_train(names, *BY_HAND, *options)
    assert result.exit_code == 2
    assert f"the NumPy trainer does not support {setting}" in result.stderr
    assert "use --backend tensorflow" in result.stderr
    assert not list(Path("runs").glob("*"))


def test_no_backend_is_loaded(names: Path, tmp_path: Path) -> None:
    report = """
import atexit, sys
heavy = {"keras", "tensorflow", "jax", "torch", "wandb"}
atexit.register(lambda: print("loaded:", *sorted(heavy & set(sys.modules)), file=sys.stderr))
from chargen.cli import main
main()
"""
    arguments = ["train", str(names), *BY_HAND, "--epochs", "1", "--hidden-size", "4", "--sample-every", "1"]
    done = subprocess.run([sys.executable, "-c", report, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "loaded:\n" in done.stderr


def test_a_dry_run_trains_nothing(invoke_train: Callable[..., Result], names: Path) -> None:
    result = invoke_train(names, *BY_HAND, "--dry-run")
    assert result.exit_code == 0
    assert "characters per second" in result.stdout
    assert not list(Path("runs").glob("*"))
