"""`chargen.keras` does on JAX and PyTorch what it does on TensorFlow. Keras has one backend a process."""

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from tests.keras.first_fit import KINDS
from tests.training.test_backends import ONE_THREAD, OTHERS, REPOSITORY

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Arrays]:
    """Return what `tests.keras.first_fit` wrote of a backend and a form; each backend is run once."""
    folder, done = tmp_path_factory.mktemp("fits"), set()

    def read(backend: str, form: str) -> Arrays:
        if backend not in done:
            command = [sys.executable, "-m", "tests.keras.first_fit", backend, str(folder)]
            subprocess.run(command, cwd=REPOSITORY, env=os.environ | ONE_THREAD, check=True, capture_output=True)
            done.add(backend)
        with np.load(folder / f"{backend}-{form}.npz") as arrays:
            return dict(arrays)

    return read


@pytest.mark.parametrize("form", [*KINDS, "build", "other"])
@pytest.mark.parametrize("backend", OTHERS)
def test_a_fit_is_that_of_tensorflow(fits: Callable[[str, str], Arrays], backend: str, form: str) -> None:
    given, expected = fits(backend, form), fits("tensorflow", form)
    assert given.keys() == expected.keys()
    for name in given:
        if name == "texts":
            assert given[name].tolist() == expected[name].tolist()
        else:
            np.testing.assert_allclose(given[name], expected[name], atol=2e-3, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", OTHERS)
def test_layers_and_files_keep_what_they_compute(fits: Callable[[str, str], Arrays], backend: str, kind: str) -> None:
    given = fits(backend, kind)
    np.testing.assert_allclose(given["losses"], given["stock"], atol=1e-3)
    for name in ("loaded", "from file"):
        np.testing.assert_allclose(given[name], given["outputs"], atol=1e-5, err_msg=name)
