"""From a run to a Keras model, on with `fit`, and back to a model file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

import chargen
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.network.model_file import load_model, save_model
from chargen.settings.schema import NetworkConfig, TrainingConfig
from chargen.training.devices.backend import load_backend
from tests.export.forms import FORMS, NUM_MORE, E, H, T, expected_logits, make_model, name_of, some_ids

load_backend()

import keras  # noqa: E402

from chargen.keras import save, windows  # noqa: E402
from chargen.keras.trained import trained_model  # noqa: E402

SOME = [*FORMS[:-NUM_MORE:3], *FORMS[-NUM_MORE:]]
TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 8


@pytest.fixture
def run(in_folder: Path) -> chargen.Run:
    (in_folder / "text.txt").write_text(TEXT, encoding="utf-8")
    options: Any = {"optimizer": "rmsprop", "learning_rate": 0.02, "schedule": "cosine", "sample_every": 0}
    return chargen.train(
        "text.txt", config="plain", hidden_size=8, embedding=4, epochs=2, backend="numpy", quiet=True, **options
    )


@pytest.mark.parametrize("config", SOME, ids=name_of)
def test_a_keras_model_computes_what_the_network_does(config: NetworkConfig, tmp_path: Path) -> None:
    model = make_model(config)
    save_model(tmp_path / "model.safetensors", model)
    built = chargen.load(tmp_path / "model.safetensors").keras_model()
    expected = expected_logits(model.network, some_ids())
    np.testing.assert_allclose(np.asarray(built(some_ids())), expected, atol=1e-5)
    save(built, model.vocabulary, tmp_path / "back.safetensors", context_length=T)
    back = load_model(tmp_path / "back.safetensors")
    assert back.network.config == config
    for name, weight in model.network.weights.items():
        np.testing.assert_array_equal(back.network.weights[name], weight)


def test_the_model_is_compiled_as_it_was_trained(run: chargen.Run) -> None:
    model = run.keras_model(softmax=True)
    assert isinstance(model.optimizer, keras.optimizers.RMSprop)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    assert not model.loss.get_config()["from_logits"]
    np.testing.assert_allclose(np.asarray(model(np.zeros((2, 3)))).sum(axis=-1), 1, atol=1e-5)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def test_a_model_trained_with_muon_has_an_optimizer_that_keras_knows() -> None:
    training = TrainingConfig(optimizer="muon", weight_decay=0.2)
    optimizer = trained_model(make_model(NetworkConfig(hidden_size=5)), training, softmax=False).optimizer
    assert type(optimizer) is keras.optimizers.AdamW
    assert optimizer.weight_decay == 0.2


def test_fit_goes_on_and_the_commands_take_the_outcome(run: chargen.Run, invoke: Callable[..., Result]) -> None:
    data = windows(
        "text.txt", context_length=12, stride=3, one_hot=False, targets="all", validation_split=0, vocabulary=run.model
    )
    model = run.keras_model()
    before = model.evaluate(data.training, verbose=0)[0]
    assert before == pytest.approx(run.history[-1]["cross_entropy"], abs=0.5)
    model.fit(data.training, epochs=4, verbose=0)
    after = model.evaluate(data.training, verbose=0)[0]
    assert after < before - 0.1
    save(model, data, "better.safetensors")
    saved = chargen.load("better.safetensors")
    assert saved.evaluate(TEXT)["stream"]["cross_entropy"] < run.evaluate(TEXT)["stream"]["cross_entropy"] - 0.1
    np.testing.assert_allclose(np.asarray(saved.keras_model()(some_ids())), np.asarray(model(some_ids())), atol=1e-5)
    assert invoke("sample", "--run", "better.safetensors", "--length", 9, "-q").exit_code == 0
    small = ("--config", "plain", "--epochs", 1, "--sample-every", 0, "--backend", "numpy")
    went_on = invoke("train", "text.txt", "--from", "better.safetensors", *small)
    assert went_on.exit_code == 0, went_on.stderr
    assert "none is new" in went_on.stderr


def test_training_goes_on_from_an_exported_file(run: chargen.Run, invoke: Callable[..., Result]) -> None:
    assert invoke("export", run.name, "--output", "my.keras").exit_code == 0
    small = ("--config", "plain", "--epochs", 1, "--sample-every", 0, "--backend", "numpy")
    result = invoke("train", "text.txt", "--from", "my.keras", *small)
    assert result.exit_code == 0, result.stderr
    assert "starting from the weights of my.keras" in result.stderr


def test_dropped_weights_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = NetworkConfig(hidden_size=H, embedding_size=E, weight_drop=0.1, dropout=0.2, locked_dropout=True)
    save_model(tmp_path / "model.safetensors", make_model(config, vocabulary=CharacterVocabulary("abcde\n")))
    model = chargen.load(tmp_path / "model.safetensors").keras_model()
    assert "--weight-drop 0.1, which Keras's layers do not have" in capsys.readouterr().err
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.2]
