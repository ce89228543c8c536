"""Several networks as one: the mean of their probabilities, in every way of reading, and in one model file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.errors import ConfigError, ModelFileError
from chargen.memory.building import build_grams
from chargen.memory.ngrams import NgramMemory
from chargen.network.average import NetworkAverage
from chargen.network.description import MOST_MEMBERS
from chargen.network.model_file import TextModel, load_model, read_metadata, save_model
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig
from chargen.writing.ensemble import join_models
from chargen.writing.prediction import guesses, next_probabilities
from chargen.writing.sampling import softmax

VOCABULARY = CharacterVocabulary("abcde")
IDS = np.array([[1, 2, 3, 4], [5, 5, 0, 1], [2, 1, 4, 4]])
CONFIGS = (
    NetworkConfig(cell="lstm", hidden_size=5, embedding_size=4, num_layers=2, layer_norm=True),
    NetworkConfig(cell="gru", hidden_size=7, embedding_size=0),
    NetworkConfig(cell="simplernn", hidden_size=3, embedding_size=2, dense_size=6),
)


def make_network(config: NetworkConfig, seed: int) -> Network:
    rng, shapes = np.random.default_rng(seed), weight_shapes(config, len(VOCABULARY))
    return Network(config, len(VOCABULARY), {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


@pytest.fixture
def average() -> NetworkAverage:
    return NetworkAverage([make_network(config, seed) for seed, config in enumerate(CONFIGS)])


def make_model(network: Network | NetworkAverage, **fields: Any) -> TextModel:
    known: dict[str, Any] = {"reading": "document", "context_length": 3, "primer": (1, 1, 2), "ends": False}
    return TextModel(network=network, vocabulary=VOCABULARY, **known | fields)


def mean_of(average: NetworkAverage, ids: np.ndarray) -> np.ndarray:
    """The mean of the members' probabilities after each id, (B, T, V)."""
    return np.mean([softmax(one.logits(ids, one.zero_state(len(ids)))[0]) for one in average.members], axis=0)


def test_probabilities_are_the_mean_in_every_way_of_reading(average: NetworkAverage) -> None:
    wanted, zero = mean_of(average, IDS), average.zero_state(3)
    np.testing.assert_allclose(np.exp(average.logits(IDS, zero)[0]), wanted, atol=1e-6)
    np.testing.assert_allclose(np.exp(average.stepper(zero).read(IDS)), wanted[:, -1], atol=1e-6)
    outputs = average.stepper(zero).outputs(IDS)
    assert outputs.shape == (4, 3, average.output_size)
    np.testing.assert_allclose(np.exp(average.head(outputs)), wanted.swapaxes(0, 1), atol=1e-6)
    stepper, state = average.stepper(zero), zero
    for column, expected in zip(IDS.T, wanted.swapaxes(0, 1), strict=True):
        np.testing.assert_allclose(np.exp(stepper.step(column)), expected, atol=1e-6)
        logits, state = average.step(column, state)
        np.testing.assert_allclose(np.exp(logits), expected, atol=1e-6)


def test_a_state_is_kept_taken_and_set(average: NetworkAverage) -> None:
    stepper = average.stepper(average.zero_state(3))
    stepper.read(IDS)
    state, next_ids = stepper.state, np.array([3, 3, 3])
    assert len(state) == 4  # layers
    expected = stepper.step(next_ids)
    stepper.state = state
    np.testing.assert_array_equal(stepper.step(next_ids), expected)
    stepper.state = state
    stepper.take(np.array([1, 1, 0]))
    np.testing.assert_array_equal(stepper.step(next_ids), expected[[1, 1, 0]])


def test_a_model_of_several_predicts_what_its_members_predict_together(average: NetworkAverage) -> None:
    ids = np.array([1, 3, 2, 4, 4, 5])
    for carried in (True, False):
        model = make_model(average, carried=carried)
        together = join_models([(str(seed), make_model(one, carried=carried)) for seed, one in enumerate(average.members)])
        np.testing.assert_allclose(next_probabilities(model, ids), next_probabilities(together, ids), atol=1e-6)
        assert [one.token for one in guesses(model, ids)] == ids.tolist()


@pytest.fixture
def path(tmp_path: Path, average: NetworkAverage) -> Path:
    grams = build_grams([tokenize([Document("abcabeabdde")], VOCABULARY)], len(VOCABULARY))
    memory = NgramMemory(grams, vocab_size=len(VOCABULARY), first_label=len(VOCABULARY), weight=0.25)
    members = [{"run": "first"}, {"run": "second"}, {"run": "third"}]
    save_model(tmp_path / "model.safetensors", make_model(average, memory=memory, provenance={"members": members}))
    return tmp_path / "model.safetensors"


def test_a_file_of_several_networks_comes_back_as_it_was(path: Path, average: NetworkAverage) -> None:
    first, loaded = path.read_bytes(), load_model(path)
    assert [one.config for one in loaded.network.members] == list(CONFIGS)
    assert read_metadata(path)["networks"] == CONFIGS
    np.testing.assert_array_equal(
        loaded.network.logits(IDS, average.zero_state(3))[0], average.logits(IDS, average.zero_state(3))[0]
    )
    save_model(path, loaded)
    assert path.read_bytes() == first
    second = loaded.member(2)
    assert second.one_network.config == CONFIGS[1]
    assert second.provenance == {"run": "second"}
    assert second.memory == loaded.memory
    assert second.has_memory
    with pytest.raises(ConfigError, match="numbered 1 to 3"):
        loaded.member(4)
    with pytest.raises(ConfigError, match="the model has 3"):
        _ = loaded.one_network


def test_a_file_of_one_network_has_the_version_that_it_always_had(path: Path) -> None:
    save_model(path, load_model(path).member(1))
    with safe_open(path, framework="np") as file:
        described, names = json.loads(file.metadata()["chargen"]), set(file.keys())
    assert described["format_version"] == 3
    assert list(described)[:4] == ["sha256", "format_version", "network", "vocabulary"]
    assert "output.bias" in names
    assert load_model(path).one_network.config == CONFIGS[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda metadata, weights: metadata.update(networks=metadata["networks"][:2]), "network.2"),
        (lambda metadata, weights: metadata["networks"].reverse(), "network.0"),
        (lambda metadata, weights: metadata.update(networks=metadata["networks"][:1]), f"expected 2 to {MOST_MEMBERS}"),
        (lambda metadata, weights: metadata.update(networks=metadata["networks"] * 9), f"expected 2 to {MOST_MEMBERS}"),
        (lambda metadata, weights: metadata.update(networks={}), "list"),
        (lambda metadata, weights: metadata.update(networks=[[], {}]), "dict"),
        (lambda metadata, weights: metadata.update(task="classify", labels=["a", "b"]), "several networks for 'classify'"),
        (lambda metadata, weights: metadata.update(format_version=3), "lacks 'network'"),
        (lambda metadata, weights: metadata.pop("networks"), "lacks 'networks'"),
        (lambda metadata, weights: weights.pop("network.1.output.bias"), "network.1.output.bias"),
        (lambda metadata, weights: weights["network.2.output.bias"].fill(np.inf), "network.2.output.bias"),
    ],
)
def test_a_damaged_file_of_several_networks_is_refused_in_a_line(path: Path, change: Any, reason: str) -> None:
    with safe_open(path, framework="np") as file:
        described = json.loads(file.metadata()["chargen"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(described, weights)
    save_file(weights, path, {"chargen": json.dumps(described)})
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert reason in caught.value.message
    assert "\n" not in caught.value.message


def test_the_memory_is_mixed_with_the_average_once(path: Path, average: NetworkAverage) -> None:
    model, ids = replace(load_model(path), ends=True), np.array([1, 2, 1, 2])
    assert model.memory is not None
    apart = [next_probabilities(replace(model, network=one, memory=None), ids) for one in average.members]
    networks, grams, weight = np.mean(apart, axis=0), next_probabilities(model.with_memory(1), ids), model.memory.weight
    mixed = ((1 - weight) * np.sqrt(networks) + weight * np.sqrt(grams)) ** 2
    np.testing.assert_allclose(next_probabilities(model, ids), mixed / mixed.sum(), atol=1e-6)
