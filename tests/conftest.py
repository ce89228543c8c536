import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: two threads in each of two workers are slow

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from click.testing import CliRunner, Result

from chargen.cli.program import program
from chargen.corpus.corpus import load_corpus
from chargen.corpus.vocabulary import CharacterVocabulary, Vocabulary
from chargen.network.model_file import TextModel, num_class_outputs, save_model
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import CorpusConfig, NetworkConfig, Settings
from chargen.writing.classifier import TextClassifier, save_classifier

# Programs that need the packages of `make mutate`, and that load Keras on JAX.
collect_ignore = ["mutation.py", "training/torture_together.py"]

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores SIGINT in background processes
# The machine may be busy: neither examples nor their generation have a deadline.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start a headless Chromium for all tests of a worker; skip the test without Chromium or Playwright."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright, which drives a browser, is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)} is installed")
    with driver.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=BROWSER_ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def invoke(in_folder: Path) -> Callable[..., Result]:
    """Return a function that runs `chargen` with arguments in this process, in an empty folder."""
    return lambda *arguments, **options: CliRunner().invoke(program, [str(one) for one in arguments], **options)


@pytest.fixture
def random_model() -> Callable[..., TextModel]:
    """Return a function that makes an untrained model."""

    def make(
        *,
        reading: str = "document",
        characters: str = "abcH\u00e9\n",
        labels: tuple[str, ...] = (),
        seed: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> TextModel:
        config = NetworkConfig(hidden_size=5, embedding_size=4)
        vocabulary = vocabulary or CharacterVocabulary(characters, labels)
        rng = np.random.default_rng(seed)
        shapes = weight_shapes(config, len(vocabulary))
        weights = {one: rng.normal(size=shape).astype(np.float32) for one, shape in shapes.items()}
        return TextModel(
            network=Network(config, len(vocabulary), weights),
            vocabulary=vocabulary,
            reading=reading,
            context_length=3,
            primer=(0,) if reading == "line" or labels else (1, 1, 1),
            ends=reading == "line",
            provenance={"corpus": "text", "epochs": 4, "bits_per_character": 2.5},
        )

    return make


@pytest.fixture
def write_run(in_folder: Path, random_model: Callable[..., TextModel]) -> Callable[..., Path]:
    """Return a function that writes the run runs/NAME of an untrained model and returns its model file."""

    def write(name: str = "noise", **options: Any) -> Path:
        path = in_folder / "runs" / name / "model.safetensors"
        path.parent.mkdir(parents=True)
        save_model(path, random_model(**options))
        return path

    return write


@pytest.fixture
def write_trained(in_folder: Path, random_model: Callable[..., TextModel]) -> Callable[..., Path]:
    """Return a function that writes runs/NAME like a training on the configured files, but untrained."""

    def write(name: str = "noise", *, characters: str = "abcH\u00e9\n", **corpus: Any) -> Path:
        config = CorpusConfig(**corpus)
        path = in_folder / "runs" / name / "model.safetensors"
        path.parent.mkdir(parents=True)
        (path.parent / "config.toml").write_text(Settings(corpus=config).to_toml(), encoding="utf-8")
        found = load_corpus(config)
        model = random_model(reading=found.reading, characters=characters)
        save_model(path, replace(model, provenance={"sha256": found.sha256}))
        return path

    return write


@pytest.fixture
def write_classifier(in_folder: Path) -> Callable[..., Path]:
    """Return a function that writes the run runs/NAME of an untrained classifier and returns its model file."""

    def write(name: str = "critic", *, labels: tuple[str, ...] = ("neg", "pos"), seed: int = 0) -> Path:
        path = in_folder / "runs" / name / "model.safetensors"
        path.parent.mkdir(parents=True)
        config = NetworkConfig(hidden_size=5, embedding_size=4, targets="last")
        vocabulary = CharacterVocabulary("abcH\u00e9 ")
        rng = np.random.default_rng(seed)
        shapes = weight_shapes(config, len(vocabulary), num_outputs=num_class_outputs(len(labels)))
        model = TextClassifier(
            network=Network(
                config, len(vocabulary), {one: rng.normal(size=shape).astype(np.float32) for one, shape in shapes.items()}
            ),
            vocabulary=vocabulary,
            labels=labels,
            context_length=6,
            provenance={"corpus": "reviews", "epochs": 3, "accuracy": 0.8125},
        )
        save_classifier(path, model)
        return path

    return write
