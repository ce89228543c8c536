"""Several networks of one text: seeds of their own, and one held-out text."""

from pathlib import Path

import numpy as np
import pytest

import chargen
from chargen.network.model_file import load_model
from chargen.runs.directory import RunDirectory
from chargen.runs.trained_text import read_trained_text

TEXT = (
    "".join(f"The {animal} {verb}.\n" for animal in ("cat", "dog", "hen", "cow") for verb in ("sat", "ran", "hid", "ate")) * 6
)
TINY = {"cell": "gru", "hidden_size": 6, "epochs": 2, "backend": "numpy", "quiet": True, "sample_every": 0, "memory": False}


@pytest.fixture
def text(in_folder: Path) -> str:
    (in_folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return "text.txt"


def test_another_network_seed_changes_the_network_but_not_what_is_held_out(text: str) -> None:
    runs = [chargen.train(text, network_seed=seed, **TINY) for seed in (None, 1, 2)]
    same, also, other = [load_model(run.path / "model.safetensors") for run in runs]
    held_out = [
        read_trained_text(RunDirectory(run.path), model).held_out for run, model in zip(runs, (same, also, other), strict=True)
    ]
    assert held_out[0] == held_out[1] == held_out[2]
    weights = [model.one_network.weights["output.kernel"] for model in (same, also, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 0.01
