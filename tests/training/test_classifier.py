"""Training a classifier: the network against Keras's own layers, and whole trainings of a small table."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Document, Documents
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.network.model_file import num_class_outputs
from chargen.runs.directory import RunDirectory
from chargen.settings.layers import resolve
from chargen.settings.schema import NetworkConfig
from chargen.training.classifying.plan import make_classifier_plan
from chargen.training.devices.backend import load_backend
from chargen.training.forecast import SECONDS_TO_END
from chargen.writing.classifier import TextClassifier, label_probabilities, load_classifier

load_backend()

import keras  # noqa: E402

from chargen.training.classifying.model import build_classifier  # noqa: E402
from chargen.training.engines.losses import FIGURES_OF_LABELS  # noqa: E402
from chargen.training.export import export_network, find_variable  # noqa: E402

N, T, E, H, V = 2, 3, 4, 5, 7  # all different, so that swapped axes cannot pass
TOLERANCE = 1e-5
CELLS = [("simplernn", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False), ("dense", True)]
FORMS = [
    NetworkConfig(cell=cell, reset_after=reset_after, num_layers=depth, hidden_size=H, embedding_size=size, targets="last")
    for (cell, reset_after), depth, size in product(CELLS, (1, 2), (0, E))
]
FORMS += [NetworkConfig(hidden_size=H, embedding_size=E, targets="last", dropout=0.2, recurrent_dropout=0.2, dense_size=6)]


def name_of(config: NetworkConfig) -> str:
    return f"{config.cell}-{config.reset_after}-{config.num_layers}-{config.embedding_size}-{config.dense_size}"


def random_pair(config: NetworkConfig, labels: tuple[str, ...]) -> tuple[keras.Model, TextClassifier]:
    """A Keras classifier of random weights, and what is exported of it."""
    model = build_classifier(config, vocab_size=V, context_length=T, num_labels=len(labels))
    rng = np.random.default_rng(7)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    network = export_network(model, config, V, num_outputs=num_class_outputs(len(labels)))
    vocabulary = CharacterVocabulary("abcdef")
    return model, TextClassifier(network=network, vocabulary=vocabulary, labels=labels, context_length=T)


@pytest.mark.parametrize("labels", [("x", "y"), ("x", "y", "z")], ids=len)
@pytest.mark.parametrize("config", FORMS, ids=name_of)
def test_probabilities_equal(config: NetworkConfig, labels: tuple[str, ...]) -> None:
    model, exported = random_pair(config, labels)
    ids = np.random.default_rng(1).integers(1, V, (N, T))
    logits = np.asarray(keras.ops.convert_to_numpy(model(ids)))
    logs = exported.log_probabilities(list(ids))
    assert logs.shape == (N, len(labels))
    np.testing.assert_allclose(logs - logs[:, :1], logits - logits[:, :1], atol=TOLERANCE)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)


@pytest.mark.parametrize(("units", "activation"), [(1, "sigmoid"), (3, "softmax")])
def test_it_is_the_network_of_the_review_demo(units: int, activation: str) -> None:
    """Embedding, LSTM and a Dense layer of Keras's own, with the same weights and its own losses."""
    config = NetworkConfig(hidden_size=H, embedding_size=E, targets="last")
    labels = ("x", "y", "z")[: max(2, units)]
    model, exported = random_pair(config, labels)
    embedding, lstm = keras.layers.Embedding(V, E), keras.layers.LSTM(H)
    demo = keras.Sequential([keras.Input((T,)), embedding, lstm, keras.layers.Dense(units, activation=activation)])
    demo.set_weights([exported.network.weights[find] for find in exported.network.weights])
    ids, targets = np.random.default_rng(1).integers(1, V, (N, T)), np.array([0, 1])
    expected = np.asarray(demo(ids))
    probabilities = np.exp(exported.log_probabilities(list(ids)))
    np.testing.assert_allclose(probabilities[:, 1:] if units == 1 else probabilities, expected, atol=TOLERANCE)
    weights = np.ones(N, np.float32)
    summed, right = (float(figure(model(ids), targets, weights)) for figure in FIGURES_OF_LABELS.values())
    loss = keras.losses.BinaryCrossentropy() if units == 1 else keras.losses.SparseCategoricalCrossentropy()
    truth = targets[:, None] if units == 1 else targets
    assert summed / N == pytest.approx(float(loss(truth, expected)), abs=TOLERANCE)
    assert right == (probabilities.argmax(axis=1) == targets).sum()


def test_weights_have_the_names_of_the_generators() -> None:
    model, exported = random_pair(FORMS[0], ("x", "y"))
    for name, weight in exported.network.weights.items():
        np.testing.assert_array_equal(np.asarray(find_variable(model, name)), weight)
    assert exported.network.weights["output.kernel"].shape == (H, 1)


def corpus(*texts: str) -> Corpus:
    documents = [Document(text, label) for text in texts for label in ("x", "y") for _ in range(5)]
    return Corpus("text", Documents.of(documents), "row", "0" * 64)


def settings(**sections: dict[str, Any]) -> Any:
    return resolve(("test", {"training": {"task": "classify"}} | sections)).settings


@pytest.mark.parametrize(
    ("text", "tokens", "expected"), [("abc", "char", 3), ("abc " * 99, "char", 200), ("abc " * 99, "word", 80)]
)
def test_the_row_length_is_chosen_from_the_texts(text: str, tokens: str, expected: int) -> None:
    plan = make_classifier_plan(settings(corpus={"tokens": tokens}), corpus(text))
    assert plan.context_length == plan.settings.training.context_length == expected
    assert (len(plan.documents), len(plan.held_out), plan.training.batch_size) == (8, 2, 32)
    assert plan.settings.network.targets == "last"


def test_a_word_vocabulary_is_capped() -> None:
    plan = make_classifier_plan(settings(corpus={"tokens": "word", "vocab_size": 3}), corpus("a a b", "a c"))
    assert list(plan.vocabulary)[1:] == ["a"]  # after the unknown token; it begins every text
    assert plan.training.rows.max() == 2


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Reviews that a word tells apart."""
    rows = [
        f"the {noun} was {word},{label}"
        for noun in ("film", "plot", "cast", "end", "song")
        for label, words in (("pos", ("good", "fine", "great")), ("neg", ("bad", "poor", "dull")))
        for word in words
    ]
    path = tmp_path / "reviews.csv"
    path.write_text("review,sentiment\n" + "\n".join(rows * 2) + "\n", encoding="utf-8")
    return path


def metrics(run: RunDirectory) -> list[dict[str, str]]:
    with run.metrics.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


CLASSIFY = ("--task", "classify", "--batch-size", 4, "--learning-rate", 0.02)


@pytest.mark.parametrize("cell", ["simplernn", "lstm", "gru", "dense"])
def test_every_cell_learns_reviews(cell: str, train: Callable[..., Any], table: Path) -> None:
    trained = train(table, *CLASSIFY, "--tokens", "word", "--cell", cell, "--epochs", 8)
    model = load_classifier(trained.run.model)
    for text, label in (("the film was great", "pos"), ("the end was dull", "neg")):
        (ranked,) = label_probabilities(model, [text])
        assert next(iter(ranked)) == label
    best = min(metrics(trained.run), key=lambda row: float(row["validation_cross_entropy"]))
    assert model.provenance["epochs"] == int(best["epoch"])
    assert model.provenance["accuracy"] == float(best["validation_accuracy"])
    assert "accuracy on the 6 texts held out: network" in trained.stderr


def test_dropout_and_many_labels(train: Callable[..., Any], tmp_path: Path) -> None:
    for letter in "abc":
        (tmp_path / f"{letter}.txt").write_text(f"{letter}{letter}\n" * 30, encoding="utf-8")
    options = (*CLASSIFY, "--label-by", "file", "--dropout", 0.1, "--recurrent-dropout", 0.1, "--layers", 2, "--epochs", 6)
    run = train("a.txt", "b.txt", "c.txt", *options).run
    model = load_classifier(run.model)
    assert model.labels == ("a", "b", "c")
    assert [next(iter(one)) for one in label_probabilities(model, ["bb", "aa", "cc"])] == ["b", "a", "c"]


def test_the_figures_are_those_of_the_numpy_network(train: Callable[..., Any], table: Path) -> None:
    """Validation cross-entropy and accuracy of the last epoch, computed again on the rows held out."""
    from chargen.corpus.examples import load_examples
    from chargen.settings.layers import read_config

    run = train(table, *CLASSIFY, "--epochs", 3).run
    chosen = resolve(read_config(str(run.config))).settings
    plan = make_classifier_plan(chosen, load_examples(chosen.corpus))
    model = load_classifier(run.last_model)
    logs = model.log_probabilities([model.vocabulary.encode(str(one.text)) for one in plan.held_out])
    truth = [model.labels.index(str(one.label)) for one in plan.held_out]
    last = metrics(run)[-1]
    assert float(last["validation_cross_entropy"]) == pytest.approx(-logs[np.arange(6), truth].mean(), abs=1e-5)
    assert float(last["validation_accuracy"]) == pytest.approx((logs.argmax(axis=1) == truth).mean(), abs=1e-6)


def test_equal_seeds_give_equal_bytes_and_a_config_repeats_its_run(train: Callable[..., Any], table: Path) -> None:
    one = train(table, *CLASSIFY, "--epochs", 2, "--dropout", 0.2).run
    two, other = train("--config", one.config).run, train("--config", one.config, "--random-seed", 2).run
    for name in ("model.safetensors", "last.safetensors", "metrics.csv"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()
    assert one.model.read_bytes() != other.model.read_bytes()


def test_patience_ends_training_early(train: Callable[..., Any], table: Path) -> None:
    run = train(table, *CLASSIFY, "--epochs", 30, "--patience", 2, "--learning-rate", 50, "--clip-norm", 0).run
    assert len(metrics(run)) < 30


def test_the_summary_holds_the_baselines(invoke_train: Callable[..., Result], table: Path) -> None:
    result = invoke_train(table, *CLASSIFY, "--tokens", "word", "--epochs", 1, "--json", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    summary = json.loads(result.stdout)
    assert summary["baselines"] == {"majority": 0.5, "ngram": 1.0}
    assert 0 <= summary["accuracy"] <= 1
    assert Path(summary["model"]).is_file()


def test_without_validation_there_is_nothing_to_compare(invoke_train: Callable[..., Result], table: Path) -> None:
    result = invoke_train(table, *CLASSIFY, "--epochs", 1, "--validation-split", 0, "--json")
    assert "baselines" not in json.loads(result.stdout)
    assert "held out: network" not in result.stderr


def test_a_dry_run_tells_the_plan_and_leaves_nothing(invoke_train: Callable[..., Result], table: Path) -> None:
    result = invoke_train(table, *CLASSIFY, "--epochs", 3, "--dry-run", "--json")
    forecast = json.loads(result.stdout)
    assert (forecast["texts"], forecast["validation_texts"], forecast["labels"]) == (54, 6, "neg, pos")
    expected = forecast["seconds_to_start"] + 3 * forecast["seconds_per_epoch"] + SECONDS_TO_END
    assert forecast["seconds_at_most"] == pytest.approx(expected, abs=0.2)
    assert not Path("runs").exists()


def test_a_signal_ends_training_with_everything_saved(table: Path, small: tuple[str, ...], tmp_path: Path) -> None:
    options = ["--task", "classify", "--epochs", "100000", "--patience", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "chargen", "train", str(table), *small, *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted, everything is saved" in stderr
    run = RunDirectory(tmp_path / stdout.strip())
    assert load_classifier(run.model).provenance["epochs"] >= 1
    assert load_classifier(run.last_model).provenance["epochs"] == len(metrics(run))


def test_texts_that_training_never_sees_are_measured_at_the_end(
    train: Callable[..., Any],
    invoke: Callable[..., Result],
    invoke_train: Callable[..., Result],
    table: Path,
    tmp_path: Path,
) -> None:
    """Words of one label under both labels, so that half of the texts are wrong; unknown words and characters are no error."""
    rows = [f"the night was {word},{label}" for word in ("great", "good") for label in ("pos", "neg")]
    (tmp_path / "unseen.csv").write_text("review,sentiment\n" + "\n".join(rows) + "\n", encoding="utf-8")
    trained = train(table, *CLASSIFY, "--tokens", "word", "--epochs", 8, "--test", "unseen.csv")
    assert "accuracy on the 4 texts of --test unseen: 0.500\nwrong labels: neg predicted as pos 2\n" in trained.stderr
    found = load_classifier(trained.run.model).provenance["test"]
    assert (found["accuracy"], found["labels"], found["confusion"]) == (0.5, ["neg", "pos"], [[0, 2], [0, 2]])
    assert "50.0% right, --test" in invoke("runs", "--runs-dir", trained.run.path.parent).stdout
    result = invoke_train(table, *CLASSIFY, "--epochs", 1, "--test", table, "--json")
    assert json.loads(result.stdout)["test"]["labelled"] == 60
    assert "60 of the 60 texts of --test reviews are also texts to train on" in result.stderr


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (
            "review,sentiment\nfine,great\n",
            CLASSIFY,
            "unseen has the label 'great', which the model does not know; labels: neg, pos",
        ),
        ("review,sentiment\n", CLASSIFY, "unseen"),
        (None, CLASSIFY, "no such file: unseen.csv"),
        ("review,sentiment\nfine,pos\n", (), "corpus.test_files is for predicting labels, but training.task = generate"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    content: str | None, options: tuple[Any, ...], told: str, invoke_train: Callable[..., Result], table: Path, tmp_path: Path
) -> None:
    if content:
        (tmp_path / "unseen.csv").write_text(content, encoding="utf-8")
    result = invoke_train(table, *options, "--test", "unseen.csv")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert told in line
    assert not Path("runs").exists()


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c")])
@pytest.mark.parametrize("cell", ["lstm", "dense"])
def test_the_keras_file_of_a_classifier_computes_its_logits(cell: str, labels: tuple[str, ...], tmp_path: Path) -> None:
    from chargen.training.stock_keras import classifier_file

    config = NetworkConfig(cell=cell, hidden_size=H, embedding_size=E, targets="last")
    _, model = random_pair(config, labels)
    (tmp_path / "model.keras").write_bytes(classifier_file(model))
    logits = np.asarray(keras.saving.load_model(tmp_path / "model.keras")(np.array([[0, 3, 6], [1, 2, 5]])), np.float64)
    back = load_classifier(tmp_path / "model.keras")
    assert (back.labels, back.vocabulary, back.context_length) == (model.labels, model.vocabulary, model.context_length)
    for name, weight in model.network.weights.items():
        np.testing.assert_array_equal(back.network.weights[name], weight)
    assert logits.shape == (2, num_class_outputs(len(labels)))
    logits = np.hstack([np.zeros((2, 1)), logits]) if len(labels) == 2 else logits
    expected = model.log_probabilities([np.array([0, 3, 6]), np.array([1, 2, 5])])
    assert logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) == pytest.approx(expected, abs=TOLERANCE)
