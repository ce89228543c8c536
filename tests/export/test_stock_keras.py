"""A `.keras` file loads where chargen is not installed, and computes what the NumPy network does."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from chargen.network.model_file import save_model
from chargen.settings.schema import NetworkConfig
from chargen.training.devices.backend import load_backend
from tests.export.forms import FORMS, NUM_MORE, expected_logits, make_model, name_of, some_ids

load_backend()

from chargen.training.stock_keras import stock_file  # noqa: E402

SOME = [*FORMS[:-NUM_MORE:3], *FORMS[-NUM_MORE:]]
LOADER = """
import sys
sys.modules["chargen"] = None
import numpy as np
import keras
ids = np.load("ids.npy")
for name in sys.argv[1:]:
    model = keras.saving.load_model(f"{name}.keras")
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    np.save(f"{name}.given.npy", np.asarray(model(ids)))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what Keras by itself makes of some forms: one process, since TensorFlow is slow to start."""
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "ids.npy", some_ids())
    for config in SOME:
        (folder / f"{name_of(config)}.keras").write_bytes(stock_file(make_model(config)))
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOADER, *map(name_of, SOME)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("config", SOME, ids=name_of)
def test_logits_equal_without_chargen(config: NetworkConfig, loaded: Path) -> None:
    given = np.load(loaded / f"{name_of(config)}.given.npy")
    np.testing.assert_allclose(given, expected_logits(make_model(config).network, some_ids()), atol=1e-5)


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
    refused = invoke("export", "model.safetensors", "--output", "half.keras", "--precision", "float16")
    assert refused.exit_code == 2
    assert "--precision float16 is for" in refused.stderr
