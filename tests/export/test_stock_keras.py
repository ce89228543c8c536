"""A `.keras` file loads without chargen, but for a multiplicative LSTM, and computes the same as the NumPy network."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from chargen.network.model_file import load_model, save_model
from chargen.settings.schema import NetworkConfig
from chargen.training.devices.backend import load_backend
from tests.export.forms import FORMS, NUM_MORE, T, expected_logits, make_model, name_of, some_ids

load_backend()

from chargen.training.stock_keras import stock_file  # noqa: E402

SOME = [*FORMS[:-NUM_MORE:3], *FORMS[-NUM_MORE:]]
LOADER = """
import sys
import numpy as np
import keras
{before}
ids = np.load("ids.npy")
for name in sys.argv[1:]:
    model = keras.saving.load_model(f"{{name}}.keras")
    np.save(f"{{name}}.given.npy", np.asarray(model(ids)))
"""
KERAS_ALONE = LOADER.format(before='sys.modules["chargen"] = None')
WITH_CHARGEN = LOADER.format(before="import chargen.keras")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the results of Keras alone for some forms, from one process, since TensorFlow starts slowly."""
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "ids.npy", some_ids())
    for config in SOME:
        (folder / f"{name_of(config)}.keras").write_bytes(stock_file(make_model(config)))
    own = [config for config in SOME if config.cell == "mlstm"]
    for program, configs in ((KERAS_ALONE, [config for config in SOME if config not in own]), (WITH_CHARGEN, own)):
        command = [sys.executable, "-I", "-c", program, *map(name_of, configs)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("config", SOME, ids=name_of)
def test_logits_equal_where_the_file_is_loaded(config: NetworkConfig, loaded: Path) -> None:
    given = np.load(loaded / f"{name_of(config)}.given.npy")
    np.testing.assert_allclose(given, expected_logits(make_model(config).network, some_ids()), atol=1e-5)


@pytest.mark.parametrize("config", SOME, ids=name_of)
def test_an_exported_file_is_read_again(config: NetworkConfig, loaded: Path) -> None:
    expected, read = make_model(config), load_model(loaded / f"{name_of(config)}.keras")
    assert read.network.config == config
    assert (read.vocabulary, read.primer, read.context_length) == (
        expected.vocabulary,
        expected.primer,
        expected.context_length,
    )
    for name, weight in expected.network.weights.items():
        np.testing.assert_array_equal(read.network.weights[name], weight)


def test_a_dense_cell_is_a_graph_of_shared_dense_layers(loaded: Path) -> None:
    config = next(config for config in SOME if config.cell == "dense")
    with zipfile.ZipFile(loaded / f"{name_of(config)}.keras") as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    calls = {layer["name"]: len(layer["inbound_nodes"]) for layer in layers if layer["class_name"] == "Dense"}
    assert calls["recurrent_0_input_to_hidden"] == 1
    assert calls["recurrent_0_hidden_to_hidden"] == T - 1


def test_the_tokens_come_along(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(stock_file(make_model(FORMS[0])))
    with zipfile.ZipFile(path) as archive:
        described = json.loads(archive.read("chargen.json"))
    assert described["vocabulary"] == {"kind": "character", "characters": "abcde\n", "labels": []}


def test_the_command_writes_one(invoke: Callable[..., Result], in_folder: Path) -> None:
    save_model(in_folder / "model.safetensors", make_model(FORMS[0]))
    result = invoke("export", "model.safetensors", "--format", "keras", "--output", "model.keras")
    assert (result.exit_code, result.stdout) == (0, "")
    assert zipfile.is_zipfile(in_folder / "model.keras")
    for command in (("sample", "--length", 5), ("next", "a"), ("play", "--count", 1, "--length", 3)):
        assert invoke(*command, "--run", "model.keras", "-q", input="").exit_code == 0
    refused = invoke("export", "model.safetensors", "--output", "half.keras", "--precision", "float16")
    assert refused.exit_code == 2
    assert "--precision float16 is for" in refused.stderr
