"""What is told of cuDNN is held against the steps that would run on a GPU; what float16 needs is tried on a CPU."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from chargen.settings.layers import resolve
from chargen.training.devices import cudnn
from chargen.training.planning.memory import choose_steps_per_execution
from tests.training.pretended_gpu import FORMS, settings_of

REPOSITORY = Path(__file__).parents[2]
MISSING = "{} is not installed: make test-backends installs it"
BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=MISSING.format(name)))
    for name in ("tensorflow", "jax", "torch")
]


def pretended(backend: str, folder: Path, *arguments: str) -> dict[str, bool]:
    """Return what is printed of the training steps of a GPU."""
    (folder / "prose.txt").write_text("the cat sat on the mat.\nthe dog sat on the log.\n" * 4, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "tests.training.pretended_gpu", backend, str(folder), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, bool] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_keeps_layers_from_cudnn_is_told(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pretended(backend, tmp_path)
    monkeypatch.setattr(cudnn, "_bfloat16_on_torch", lambda: True)
    told = {form: cudnn.keeps_from_cudnn(settings_of(form, backend, tmp_path)) is None for form in FORMS}
    assert found == told
    assert True in told.values()
    assert False in told.values()


@pytest.mark.skipif(find_spec("torch") is None, reason=MISSING.format("torch"))
def test_on_torch_weights_lie_where_cudnn_reads_them_unless_a_step_makes_new_ones(tmp_path: Path) -> None:
    dropped, halves = "lstm, all that is dropped, stateful", ("lstm, float16", "lstm, bfloat16")
    found = pretended("torch", tmp_path, "weights")
    assert found.pop("lstm, recurrent dropout") is True  # in validation; training is Keras's loop
    assert found == {"lstm": True, dropped: False} | dict.fromkeys(halves, False)


@pytest.mark.parametrize(
    ("backend", "network", "precision", "lost"),
    [
        ("tensorflow", {"cell": "lstm", "recurrent_dropout": 0.1}, "float32", "--recurrent-dropout"),
        ("tensorflow", {"cell": "gru", "reset_after": False}, "float32", "--no-reset-after"),
        ("jax", {"cell": "gru"}, "float32", "--backend jax"),
        ("jax", {"cell": "lstm"}, "mixed_float16", "--precision mixed_float16 on jax"),
        ("torch", {"cell": "lstm"}, "mixed_bfloat16", "--precision mixed_bfloat16 with this cuDNN"),
        ("torch", {"cell": "lstm"}, "mixed_float16", None),
        ("tensorflow", {"cell": "mlstm"}, "float32", "--cell mlstm"),
        ("tensorflow", {"cell": "simplernn", "recurrent_dropout": 0.1}, "float32", None),
    ],
)
def test_the_setting_is_named(
    backend: str, network: dict[str, object], precision: str, lost: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cudnn, "_bfloat16_on_torch", lambda: False)
    monkeypatch.setattr(cudnn, "accelerated", lambda: True)
    monkeypatch.setattr(cudnn, "describe_device", lambda name: f"training on a GPU, {name}")
    settings = resolve(("test", {"network": network, "training": {"backend": backend, "precision": precision}})).settings
    expected = [f"with {lost} the network cannot use cuDNN and trains more slowly"] if lost else []
    assert cudnn.describe_start(settings) == [f"training on a GPU, {backend}", *expected]


@pytest.mark.parametrize(
    ("parameters", "tokens", "gpu", "steps"),
    [
        (100_000, 400, False, 500),
        (100_000, 400, True, 32),  # a small network waits: more steps would only be longer without an answer to Ctrl-C
        (3_000_000, 25_600, False, 1),
        (3_000_000, 25_600, True, 4),
        (21_000_000, 102_400, True, 1),
    ],
)
def test_steps_an_execution(parameters: int, tokens: int, gpu: bool, steps: int) -> None:
    assert choose_steps_per_execution(parameters, tokens, gpu=gpu) == steps
