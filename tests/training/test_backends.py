"""JAX and PyTorch train as TensorFlow does. Keras has one backend a process, so each of them has one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chargen.errors import ConfigError
from chargen.network.model_file import load_model, read_metadata
from chargen.runs.directory import RunDirectory
from chargen.training.devices.backend import load_backend
from tests.training.first_steps import FORMS, STEPS, TOO_LARGE

REPOSITORY = Path(__file__).parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # PyTorch's threads wait for each other at full speed where other tests need the cores


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed: make test-backends installs it")


OTHERS = [pytest.param(name, marks=needs(name)) for name in ("jax", "torch")]


@pytest.fixture(scope="module")
def first_steps(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], dict[str, np.ndarray]]:
    """Return what `tests.training.first_steps` wrote of a backend and a form; float16 and all others are run once each."""
    folder = tmp_path_factory.mktemp("steps")
    (folder / "prose.txt").write_text("the cat sat on the mat.\nthe dog sat on the log.\n" * 25, encoding="utf-8")
    reviews = [f"the {noun} was {word},{word > 'e'}" for noun in ("film", "plot", "cast") for word in ("good", "bad")]
    (folder / "reviews.csv").write_text("review,label\n" + "\n".join(reviews * 20) + "\n", encoding="utf-8")

    def read(backend: str, form: str) -> dict[str, np.ndarray]:
        path = folder / f"{backend}-{form}.npz"
        if not path.exists():
            forms = FORMS if form in FORMS else [form]
            command = [sys.executable, "-m", "tests.training.first_steps", backend, str(folder), *forms]
            subprocess.run(command, cwd=REPOSITORY, env=os.environ | ONE_THREAD, check=True)
        with np.load(path) as arrays:
            return dict(arrays)

    return read


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backend", OTHERS)
def test_the_first_steps_are_those_of_tensorflow(first_steps: Callable[..., Any], backend: str, form: str) -> None:
    expected, given = first_steps("tensorflow", form), first_steps(backend, form)
    assert given.keys() == expected.keys()
    assert given["losses"].shape == (STEPS,)
    np.testing.assert_allclose(given["losses"], expected["losses"], atol=1e-4)
    for name in expected:
        if name.startswith("before."):
            np.testing.assert_array_equal(given[name], expected[name])
        if name.startswith("after."):
            np.testing.assert_allclose(given[name], expected[name], atol=2e-3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backend", OTHERS)
def test_a_training_goes_on_from_its_state_with_the_same_bytes(
    first_steps: Callable[..., Any], backend: str, form: str
) -> None:
    given = first_steps(backend, form)
    assert np.abs(given["after.output.bias"]).max() > 0
    for name in given:
        if name.startswith("after."):
            np.testing.assert_array_equal(given[name.replace("after.", "resumed.")], given[name])


@pytest.mark.parametrize("backend", ["tensorflow", *OTHERS])
def test_a_step_too_large_for_float16_is_left_out(first_steps: Callable[..., Any], backend: str) -> None:
    given, expected = first_steps(backend, "float16"), first_steps("tensorflow", "float16")
    np.testing.assert_array_equal(given["after.overflown"], given["before.overflown"])
    assert (given["scale.overflown"], given["steps.overflown"]) == (TOO_LARGE / 2, 0)
    assert np.abs(given["after.taken"] - given["before.taken"]).max() > 1e-4
    assert (given["scale.taken"], given["steps.taken"]) == (1, 1)
    np.testing.assert_allclose(given["after.taken"], expected["after.taken"], atol=1e-3)
    assert given["loss.taken"] == pytest.approx(expected["loss.taken"], abs=1e-2)


def command(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))} | ONE_THREAD
    started = [sys.executable, "-m", "chargen", "train", *map(str, arguments)]
    return subprocess.run(started, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("backend", OTHERS)
def test_a_run_of_one_backend_is_the_start_of_another(
    train: Callable[..., Any], small: tuple[str, ...], prose: Path, tmp_path: Path, backend: str
) -> None:
    start = train(prose, "--backend", "numpy", "--epochs", 2).run
    still = ("--epochs", 1, "--optimizer", "sgd", "--learning-rate", 1e-20, "--sample-every", 0)
    done = command(prose, *small, "--backend", backend, "--from", start.path, *still, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    chatter = [line for line in done.stderr.splitlines() if "training on " in line]
    assert chatter[0].endswith(f", {backend}")
    lines = ("text", "network", "start", "few steps", "device", "ready", "epoch", "memory", "farewell", "worse", "usual")
    assert len(done.stderr.splitlines()) == len(lines), done.stderr
    run = RunDirectory(tmp_path / done.stdout.strip())
    before, after = load_model(start.last_model).network.weights, load_model(run.model).network.weights
    for name, weight in before.items():
        np.testing.assert_array_equal(after[name], weight)
    assert backend not in str(read_metadata(run.model))


def test_what_is_not_installed_is_said_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr("chargen.training.devices.backend.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"training\.backend is jax, which is not installed") as caught:
        load_backend("jax")
    assert caught.value.hint == "pip install 'chargen[jax]'"


def test_a_process_has_one_backend() -> None:
    load_backend()
    with pytest.raises(ConfigError, match=r"training\.backend is torch, but this process has loaded Keras on tensorflow"):
        load_backend("torch")


LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
SHARE_OF_LARGE_PAGES = """
import re
from pathlib import Path
from chargen.training.devices.backend import keep_freed_memory
keep_freed_memory()
keep_freed_memory()  # as for a second training
used = bytearray(1 << 28)
rollup = Path("/proc/self/smaps_rollup").read_text()
print(int(re.search(r"AnonHugePages: *(\\d+)", rollup)[1]) * 1024 / len(used))
"""


@pytest.mark.skipif(
    not LARGE_PAGES.is_file() or "[never]" in LARGE_PAGES.read_text(), reason="this system gives no large pages to a program"
)
def test_memory_is_in_large_pages() -> None:
    done = subprocess.run([sys.executable, "-c", SHARE_OF_LARGE_PAGES], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0.5
