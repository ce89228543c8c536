import json
from collections.abc import Callable
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
from chargen.memory.lines import KnownLines
from chargen.memory.ngrams import NgramMemory
from chargen.network.model_file import TextModel, load_model, read_metadata, save_model
from chargen.network.network import Network, weight_shapes
from chargen.network.tensor_file import NO_CHECKSUM, with_checksum
from chargen.settings.schema import NetworkConfig

CHARACTERS = "\nab\"'\u2028é\U0001f600"
CONFIG = NetworkConfig(hidden_size=5, embedding_size=4, num_layers=2)


def make_model(config: NetworkConfig = CONFIG) -> TextModel:
    vocabulary = CharacterVocabulary(CHARACTERS)
    rng = np.random.default_rng(2)
    shapes = weight_shapes(config, len(vocabulary))
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return TextModel(
        network=Network(config, len(vocabulary), weights),
        vocabulary=vocabulary,
        reading="line",
        context_length=3,
        primer=(0, 2),
        ends=True,
        provenance={"corpus": "names", "epochs": 3},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, make_model())
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], object]) -> None:
    """Change the metadata or the tensors of a model file."""
    with safe_open(path, framework="np") as file:
        metadata = json.loads(file.metadata()["chargen"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(metadata, weights)
    save_file(weights, path, {"chargen": json.dumps(metadata)})


def refused(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_model_comes_back_as_it_was(path: Path) -> None:
    model, loaded = make_model(), load_model(path)
    assert replace(loaded, network=model.network) == model
    ids = np.array([[1, 2, 3], [4, 5, 6]])
    for made, expected in zip(
        loaded.network.logits(ids, loaded.network.zero_state(2))[0],
        model.network.logits(ids, model.network.zero_state(2))[0],
        strict=True,
    ):
        np.testing.assert_array_equal(made, expected)


def test_equal_models_give_equal_bytes(path: Path) -> None:
    first = path.read_bytes()
    save_model(path, make_model())
    assert path.read_bytes() == first
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_metadata_is_read_without_weights(path: Path) -> None:
    assert read_metadata(path)["networks"] == (CONFIG,)
    path.write_bytes(path.read_bytes().replace(b"output.bias", b"output.bies"))
    assert read_metadata(path)["provenance"]["epochs"] == 3
    assert "output.bias" in refused(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


@pytest.mark.parametrize("place", range(0, 64, 7))
def test_a_flipped_bit_of_the_header_is_refused(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)
    refused(path)


def test_what_is_no_model_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "missing")
    refused(tmp_path)
    (tmp_path / "text").write_text("hello, this is no model" * 20, encoding="utf-8")
    refused(tmp_path / "text")
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "other")
    assert "is not a chargen model" in refused(tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (lambda metadata, weights: weights.pop("output.bias"), "output.bias"),
        (lambda metadata, weights: weights.update(extra=np.zeros(2, np.float32)), "extra"),
        (lambda metadata, weights: weights.update({"output.bias": np.zeros(3, np.float32)}), "output.bias"),
        (lambda metadata, weights: weights.update({"output.bias": np.zeros(9, np.float64)}), "F64"),
        (lambda metadata, weights: weights["embedding"].fill(np.nan), "not finite"),
        (lambda metadata, weights: metadata.update(format_version=99), "format version 99"),
        (lambda metadata, weights: metadata.pop("vocabulary"), "vocabulary"),
        (lambda metadata, weights: metadata.update(primer=[0, 9]), "primer"),
        (lambda metadata, weights: metadata.update(primer="ab"), "list"),
        (lambda metadata, weights: metadata.update(context_length="3"), "int"),
        (lambda metadata, weights: metadata["network"].update(hidden_sizes=3), "hidden_sizes"),
        (lambda metadata, weights: metadata["network"].update(hidden_size=-3), "hidden_size"),
        (lambda metadata, weights: metadata["network"].update(hidden_size=6), "recurrent"),
        (lambda metadata, weights: metadata["vocabulary"].update(characters="aab"), "twice"),
        (lambda metadata, weights: metadata["vocabulary"].update(kind="word"), "word"),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused(
    path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], object], result: str
) -> None:
    rewrite(path, change)
    assert result in refused(path)


@pytest.fixture
def remembering(tmp_path: Path) -> Path:
    """Write a model with an n-gram memory."""
    model, path = make_model(), tmp_path / "remembering.safetensors"
    vocab_size = len(model.vocabulary)
    grams = build_grams([tokenize([Document("ab\"ab'bab")], model.vocabulary)], vocab_size)
    memory = NgramMemory(grams, vocab_size=vocab_size, first_label=vocab_size, weight=0.22)
    save_model(path, replace(model, memory=memory))
    return path


def test_an_ngram_memory_is_read_as_it_was_written(remembering: Path) -> None:
    memory, again = load_model(remembering).memory, remembering.with_name("again")
    assert memory is not None
    assert memory.weight == 0.22
    save_model(again, load_model(remembering))
    assert again.read_bytes() == remembering.read_bytes()
    assert memory.num_bytes == sum(array.nbytes for array in memory.arrays.values()) < 200


@pytest.fixture
def knowing_lines(remembering: Path) -> Path:
    """Write a model whose memory knows lines."""
    model, path = load_model(remembering), remembering.with_name("lines.safetensors")
    assert model.memory is not None
    lines = KnownLines(np.array([4, 9, 2**32 - 2], np.uint32), (0.5, 0.25))
    save_model(path, replace(model, memory=model.memory.with_lines(lines)))
    return path


def test_known_lines_are_read_as_they_were_written(knowing_lines: Path) -> None:
    memory, again = load_model(knowing_lines).memory, knowing_lines.with_name("again")
    assert memory is not None
    assert memory.lines is not None
    assert (memory.lines.keys.tolist(), memory.lines.factors) == ([4, 9, 2**32 - 2], (0.5, 0.25))
    save_model(again, load_model(knowing_lines))
    assert again.read_bytes() == knowing_lines.read_bytes()


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (lambda metadata, tensors: metadata["memory"].pop("lines"), "lines"),
        (lambda metadata, tensors: metadata["memory"].update(lines=[]), "memory.lines"),
        (lambda metadata, tensors: metadata["memory"].update(lines=[0.5]), "factors"),
        (lambda metadata, tensors: metadata["memory"].update(lines=[0.5, 2.0]), "factors"),
        (lambda metadata, tensors: metadata["memory"].update(lines=[0.5, "0.2"]), "float"),
        (lambda metadata, tensors: metadata.update(networks=[]), "expected 1 to"),
        (lambda metadata, tensors: tensors.pop("memory.lines"), "memory.lines"),
        (lambda metadata, tensors: tensors["memory.lines"].fill(4), "not in order"),
        (lambda metadata, tensors: tensors.update({"memory.lines": tensors["memory.lines"].astype(np.int32)}), "I32"),
        (lambda metadata, tensors: tensors.update({"memory.lines": tensors["memory.lines"][None]}), "(1, 3)"),
    ],
)
def test_damaged_lines_are_refused(
    knowing_lines: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], object], result: str
) -> None:
    rewrite(knowing_lines, lambda metadata, tensors: (metadata.update(sha256=NO_CHECKSUM), change(metadata, tensors)))
    knowing_lines.write_bytes(with_checksum(knowing_lines.read_bytes()))
    assert result in refused(knowing_lines)


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (lambda metadata, tensors: metadata.pop("memory"), "memory.children"),
        (lambda metadata, tensors: tensors.pop("memory.kept"), "memory.kept"),
        (lambda metadata, tensors: metadata["memory"].pop("weight"), "weight"),
        (lambda metadata, tensors: metadata["memory"].update(weight=2.0), "weight 2.0"),
        (lambda metadata, tensors: metadata["memory"].update(weight="0.2"), "float"),
        (lambda metadata, tensors: tensors.update({"memory.tokens": tensors["memory.tokens"][:-1]}), "one size"),
        (lambda metadata, tensors: tensors.update({"memory.kept": tensors["memory.kept"].astype(np.float32)}), "F32"),
        (lambda metadata, tensors: tensors["memory.tokens"].fill(255), "not those of its vocabulary"),
        (lambda metadata, tensors: tensors["memory.kept"].fill(np.nan), "not probabilities"),
    ],
)
def test_a_damaged_memory_is_refused(
    remembering: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], object], result: str
) -> None:
    rewrite(remembering, lambda metadata, tensors: metadata.update(format_version=1))  # which has no checksum
    rewrite(remembering, change)
    assert result in refused(remembering)


def test_any_changed_byte_of_a_memory_is_noticed(remembering: Path) -> None:
    content = bytearray(remembering.read_bytes())
    content[-1] ^= 1
    remembering.write_bytes(content)
    refused(remembering)


def test_another_weight_can_be_given_to_a_memory(remembering: Path) -> None:
    model = load_model(remembering)
    memory = model.with_memory(0.5).memory
    assert memory is not None
    assert (memory.weight, model.with_memory(0).memory, model.with_memory(None)) == (0.5, None, model)
    with pytest.raises(ConfigError, match="n-gram memory"):
        model.with_memory(0).with_memory(0.3)


def test_metadata_that_is_not_json_is_refused(path: Path) -> None:
    save_file({"a": np.zeros(3, np.float32)}, path, {"chargen": "{"})
    refused(path)
    save_file({"a": np.zeros(3, np.float32)}, path, {"chargen": "[1]"})
    refused(path)


@pytest.mark.parametrize("shape", [5, None, "5", {"5": 5}, [5.0], [True], [-5], ["5"]])
def test_a_shape_that_is_no_list_of_counts_is_refused(path: Path, shape: Any) -> None:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["output.bias"]["shape"] = shape
    changed = json.dumps(header).encode()
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + raw[8 + length :])
    assert "its header gives 'output.bias' an invalid size or offset" in refused(path)


@pytest.mark.parametrize("shift", [-4, 4])
@pytest.mark.parametrize("ends", [(0, 1), (1,)], ids=["moved", "longer"])
def test_tensors_that_lie_elsewhere_are_refused(path: Path, shift: int, ends: tuple[int, ...]) -> None:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    name = max((one for one in header if one != "__metadata__"), key=lambda one: header[one]["data_offsets"])
    for end in ends:
        header[name]["data_offsets"][end] += shift
    changed = json.dumps(header).encode()
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + raw[8 + length :])
    assert f"{name!r} is not at the offsets in its header" in refused(path)
