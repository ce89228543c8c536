"""Pre-trained word vectors start the embedding of a network of words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from chargen.network.model_file import load_model
from tests.cli.results import assert_one_line

Invoke = Callable[..., Result]

TEXT = "The cat sat on the mat.\nThe dog sat on the log.\n" * 30
OPTIONS = ("--tokens", "word", "--embedding", 3, "--hidden-size", 4, "--epochs", 1, "--sample-every", 0, "--backend", "numpy")


@pytest.fixture
def text(in_folder: Path) -> str:
    Path("t.txt").write_text(TEXT, encoding="utf-8")
    return "t.txt"


@pytest.mark.parametrize("head", ["", "4 3\n"])
def test_words_start_from_their_vectors(head: str, text: str, invoke: Invoke) -> None:
    Path("v.txt").write_text(f"{head}cat 1 2 3\nthe -1 0.5 2e0\nsat 4 5 6\nfish 7 8 9\n", encoding="utf-8")
    slow = ("--learning-rate", "0.0000001", "--optimizer", "sgd", "--config", "plain")
    result = invoke("train", text, *OPTIONS, *slow, "--embeddings", "v.txt")
    assert result.exit_code == 0, result.stderr
    assert "embedding: 4 of 11 words start from v.txt (--embeddings)" in result.stderr
    model = load_model(Path(result.stdout.strip(), "model.safetensors"))
    rows = {word: model.network.embedding[token] for token, word in enumerate(model.vocabulary.texts)}
    for word, vector in {" cat": [1, 2, 3], " the": [-1, 0.5, 2], "The": [-1, 0.5, 2], " sat": [4, 5, 6]}.items():
        np.testing.assert_allclose(rows[word], vector, atol=1e-4)
    assert np.abs(rows[" dog"]).max() < 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("cat 1 2\n", "v.txt has vectors of 2 numbers at line 1, but network.embedding_size is 3; give --embedding 2"),
        ("cat 1 2 3\nsat 1 2 x\n", "v.txt is damaged at line 2"),
        ("cat 1 2 3\n\n", "v.txt has vectors of 0 numbers at line 2"),
        ("fish 1 2 3\n", "v.txt has a vector for none of the 11 words"),
        (None, "cannot read the embeddings v.txt: No such file or directory"),
    ],
)
def test_bad_vectors_are_refused_before_training(content: str | None, told: str, text: str, invoke: Invoke) -> None:
    if content is not None:
        Path("v.txt").write_text(content, encoding="utf-8")
    assert_one_line(invoke("train", text, *OPTIONS, "--embeddings", "v.txt"), told)
    assert not Path("runs").exists()


def test_characters_have_no_word_vectors(text: str, invoke: Invoke) -> None:
    Path("v.txt").write_text("cat 1 2 3\n", encoding="utf-8")
    result = invoke("train", text, *OPTIONS[2:], "--embeddings", "v.txt")
    assert_one_line(result, "training.embeddings needs word tokens; add --tokens word")
