"""A network whose numbers grow without bound, or whose carried state drifts, is told of in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.network.model_file import TextModel, save_model
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig
from tests.cli.results import assert_one_line

Invoke = Callable[..., Result]


@pytest.fixture
def save(in_folder: Path) -> Callable[..., None]:
    """Save a ReLU network that counts the tokens, each time multiplied by `growth`; the more it has counted the surer it is."""

    def make(growth: float, weight: float = 1.0) -> None:
        vocabulary = CharacterVocabulary("ab")
        config = NetworkConfig(cell="simplernn", activation="relu", hidden_size=1, embedding_size=0)
        weights = {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(config, len(vocabulary)).items()}
        weights["recurrent.0.bias"][:] = 1
        weights["recurrent.0.recurrent_kernel"][:] = growth
        weights["output.kernel"][0, 1] = weight
        network = Network(config, len(vocabulary), weights)
        model = TextModel(
            network=network, vocabulary=vocabulary, reading="document", context_length=4, primer=(1, 2, 1, 2), ends=False
        )
        (in_folder / "runs" / "counts").mkdir(parents=True)
        save_model(in_folder / "runs" / "counts" / "model.safetensors", model)
        (in_folder / "text.txt").write_text("abbaabab" * 100, encoding="utf-8")

    return make


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "--length", "300"],
        ["sample", "--seed", "ab" * 200],
        ["sample", "--beam", "2", "--length", "300"],
        ["next", "ab" * 200, "--json"],
        ["surprise", "text.txt", "--json"],
        ["evaluate", "text.txt", "--json"],
        ["units", "text.txt"],
    ],
    ids=" ".join,
)
def test_numbers_that_grow_without_bound_are_one_line(arguments: list[str], save: Callable[..., None], invoke: Invoke) -> None:
    save(growth=2)
    result = invoke(*arguments)
    assert result.exit_code == 1
    told = [line for line in result.stderr.splitlines() if "grown beyond 1e+10" in line]
    assert len(told) == 1
    assert "Traceback" not in result.stderr
    assert "Warning" not in result.stderr
    assert "NaN" not in result.stdout
    assert "Infinity" not in result.stdout


def test_what_grows_slowly_is_measured_and_has_no_perplexity(save: Callable[..., None], invoke: Invoke) -> None:
    save(growth=1.0, weight=100.0)
    result = invoke("evaluate", "text.txt", "--json", "-q")
    (stream, _) = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(name))["results"]
    assert stream["perplexity"] is None
    assert stream["bits_per_character"] > 1000
    table = invoke("evaluate", "text.txt", "-q").stdout
    assert "inf" in table.splitlines()[1]
    assert max(map(len, table.splitlines())) < 60


def test_a_stream_that_costs_more_than_blocks_is_told(save: Callable[..., None], invoke: Invoke) -> None:
    save(growth=1.0, weight=0.01)
    told = "the carried state of this network drifts: the stream costs"
    assert told in invoke("evaluate", "text.txt").stderr
    assert told not in invoke("evaluate", "text.txt", "--no-carry").stderr
    assert told not in invoke("evaluate", "text.txt", "-q").stderr
    (bits, *_) = json.loads(invoke("evaluate", "text.txt", "--no-carry", "--json", "-q").stdout)["results"]
    assert bits["name"] == "windows of 4"


def test_one_line_in_quiet(save: Callable[..., None], invoke: Invoke) -> None:
    save(growth=2)
    assert_one_line(invoke("evaluate", "text.txt", "-q"), "grown beyond 1e+10", "--learning-rate", code=1)
