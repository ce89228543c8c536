"""A model reads as it was trained: its state carried, or the window before each token from the zero state."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.errors import ConfigError, NetworkError
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.network.network import Network
from chargen.settings.schema import NetworkConfig
from chargen.writing.beam import beam_search
from chargen.writing.classification import log_likelihoods
from chargen.writing.ensemble import TURNS, Ensemble, join_models
from chargen.writing.generation import sample_texts
from chargen.writing.prediction import begin, guesses, next_probabilities
from chargen.writing.predictor import make_predictor
from chargen.writing.reading import expectations
from tests.writing.samplers import sampler_of

RandomModel = Callable[..., TextModel]

T = 3
TEXTS = ["abcabcH", "b", "bcHHcab"]


@pytest.fixture
def window_model(random_model: RandomModel) -> RandomModel:
    """Make an untrained model that reads windows of 3 tokens."""

    def make(*, labels: tuple[str, ...] = (), characters: str = "abcH", **options: Any) -> TextModel:
        model = random_model(labels=labels, characters=characters, **options)
        primer = (BOUNDARY,) * T if model.reading == "line" or labels else model.primer
        return replace(model, carried=False, primer=primer, context_length=T)

    return make


def window_logits(model: TextModel, before: Sequence[int], begins: int = BOUNDARY) -> np.ndarray:
    """Return the logits, (V,), after the last T ids, filled up in front, by the network's own steps from the zero state."""
    window = [*[begins] * T, *before][-T:]
    if begins != BOUNDARY:
        window[0] = begins
    return model.network.logits(np.array([window]), model.network.zero_state(1))[0][0, -1]


def expected_nats(model: TextModel, texts: Sequence[str], labels: Sequence[str | None]) -> list[float]:
    """Return the nats of each token of some texts, each a document, window by window."""
    found = []
    for text, label in zip(texts, labels, strict=True):
        begins = BOUNDARY if label is None else model.vocabulary.label_id(label)
        ids = [*model.vocabulary.encode(text).tolist(), BOUNDARY]
        for place, target in enumerate(ids):
            found.append(-log_softmax(window_logits(model, ids[:place], begins)[None])[0, target])
    return found


def read_nats(model: Any, documents: Sequence[Document], **options: Any) -> np.ndarray:
    stream = tokenize(documents, model.vocabulary)
    nats = np.full(stream.span, np.nan)
    for expected in expectations(model, stream, **options):
        assert np.isnan(nats[expected.places]).all()  # none comes twice
        nats[expected.places] = expected.nats
        np.testing.assert_array_equal(expected.targets, stream.as_targets(stream.ids[expected.places + 1].astype(int)))
    assert np.isnan(nats).sum() == sum(not document.ends for document in documents)
    return nats[~np.isnan(nats)]


def test_the_boundary_after_a_document_that_was_cut_off_is_read_and_not_predicted(
    window_model: RandomModel, random_model: RandomModel
) -> None:
    whole = [Document(text) for text in TEXTS]
    cut = [Document(text, ends=ends) for text, ends in zip(TEXTS, (False, True, False), strict=True)]
    ends = np.cumsum([len(text) + 1 for text in TEXTS]) - 1
    for model in (window_model(), random_model(), window_model(reading="line"), random_model(reading="line")):
        expected = np.delete(read_nats(model, whole), ends[[0, 2]])
        np.testing.assert_allclose(read_nats(model, cut), expected, rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, 7, 4096])
@pytest.mark.parametrize("reading", ["line", "document"])
@pytest.mark.parametrize("labels", [(None, None, None), ("y", "x", "y")])
def test_every_token_is_predicted_from_its_window(
    labels: tuple[str | None, ...], reading: str, at_once: int, window_model: RandomModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TOKENS_AT_ONCE", "LOGITS_AT_ONCE"):
        monkeypatch.setattr(f"chargen.writing.reading.{name}", at_once)
    monkeypatch.setattr("chargen.writing.reading.tokens_at_once", lambda _: at_once)
    model = window_model(reading=reading, labels=("x", "y") if labels[0] else ())
    documents = [Document(text, label) for text, label in zip(TEXTS, labels, strict=True)]
    np.testing.assert_allclose(read_nats(model, documents), expected_nats(model, TEXTS, labels), rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 256])
@pytest.mark.parametrize("at_once", [1, 5, 8192])
def test_long_lines_are_carried_from_piece_to_piece(
    at_once: int, rows: int, random_model: RandomModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargen.writing.reading.TOKENS_AT_ONCE", at_once)
    monkeypatch.setattr("chargen.writing.reading.ROWS_AT_ONCE", rows)
    model = random_model(reading="line")
    expected: list[float] = []
    for text in TEXTS:
        ids = [BOUNDARY, *model.vocabulary.encode(text).tolist(), BOUNDARY]
        logits, _ = model.network.logits(np.array([ids[:-1]]), model.network.zero_state(1))
        expected += (-log_softmax(logits[0])[np.arange(len(ids) - 1), ids[1:]]).tolist()
    np.testing.assert_allclose(read_nats(model, [Document(text) for text in TEXTS]), expected, rtol=1e-5)


def test_models_that_read_in_different_ways_are_averaged(window_model: RandomModel, random_model: RandomModel) -> None:
    pair = join_models([("a", window_model()), ("b", random_model(characters="Hcba", seed=1))])
    documents = [Document(text) for text in TEXTS]
    each = [read_nats(pair.members[0], documents), read_nats(random_model(characters="Hcba", seed=1), documents)]
    np.testing.assert_allclose(read_nats(pair, documents), -np.logaddexp(-each[0], -each[1]) + np.log(2), rtol=1e-6)
    with pytest.raises(ConfigError, match="take turns"):
        read_nats(Ensemble(members=pair.members, how=TURNS), documents)


@pytest.mark.parametrize("prompt", ["", "a", "abc", "abcabHb"])
@pytest.mark.parametrize("reading", ["line", "document"])
def test_texts_are_written_by_reading_their_windows(reading: str, prompt: str, window_model: RandomModel) -> None:
    model = window_model(reading=reading)
    text = sample_texts(
        model,
        model.vocabulary.encode(prompt),
        count=2,
        length=9,
        sampler=sampler_of(temperature=0),
        rng=np.random.default_rng(1),
    )[1]
    room = T - len(prompt)
    ids = [*(model.primer[-room:] if room > 0 else ()), *model.vocabulary.encode(prompt).tolist()]
    written: list[int] = []
    for _ in range(9):
        logits = window_logits(model, [*ids, *written])
        if reading == "document" or not (prompt or written):
            logits[BOUNDARY] = -np.inf
        written.append(int(logits.argmax()))
        if written[-1] == BOUNDARY:
            break
    assert text == model.vocabulary.decode(written)
    assert beam_search(model, model.vocabulary.encode(prompt), width=1, length=len(written))[0].text == text


def test_a_label_stays_in_front_of_the_window(window_model: RandomModel) -> None:
    model = window_model(reading="line", labels=("x", "y")).with_label("y")
    label = model.vocabulary.label_id("y")
    ids = model.vocabulary.encode("abcH")
    logits, predictor = begin(model, ids, 2)
    np.testing.assert_allclose(logits[0], window_logits(model, ids.tolist(), label), rtol=1e-5)
    after = predictor.step(np.array([1, 2]))
    np.testing.assert_allclose(after[1], window_logits(model, [*ids.tolist(), 2], label), rtol=1e-5)
    predictor.take(np.array([1, 1]))
    np.testing.assert_allclose(
        predictor.step(np.array([3, 3]))[0], window_logits(model, [*ids.tolist(), 2, 3], label), rtol=1e-5
    )


def test_a_predictor_goes_back_to_where_it_was(window_model: RandomModel) -> None:
    predictor = make_predictor(window_model(), 1)
    expected = predictor.read(np.array([[1, 2, 3, 1]])).copy()
    state = predictor.state
    predictor.step(np.array([2]))
    predictor.state = state
    other = predictor.step(np.array([3])).copy()
    predictor.state = state
    np.testing.assert_array_equal(predictor.step(np.array([3])), other)
    assert np.abs(expected - other).max() > 1e-3


@pytest.mark.parametrize("labels", [(), ("x", "y")])
def test_guesses_are_those_of_the_windows(labels: tuple[str, ...], window_model: RandomModel) -> None:
    model = window_model(labels=labels)
    model = model.with_label("x") if labels else model
    ids = model.vocabulary.encode("abcHb")
    found = guesses(model, ids)
    for place in range(3, 5):  # before, some primer is in the window, of a length that depends on the whole prompt
        probabilities = next_probabilities(model, ids[:place])
        assert found[place].probability == pytest.approx(probabilities[ids[place]], rel=1e-5)


def test_likelihoods_of_labels_are_those_of_the_windows(window_model: RandomModel) -> None:
    model = window_model(reading="line", labels=("x", "y"))
    found = log_likelihoods(model, [model.vocabulary.encode(text) for text in TEXTS])
    expected = [[-sum(expected_nats(model, [text], [label])) for label in ("x", "y")] for text in TEXTS]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def exploding(hidden: float) -> TextModel:
    """Return a ReLU network whose hidden state doubles with every token, from `hidden` on."""
    vocabulary = CharacterVocabulary("ab")
    config = NetworkConfig(cell="simplernn", activation="relu", hidden_size=1, embedding_size=0)
    weights = {
        "recurrent.0.kernel": np.full((3, 1), hidden, np.float32),
        "recurrent.0.recurrent_kernel": np.full((1, 1), 2, np.float32),
        "recurrent.0.bias": np.zeros(1, np.float32),
        "output.kernel": np.ones((1, 3), np.float32),
        "output.bias": np.zeros(3, np.float32),
    }
    network = Network(config, 3, weights)
    return TextModel(network=network, vocabulary=vocabulary, reading="document", context_length=4, primer=(1,), ends=False)


def test_numbers_that_grow_without_bound_are_an_error() -> None:
    model = exploding(1.0)
    ids = model.vocabulary.encode("a" * 100)
    for reads in (
        lambda: begin(model, ids, 1),
        lambda: guesses(model, ids),
        lambda: read_nats(model, [Document("a" * 100)]),
        lambda: sample_texts(model, ids[:1], count=1, length=100, sampler=sampler_of(), rng=np.random.default_rng(1)),
    ):
        with pytest.raises(NetworkError, match="grown beyond 1e"):
            reads()
    assert begin(model, ids[:20], 1)[0].max() < 1e8
