"""A `.keras` file is read by its bytes alone; whatever else one holds is refused in a line."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from chargen.errors import ModelFileError
from chargen.network.keras_file import CONFIG, DESCRIPTION, WEIGHTS
from chargen.network.model_file import load_model, read_metadata
from chargen.settings.schema import NetworkConfig
from tests.export.forms import H, V, make_model

Entries = dict[str, bytes]
MODEL = make_model(NetworkConfig(cell="gru", hidden_size=H, embedding_size=0))


def entries(**changed: Any) -> Entries:
    """Return the entries of a file as chargen exports it, some fields of its description changed; HDF5 is left out of it."""
    weights, offsets = b"(HDF5)", {}
    for name, weight in MODEL.network.weights.items():
        offsets[name] = len(weights)
        weights += weight.astype("<f4").tobytes()
    described = {
        "format_version": 2,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "network": {"cell": "gru", "hidden_size": H, "embedding_size": 0},
        "vocabulary": MODEL.vocabulary.to_mapping(),
        "reading": "document",
        "context_length": 3,
        "primer": [1],
        "ends": False,
        "carried": True,
        "provenance": {},
        "offsets": offsets,
    }
    layers = [{"class_name": name, "name": name} for name in ("InputLayer", "OneHot", "GRU", "Dense")]
    config = {"class_name": "Functional", "config": {"layers": layers}}
    described |= changed
    return {CONFIG: json.dumps(config).encode(), WEIGHTS: weights, DESCRIPTION: json.dumps(described).encode()}


def write(path: Path, content: Entries, *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as raised:
        load_model(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_arrays_are_read(tmp_path: Path) -> None:
    model = load_model(write(tmp_path / "my.keras", entries()))
    for name, weight in MODEL.network.weights.items():
        np.testing.assert_array_equal(model.network.weights[name], weight)
    assert read_metadata(tmp_path / "my.keras")["context_length"] == 3


LAMBDA = {"class_name": "Functional", "config": {"layers": [{"class_name": "Lambda", "config": {"function": "4wEAAA=="}}]}}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({CONFIG: json.dumps(LAMBDA).encode()}, "it has a layer of the kind 'Lambda', which chargen does not export"),
        ({CONFIG: b"[" * 100}, "nested"),
        ({CONFIG: b"[]"}, "list indices"),
        ({WEIGHTS: b"other"}, "its weights are damaged, or Keras has saved them again"),
        ({WEIGHTS: bytes(3 << 20)}, "its model.weights.h5 has 3,145,728 bytes, at most"),
        ({DESCRIPTION: None}, "it has no chargen.json; chargen.keras.save makes a model file of a Keras model"),
        ({WEIGHTS: None}, "it has no model.weights.h5"),
        ({DESCRIPTION: b"\xff"}, "utf-8"),
    ],
)
def test_other_entries_are_refused(changed: dict[str, bytes | None], problem: str, tmp_path: Path) -> None:
    content = {name: data for name, data in (entries() | changed).items() if data is not None}
    assert problem in refusal(write(tmp_path / "my.keras", content))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"offsets": {}}, "its arrays are not those of its network"),
        ({"offsets": 7}, "its metadata holds 7 where a dict was expected"),
        ({"offsets": dict.fromkeys(MODEL.network.weights, -4)}, "is not within its weights"),
        ({"offsets": dict.fromkeys(MODEL.network.weights, 10**9)}, "is not within its weights"),
        ({"offsets": dict.fromkeys(MODEL.network.weights, 1.5)}, "is not within its weights"),
        ({"network": {"cell": "gru", "hidden_size": 60000, "embedding_size": 0}}, "is not within its weights"),
        ({"task": "classify", "labels": ["a", "b"]}, "holds a classifier, which writes no text"),
        ({"format_version": 99}, "it has format version 99"),
    ],
)
def test_other_descriptions_are_refused(changed: dict[str, Any], problem: str, tmp_path: Path) -> None:
    assert problem in refusal(write(tmp_path / "my.keras", entries(**changed)))


def test_compressed_entries_and_other_files_are_refused(tmp_path: Path) -> None:
    assert "is compressed" in refusal(write(tmp_path / "bomb.keras", entries(), compression=zipfile.ZIP_DEFLATED))
    (tmp_path / "text.keras").write_text("no archive", encoding="utf-8")
    assert "it is not a Keras archive" in refusal(tmp_path / "text.keras")
    (tmp_path / "folder.keras").mkdir()
    assert "is not a model file" in refusal(tmp_path / "folder.keras")


@given(places=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(places: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("damaged") / "my.keras"
    content = bytearray(write(path, entries()).read_bytes())
    for place, byte in places:
        content[place % len(content)] = byte
    path.write_bytes(content)
    with suppress(ModelFileError):
        assert len(load_model(path).vocabulary) == V


def test_a_command_refuses_one_in_a_line(invoke: Callable[..., Result], in_folder: Path) -> None:
    write(in_folder / "my.keras", entries() | {CONFIG: json.dumps(LAMBDA).encode()})
    for command in (("sample", "--run", "my.keras"), ("train", "tiny.txt", "--from", "my.keras")):
        result = invoke(*command)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "Lambda" in result.stderr
