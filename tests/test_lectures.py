"""The configs have the layers, sizes, optimizers, windows and tokens that the manual says their lectures have."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from chargen.settings.layers import read_config, resolve
from chargen.settings.schema import NetworkConfig, Settings, TrainingConfig
from chargen.shipped import shipped_files

PAGE = Path(__file__).parent.parent / "docs" / "lectures.md"
OURS = {"plain", "demo", "bpe", "bytes", "styles"}  # of no lecture
NAMES = {"simplernn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU", "dense": "Dense RNN"}


def layers(network: NetworkConfig) -> str:
    inputs = f"embedding {network.embedding_size}" if network.embedding_size else "one-hot"
    norm = ", batch norm" if network.embedding_norm == "batch" else ""
    stack = f"{network.num_layers} × " * (network.num_layers > 1) + f"{NAMES[network.cell]} {network.hidden_size}"
    options = [
        *(["relu"] if network.activation == "relu" else []),
        *(["identity"] if network.recurrent_init == "identity" else []),
        *([f"dropout {network.dropout:g}"] if network.dropout else []),
        *([f"input dropout {network.input_dropout:g}"] if network.input_dropout else []),
        *([f"recurrent dropout {network.recurrent_dropout:g}"] if network.recurrent_dropout else []),
    ]
    hidden = f", Dense {network.dense_size}" if network.dense_size else ""
    return f"{inputs}{norm}, {stack}" + (f" ({', '.join(options)})" if options else "") + hidden


def learning(training: TrainingConfig) -> str:
    clipped = f", values clipped at {training.clip_value:g}" if training.clip_value else ""
    lowered = f", × {training.decay_factor:g} every {training.decay_epochs} epochs" if training.schedule == "step" else ""
    until = f", until {training.until_loss:g} nat" if training.until_loss else ""
    return f"{training.optimizer} {training.learning_rate:g}{lowered}{clipped}{until}"


def windows(settings: Settings) -> str:
    training = settings.training
    stride = "stateful" if training.stateful else f"every {training.stride}" if training.stride else "end to end"
    predicted = "label" if training.task == "classify" else settings.network.targets
    return f"{training.context_length} {stride}, batch {training.batch_size}, {predicted}"


def row(name: str) -> str:
    settings = resolve(read_config(name)).settings
    tokens = settings.corpus.tokens + (f" {settings.corpus.vocab_size}" if settings.corpus.vocab_size else "")
    cells = [f"`{name}`", layers(settings.network), learning(settings.training), windows(settings), tokens]
    return f"| {' | '.join(cells)} |"


CONFIGS = [path.stem for path in shipped_files("configs") if path.suffix == ".toml" and path.stem not in OURS]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_its_lecture(name: str) -> None:
    assert row(name) in PAGE.read_text(encoding="utf-8").splitlines()


def test_every_config_is_listed(invoke: Callable[..., Result]) -> None:
    shown = invoke("config", "list").stdout.splitlines()
    assert [line.split()[0] for line in shown] == [path.stem for path in shipped_files("configs") if path.suffix == ".toml"]
    assert all(re.fullmatch(r"\S+ +\S.*[^:]", line) for line in shown)


def test_hello_trains(invoke: Callable[..., Result], in_folder: Path) -> None:
    """Four different letters, each with the one that follows."""
    (in_folder / "hello.txt").write_text("hello", encoding="utf-8")
    options: list[Any] = ["--one-hot", "--context-length", 4, "--hidden-size", 8, "--validation-split", 0, "--epochs", 200]
    result = invoke("train", "hello.txt", "--config", "plain", "--backend", "numpy", "--sample-every", 0, *options)
    assert result.exit_code == 0, result.stderr
    losses = [float(found) for found in re.findall(r"loss (\d\.\d+)", result.stderr)]
    assert losses[-1] < 0.1 < losses[0]
    assert set(invoke("sample", "--length", 9, "-q").stdout) <= set("helo\n")
