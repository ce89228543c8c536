import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from chargen.errors import ModelFileError
from chargen.network.model_file import TextModel, load_model, read_metadata, save_model
from chargen.writing.classifier import TextClassifier, load_classifier, load_labelled, save_classifier

TwoDice = Callable[..., TextModel]
HasAnA = Callable[..., TextClassifier]


@pytest.fixture
def path(tmp_path: Path, has_an_a: HasAnA) -> Path:
    path = tmp_path / "model.safetensors"
    save_classifier(path, has_an_a())
    return path


@pytest.mark.parametrize("labels", [("no", "yes"), ("r", "s", "é")])
def test_a_classifier_comes_back_as_it_was(labels: tuple[str, ...], path: Path, has_an_a: HasAnA) -> None:
    model = has_an_a(labels)
    save_classifier(path, model)
    first = path.read_bytes()
    loaded = load_classifier(path)
    assert (loaded.labels, loaded.vocabulary, loaded.context_length) == (labels, model.vocabulary, 3)
    documents = [model.vocabulary.encode(text) for text in ("ab", "b")]
    np.testing.assert_array_equal(loaded.log_probabilities(documents), model.log_probabilities(documents))
    save_classifier(path, loaded)
    assert path.read_bytes() == first


def test_the_task_stands_in_the_metadata(path: Path) -> None:
    with safe_open(path, framework="np") as file:
        assert json.loads(file.metadata()["chargen"])["task"] == "classify"
    assert read_metadata(path)["task"] == "classify"
    assert read_metadata(path)["labels"] == ("no", "yes")


def test_each_loader_refuses_the_other_kind(path: Path, two_dice: TwoDice) -> None:
    with pytest.raises(ModelFileError, match="holds a classifier, which writes no text"):
        load_model(path)
    assert isinstance(load_labelled(path), TextClassifier)
    save_model(path, two_dice())
    with pytest.raises(ModelFileError, match="holds a network that writes text, expected a classifier"):
        load_classifier(path)
    assert isinstance(load_labelled(path), TextModel)


def test_a_generator_without_labels_classifies_nothing(write_run: Callable[..., Path]) -> None:
    with pytest.raises(ModelFileError, match="was trained without labels"):
        load_labelled(write_run())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda metadata: metadata.update(task="translate"), "'translate'"),
        (lambda metadata: metadata.update(labels=["a"]), "two or more"),
        (lambda metadata: metadata.update(labels=["a", "a"]), "each once"),
        (lambda metadata: metadata.update(labels="ab"), "list"),
        (lambda metadata: metadata.update(labels=["a", 3]), "str"),
        (lambda metadata: metadata.update(labels=["a", "b", "c"]), "output"),
        (lambda metadata: metadata.pop("labels"), "labels"),
        (lambda metadata: metadata.update(context_length=0), "context length"),
        (lambda metadata: metadata.update(context_length="3"), "int"),
        (lambda metadata: metadata["network"].update(hidden_size=2), "recurrent"),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused(
    path: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    with safe_open(path, framework="np") as file:
        metadata = json.loads(file.metadata()["chargen"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(metadata)
    save_file(weights, path, {"chargen": json.dumps(metadata)})
    with pytest.raises(ModelFileError, match=told) as caught:
        load_labelled(path)
    assert str(path) in caught.value.message
