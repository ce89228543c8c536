import math
from collections.abc import Callable

import numpy as np
import pytest

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.errors import ConfigError, UnknownTokenError
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig
from chargen.writing.classification import log_likelihoods, log_posterior, make_prior
from chargen.writing.classifier import TextClassifier, label_probabilities

TwoDice = Callable[..., TextModel]
HasAnA = Callable[..., TextClassifier]

CELLS = [("simplernn", True), ("lstm", True), ("mlstm", True), ("gru", True), ("gru", False)]
TEXTS = ["b", "abba", "ab", "aaaaaaa", "ba", "abb"]


def encoded(model: TextModel | TextClassifier, *texts: str) -> list[np.ndarray]:
    return [model.vocabulary.encode(text) for text in texts]


def test_likelihoods_by_hand(two_dice: TwoDice) -> None:
    model = two_dice()
    expected = [[0.5 * 0.3 * 0.2, 0.3 * 0.6 * 0.1], [0.3 * 0.2, 0.6 * 0.1], [0.5**3 * 0.2, 0.3**3 * 0.1]]
    np.testing.assert_allclose(np.exp(log_likelihoods(model, encoded(model, "ab", "b", "aaa"))), expected, rtol=1e-6)


def test_without_ends_the_end_counts_nothing(two_dice: TwoDice) -> None:
    model = two_dice(ends=False)
    expected = [[0.5, 0.3], [0.5 * 0.3, 0.3 * 0.6]]
    np.testing.assert_allclose(np.exp(log_likelihoods(model, encoded(model, "a", "ab"))), expected, rtol=1e-6)


def test_the_whole_primer_is_read(two_dice: TwoDice) -> None:
    one, many = two_dice(), two_dice(primer=4)
    documents = encoded(one, *TEXTS)
    np.testing.assert_allclose(log_likelihoods(one, documents), log_likelihoods(many, documents), rtol=1e-6)


def test_bayes_rule_by_hand(two_dice: TwoDice) -> None:
    """p(ab | x) = 0.03, p(ab | y) = 0.018; p(bb | x) = 0.018, p(bb | y) = 0.036."""
    ab, bb = label_probabilities(two_dice(), ["ab", "bb"])
    assert list(ab.items()) == [("x", pytest.approx(30 / 48)), ("y", pytest.approx(18 / 48))]
    assert list(bb.items()) == [("y", pytest.approx(2 / 3)), ("x", pytest.approx(1 / 3))]
    (ab,) = label_probabilities(two_dice(), ["ab"], prior={"x": 0.25})
    assert list(ab.items()) == [("y", pytest.approx(0.0135 / 0.021)), ("x", pytest.approx(0.0075 / 0.021))]


def test_a_text_too_improbable_for_floating_point(two_dice: TwoDice) -> None:
    (ranked,) = label_probabilities(two_dice(), ["ab" * 2000])
    assert ranked == {"y": 1.0, "x": pytest.approx(0.0, abs=1e-12)}
    assert log_posterior(np.array([[-9e5, -9e5 - math.log(3)]]), np.zeros(2)) == pytest.approx(np.log([[0.75, 0.25]]))


@pytest.mark.parametrize(("cell", "reset_after"), CELLS)
def test_a_batch_equals_one_by_one(cell: str, reset_after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = CharacterVocabulary("ab", ["x", "y", "z"])
    config = NetworkConfig(cell=cell, reset_after=reset_after, hidden_size=5, embedding_size=4, num_layers=2)
    rng = np.random.default_rng(3)
    weights = {
        name: rng.normal(0, 0.7, shape).astype(np.float32) for name, shape in weight_shapes(config, len(vocabulary)).items()
    }
    network = Network(config, len(vocabulary), weights)
    model = TextModel(network=network, vocabulary=vocabulary, reading="line", context_length=4, primer=(0, 0), ends=True)
    documents = encoded(model, *TEXTS)
    expected = np.array([slow_likelihoods(model, document) for document in documents])
    np.testing.assert_allclose(log_likelihoods(model, documents), expected, atol=1e-5)
    monkeypatch.setattr("chargen.writing.reading.ROWS_AT_ONCE", 2)
    np.testing.assert_allclose(log_likelihoods(model, documents), expected, atol=1e-5)


def slow_likelihoods(model: TextModel, document: np.ndarray) -> list[float]:
    """Read one text once for each label, in one go."""
    found = []
    for label in model.vocabulary.labels:
        primer = model.with_label(label).primer
        ids = np.array([*primer, *document])
        logs = log_softmax(model.network.logits(ids[None], model.network.zero_state(1))[0][0])
        targets = [*document.tolist(), 0]
        found.append(sum(logs[len(primer) - 1 + place, target] for place, target in enumerate(targets)))
    return found


def test_no_text_at_all(two_dice: TwoDice, has_an_a: HasAnA) -> None:
    assert label_probabilities(two_dice(), []) == label_probabilities(has_an_a(), []) == []


def test_a_text_of_which_nothing_is_known(two_dice: TwoDice, has_an_a: HasAnA) -> None:
    for model in (two_dice(), has_an_a()):
        with pytest.raises(UnknownTokenError, match=r"never seen 'c' \(U\+0063\)"):
            label_probabilities(model, ["ac"])
        with pytest.raises(UnknownTokenError, match="knows no token of 'cc'"):
            label_probabilities(model, ["a", "cc"], on_unknown="skip")
        assert label_probabilities(model, ["Ac"], on_unknown="nearest") == label_probabilities(model, ["ab"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [1 / 3, 1 / 3, 1 / 3]),
        ({"b": 0.5}, [0.25, 0.5, 0.25]),
        ({"c": 0.2, "a": 0.1}, [0.1, 0.7, 0.2]),
        ({"a": 0.1, "b": 0.2, "c": 0.7}, [0.1, 0.2, 0.7]),
    ],
)
def test_what_a_prior_leaves_open_is_shared(given: dict[str, float], expected: list[float]) -> None:
    np.testing.assert_allclose(np.exp(make_prior(["a", "b", "c"], given)), expected)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"d": 0.5}, "no label 'd'"),
        ({"a": 0.0}, "a is 0, expected a probability"),
        ({"a": 1.0}, "a is 1, expected"),
        ({"a": float("nan")}, "a is nan"),
        ({"a": 0.6, "b": 0.4}, "adds up to 1, expected less than 1"),
        ({"a": 0.6, "b": 0.3, "c": 0.2}, "adds up to 1.1, expected 1"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(given: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_prior(["a", "b", "c"], given)


def test_a_classifier_by_hand(has_an_a: HasAnA) -> None:
    """Only the last three characters are seen; a short text has the boundary token before it."""
    texts = ["a", "bab", "b", "bbb", "abbb", "bbba"]
    yes = [one["yes"] for one in label_probabilities(has_an_a(), texts)]
    with_a, without = 1 / (1 + math.exp(-2)), 1 / (1 + math.e)
    np.testing.assert_allclose(yes, [with_a, with_a, without, without, without, with_a], rtol=1e-6)


def test_a_classifier_of_three_labels_by_hand(has_an_a: HasAnA) -> None:
    with_a, without = label_probabilities(has_an_a(("r", "s", "t")), ["a", "b"])
    whole = 1 + math.e + math.e**2
    assert list(with_a) == ["t", "s", "r"]
    assert with_a == pytest.approx({"r": 1 / whole, "s": math.e / whole, "t": math.e**2 / whole})
    assert list(without) == ["r", "t", "s"]


def test_a_classifier_takes_no_prior(has_an_a: HasAnA) -> None:
    with pytest.raises(ConfigError, match="--prior is for runs that write text"):
        label_probabilities(has_an_a(), ["a"], prior={"yes": 0.1})


def test_many_texts_are_read_in_several_batches(has_an_a: HasAnA, monkeypatch: pytest.MonkeyPatch) -> None:
    model, documents = has_an_a(), encoded(has_an_a(), *TEXTS)
    whole = model.log_probabilities(documents)
    monkeypatch.setattr("chargen.writing.classifier.BATCH_ROWS", 4)
    np.testing.assert_allclose(model.log_probabilities(documents), whole, atol=1e-7)
