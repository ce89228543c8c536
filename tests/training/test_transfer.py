"""Training goes on from another run's weights, matched by what a token stands for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.errors import ConfigError
from chargen.network.model_file import TextModel, load_model
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import KEYWORDS, NetworkConfig
from chargen.training.planning.transfer import Start, check_fits, describe_transfer, transferred
from chargen.training.start import plan_training

Train = Callable[..., Any]
E, H = 4, 5


def weights_of(config: NetworkConfig, vocabulary: Vocabulary, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = weight_shapes(config, len(vocabulary))
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def start_of(config: NetworkConfig, vocabulary: Vocabulary) -> Start:
    network = Network(config, len(vocabulary), weights_of(config, vocabulary, seed=1))
    model = TextModel(network=network, vocabulary=vocabulary, reading="line", context_length=3, primer=(0,), ends=True)
    return Start("before", model)


@pytest.mark.parametrize("embedding_size", [0, E])
def test_rows_follow_their_characters_and_labels(embedding_size: int) -> None:
    config = NetworkConfig(hidden_size=H, embedding_size=embedding_size)
    start = start_of(config, CharacterVocabulary("bdé", labels=("x", "y")))  # ids: b 1, d 2, é 3, x 4, y 5
    vocabulary = CharacterVocabulary("abcdé", labels=("w", "y"))  # ids: a 1, b 2, c 3, d 4, é 5, w 6, y 7
    fresh = weights_of(config, vocabulary, seed=2)
    merged = transferred(fresh, start, vocabulary)
    ours, theirs, new = [0, 2, 4, 5, 7], [0, 1, 2, 3, 5], [1, 3, 6]
    before = start.model.network.weights
    rows = "embedding" if embedding_size else "recurrent.0.kernel"
    np.testing.assert_array_equal(merged[rows][ours], before[rows][theirs])
    np.testing.assert_array_equal(merged[rows][new], fresh[rows][new])
    np.testing.assert_array_equal(merged["output.kernel"][:, ours], before["output.kernel"][:, theirs])
    np.testing.assert_array_equal(merged["output.kernel"][:, new], fresh["output.kernel"][:, new])
    np.testing.assert_array_equal(merged["output.bias"][ours], before["output.bias"][theirs])
    np.testing.assert_array_equal(merged["recurrent.0.recurrent_kernel"], before["recurrent.0.recurrent_kernel"])
    assert describe_transfer(start, vocabulary) == (
        "starting from the weights of before: 5 of 8 tokens known, 3 new with random weights: 'a', 'c', '(label w)'"
    )


def test_an_unchanged_vocabulary_takes_everything() -> None:
    config, vocabulary = NetworkConfig(hidden_size=H, embedding_size=E, num_layers=2), ByteVocabulary()
    start = start_of(config, vocabulary)
    merged = transferred(weights_of(config, vocabulary, seed=2), start, vocabulary)
    for name, weight in merged.items():
        np.testing.assert_array_equal(weight, start.model.network.weights[name])
    assert describe_transfer(start, vocabulary).endswith("257 of 257 tokens known, none is new")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hidden_size": 6}, "hidden_size 5 (asked for 6)"),
        ({"cell": "gru"}, "cell lstm (asked for gru)"),
        ({"num_layers": 2}, "num_layers 1 (asked for 2)"),
        ({"embedding_size": 0}, "embedding_size 4 (asked for 0)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: dict[str, Any], told: str) -> None:
    start = start_of(NetworkConfig(hidden_size=H, embedding_size=E), ByteVocabulary())
    with pytest.raises(ConfigError) as refused:
        check_fits(start, NetworkConfig(**{"hidden_size": H, "embedding_size": E} | change))
    assert told in refused.value.message
    check_fits(start, NetworkConfig(hidden_size=H, embedding_size=E, dropout=0.3))


def test_words_and_pieces_are_added_to_those_known() -> None:
    words = WordVocabulary([" on", "the"], num_characters=5)
    longer = words.extended(["the cat on the mat on"], ["x"], max_size=6)
    assert list(longer) == ["\ufffd", " on", "the", " cat", " mat"]
    assert list(words.extended(["the cat"], [], max_size=2)) == ["\ufffd", " on", "the"]
    pieces = BpeVocabulary("eht", [("t", "h"), ("th", "e")])
    more = pieces.extended(["that"], [])
    assert list(more) == ["a", "e", "h", "t", "th", "the"]
    assert more.decode(more.encode("theta")) == "theta"


@pytest.mark.parametrize("backend", ["tensorflow", "numpy"])
def test_fine_tuning_begins_where_the_run_ended(train: Train, names: Path, prose: Path, backend: str) -> None:
    first = train(
        names,
        "--backend",
        "numpy",
        "--epochs",
        5,
        "--batch-size",
        4,
        "--learning-rate",
        0.02,
        "--cell",
        "gru",
        "--hidden-size",
        9,
    )
    options = ("--epochs", 1, "--learning-rate", 1e-20, "--optimizer", "sgd", "--backend", backend)
    again = train(names, *options, "--from", first.run.path, "--hidden-size", 9)
    assert again.validation[0] == pytest.approx(first.validation[-1], abs=0.01)
    assert "starting from the weights of" in again.stderr
    other = train(prose, *options, "--from", first.run.name, "--hidden-size", 9, "--context-length", 9)
    model, before = load_model(other.run.model), load_model(first.run.model)
    assert model.network.config.cell == "gru"
    assert set(model.vocabulary) == set(before.vocabulary) | set(prose.read_text(encoding="utf-8"))
    np.testing.assert_allclose(
        model.network.weights["recurrent.0.kernel"], before.network.weights["recurrent.0.kernel"], atol=1e-6
    )


def test_a_wrong_start_is_one_line(invoke_train: Callable[..., Result], train: Train, names: Path) -> None:
    run = train(names, "--epochs", 1, "--backend", "numpy").run
    for options, told in [
        (("--from", "missing"), "no such run: missing"),
        (("--from", run.path, "--cell", "gru"), "do not fit the settings: they have cell lstm (asked for gru)"),
        (("--from", run.path, "--tokens", "byte"), "corpus.tokens is byte, but the weights are for character tokens"),
    ]:
        result = invoke_train(names, *options)
        assert result.exit_code == 2
        assert told in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_training_within_a_budget_goes_on_from_a_run_too(train: Train, names: Path, prose: Path) -> None:
    before = train(names, "--epochs", 1).run
    layers = [(KEYWORDS, {"corpus": {"files": [str(prose)]}, "training": {"start_from": str(before.path)}})]
    plan = plan_training(layers, runs_dir=before.path.parent, preset="fast", verbosity=0).plan
    assert plan.start is not None
    assert plan.settings.network.hidden_size == 7
    assert plan.reasons


@pytest.mark.parametrize("recorded", [True, False])
def test_what_the_weights_have_learnt_is_not_held_out(train: Train, prose: Path, recorded: bool) -> None:
    """A run made before spans were held out has learnt them: what goes on from it holds out what that run held out."""
    run = train(prose, "--validation", "tail", "--backend", "numpy", "--epochs", 1).run
    if not recorded:
        config = run.config.read_text(encoding="utf-8")
        run.config.write_text(config.replace('validation = "tail"\n', ""), encoding="utf-8")
    layers = [(KEYWORDS, {"corpus": {"files": [str(prose)]}, "training": {"start_from": str(run.path)}})]
    plan = plan_training(layers, runs_dir=run.path.parent, verbosity=0).plan
    assert plan.settings.corpus.validation == "tail"
    layers[0][1]["corpus"]["validation"] = "spread"
    assert plan_training(layers, runs_dir=run.path.parent, verbosity=0).plan.settings.corpus.validation == "spread"
