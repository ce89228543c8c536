"""The memory is the Kneser-Ney model of the baselines, in half precision, in NumPy and in C, for one row and for many."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.mixtures import POWERS, _nats
from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import TokenStream, tokenize
from chargen.insight.baseline import NgramModel
from chargen.insight.evaluation import EncodedText, Quality, evaluate_as_read, evaluate_blocks
from chargen.memory import ngrams
from chargen.memory.building import FEWEST, build_grams, choose_weight
from chargen.memory.ngrams import NgramMemory
from chargen.memory.pruning import prune
from chargen.native.library import kernels_or_none
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.writing.ensemble import AnyModel, join_models
from chargen.writing.prediction import begin, guesses, next_probabilities
from chargen.writing.predictor import make_predictor
from chargen.writing.reading import expectations
from chargen.writing.sampling import softmax

VOCABULARY = CharacterVocabulary("abc")
V = len(VOCABULARY)
EVERYTHING = (0,) * 40  # n-grams are kept however rare they are
MANY = st.lists(st.text("abc", max_size=9), min_size=1, max_size=6)


def stream_of(*texts: str, ends: bool = True) -> TokenStream:
    return tokenize([Document(text, ends=ends) for text in texts], VOCABULARY)


def memory_of(*texts: str, order: int = 4, fewest: tuple[int, ...] = EVERYTHING, weight: float = 0.25) -> NgramMemory:
    grams = build_grams([stream_of(*texts)], V, order=order, fewest=fewest)
    return NgramMemory(grams, vocab_size=V, first_label=V, weight=weight)


def after(memory: NgramMemory, text: str) -> np.ndarray:
    ids = np.concatenate([[0], VOCABULARY.encode(text)])[None]
    return memory.read(ids, memory.start(1))[0]


@settings(deadline=None)
@given(MANY, st.integers(1, 5), st.text("abc", max_size=9))
def test_unpruned_it_is_the_baseline(documents: list[str], order: int, context: str) -> None:
    memory = memory_of(*documents, order=order)
    model = NgramModel.fit(documents, order=order, vocabulary=VOCABULARY)
    (found,) = memory.probabilities(after(memory, context)[-1:])
    np.testing.assert_allclose(found, model.next_probabilities(context), atol=2e-3)
    assert found.sum() == pytest.approx(1, abs=1e-6)


@settings(deadline=None)
@given(MANY, st.text("abc", min_size=1, max_size=9), st.integers(1, 3))
def test_reading_a_text_and_steps_find_the_same_contexts(documents: list[str], text: str, fewest: int) -> None:
    memory = memory_of(*documents, fewest=(0, 0, *[fewest] * 20))
    contexts = after(memory, text)
    ids = VOCABULARY.encode(text)
    state = memory.start(1)
    for token, expected in zip([0, *ids], contexts, strict=True):
        memory.step(np.array([token]), state)
        np.testing.assert_array_equal(state[0], expected)


def test_rare_grams_are_left_out_and_the_rest_is_still_a_distribution() -> None:
    texts = ("abcabcab", "acb", "bbca")
    whole, pruned = memory_of(*texts), memory_of(*texts, fewest=(0, 0, 2, 2, 2))
    assert pruned.nowhere < whole.nowhere
    np.testing.assert_allclose(pruned.probabilities(after(pruned, "abcbbca")).sum(axis=1), 1, atol=1e-6)


def test_a_pruned_memory_is_one_of_its_most_useful_grams() -> None:
    whole = memory_of("abcabcabc" * 5, "acb", "bbca", "cab", order=5)
    assert prune(whole, whole.num_bytes) is whole
    size = whole.num_bytes // len(whole.tokens)
    for count in (1 + V, 10, 20, len(whole.tokens) - 1):
        pruned = prune(whole, count * size)
        assert pruned.nowhere == count
        np.testing.assert_allclose(pruned.probabilities(after(pruned, "abcbbca")).sum(axis=1), 1, atol=1e-6)
    assert prune(whole, 0).order == 1  # the tokens themselves are left
    costs = [-np.log(text_of(one, "abcabcabcabc")).mean() for one in (whole, prune(whole, 20 * size), prune(whole, 0))]
    assert costs[1] - costs[0] < (costs[2] - costs[0]) / 4


def text_of(memory: NgramMemory, text: str) -> np.ndarray:
    """Return the probability of each character of a text."""
    ids = VOCABULARY.encode(text)
    return memory.probabilities(after(memory, text)[:-1])[np.arange(len(ids)), ids]


def test_no_context_reaches_back_over_the_start_of_a_document() -> None:
    memory = memory_of("abc", "cab", "abb")
    ids = np.array([[0, 1, 2, 0, 3, 1]])
    contexts = memory.read(ids, memory.start(1))[0]
    np.testing.assert_array_equal(contexts[3], memory.read(np.array([[0]]), memory.start(1))[0, 0])
    np.testing.assert_array_equal(contexts[5], after(memory, "ca")[-1])


def test_documents_that_were_cut_do_not_teach_that_texts_end() -> None:
    def end_after_b(ends: bool) -> float:
        grams = build_grams([stream_of("abab", "bab", ends=ends)], V, fewest=EVERYTHING)
        memory = NgramMemory(grams, vocab_size=V, first_label=V, weight=0.5)
        return float(memory.probabilities(after(memory, "ab")[-1:])[0, 0])

    assert 3 * end_after_b(ends=False) < end_after_b(ends=True)


@pytest.mark.skipif(kernels_or_none() is None, reason="there are no kernels for this machine")
def test_c_and_numpy_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, rng = memory_of("abcabcabacbbca", "bacab", order=5, weight=0.3), np.random.default_rng(1)
    logits = rng.normal(size=(7, V)).astype(np.float32)
    both = []
    for kernels in (kernels_or_none, lambda: None):
        monkeypatch.setattr(ngrams, "find_kernels", kernels)
        contexts, mixed = memory.start(7), logits.copy()
        for ids in np.random.default_rng(2).integers(0, V, (9, 7)):
            memory.step(ids, contexts)
        memory.mix(mixed, contexts)
        both.append((contexts, mixed))
    np.testing.assert_array_equal(both[0][0], both[1][0])
    np.testing.assert_allclose(both[0][1], both[1][1], rtol=1e-5)
    expected = mixture(logits, memory.probabilities(both[0][0]), 0.3)
    np.testing.assert_allclose(softmax(both[0][1]), expected, rtol=1e-5)


def test_the_benchmark_of_means_measures_what_a_memory_computes() -> None:
    rng = np.random.default_rng(3)
    memory, logits, targets = memory_of("abcabcabacbbca", weight=0.3), rng.normal(size=(9, V)), rng.integers(0, V, 9)
    contexts = after(memory, "abcacbab")
    mixed = logits.astype(np.float32)
    memory.mix(mixed, contexts)
    found = _nats(log_softmax(logits), np.log(memory.probabilities(contexts)), targets, 0.3, POWERS["square roots"])
    assert found == pytest.approx(-np.log(softmax(mixed)[np.arange(9), targets]).mean(), rel=1e-5)


def mixture(logits: np.ndarray, found: np.ndarray, weight: float) -> np.ndarray:
    """Return the mixture of a network and a memory by its formula, (N, V)."""
    mixed = ((1 - weight) * np.sqrt(softmax(logits)) + weight * np.sqrt(found)) ** 2
    return np.asarray(mixed / mixed.sum(axis=1, keepdims=True))


def damaged(change: Callable[[dict[str, np.ndarray]], object]) -> dict[str, np.ndarray]:
    arrays = {name: array.copy() for name, array in memory_of("abcab", "cab").arrays.items()}
    change(arrays)
    return arrays


def point_to_themselves(children: np.ndarray) -> None:
    """Leave the unigrams without children, so that longer n-grams have no place in the tree."""
    moved = int(children[1:].sum())
    children[1:] = 0
    children[-1] = moved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays["children"].__setitem__(0, 3), "not those of its vocabulary"),
        (lambda arrays: arrays["children"].__setitem__(-1, 1), "not those of its vocabulary"),
        (lambda arrays: arrays["tokens"].__setitem__(5, 200), "not those of its vocabulary"),
        (lambda arrays: arrays["tokens"].__setitem__(slice(1, 3), [1, 0]), "not in order"),
        (lambda arrays: arrays["kept"].__setitem__(2, np.nan), "not probabilities"),
        (lambda arrays: arrays["kept"].__setitem__(2, -0.5), "not probabilities"),
        (lambda arrays: arrays["kept"].__setitem__(2, 2), "not probabilities"),
        (lambda arrays: point_to_themselves(arrays["children"]), "not a tree"),
    ],
)
def test_damaged_trees_are_refused(change: Callable[[dict[str, np.ndarray]], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NgramMemory(damaged(change), vocab_size=V, first_label=V, weight=0.2)


@pytest.mark.parametrize("weight", [0.0, -0.1, 1.5, float("nan")])
def test_only_weights_of_a_mixture_are_taken(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        memory_of("abc", weight=weight)


def test_the_weight_is_the_one_for_which_the_text_costs_least() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(5000) < 0.7  # the network is right about these, the memory about the others
    logits = 2 * np.eye(V)[np.where(first, 1, 2)] + rng.normal(size=(5000, V))
    found = softmax(2 * np.eye(V)[np.where(first, 2, 1)])
    rows = np.arange(5000)

    def chosen(network: np.ndarray, memory: np.ndarray) -> tuple[float, float]:
        return choose_weight(network[rows, 1], memory[rows, 1], np.sqrt(network * memory).sum(axis=1))

    weight, gain = chosen(softmax(logits), found)
    costs = [-np.log(mixture(logits, found, w)[:, 1]).mean() for w in (0, weight - 0.02, weight, weight + 0.02)]
    assert 0 < weight < 1
    assert costs[2] == min(costs)
    assert gain == pytest.approx(costs[0] - costs[2])
    assert chosen(softmax(logits), softmax(logits * [1, 0.5, 1, 1]))[1] < 0


@pytest.fixture
def model(random_model: Callable[..., TextModel]) -> TextModel:
    return replace(random_model(vocabulary=VOCABULARY), memory=memory_of("abcabcab", "acbacb", "bca", weight=0.4))


@pytest.mark.parametrize("carried", [True, False])
def test_all_ways_of_reading_predict_the_same(model: TextModel, carried: bool) -> None:
    """A stream read at once, token by token after a prompt, and every guess: the mixture of the two models."""
    model = replace(model, carried=carried, primer=(0,), context_length=20)
    alone, memory = model.with_memory(0), model.memory
    assert memory is not None
    text = "abcacbab"
    ids, contexts = VOCABULARY.encode(text), after(memory, text)
    (expected,) = expectations(model, stream_of(text))
    (network,) = expectations(alone, stream_of(text))
    mixed = mixture(network.logits, memory.probabilities(contexts), 0.4)
    np.testing.assert_allclose(softmax(expected.logits), mixed, rtol=1e-5)
    logits, predictor = begin(model, ids[:0], 2)
    for token, wanted in zip(ids, mixed, strict=False):
        np.testing.assert_allclose(log_softmax(logits), np.log([wanted, wanted]), rtol=1e-4)
        logits = predictor.step(np.array([token, token]))
    if carried:
        found = [guess.probability for guess in guesses(model, ids)][1:]
        possible = mixed[1:-1] * (np.arange(V) > 0)  # a model of documents does not end them
        np.testing.assert_allclose(found, (possible / possible.sum(1, keepdims=True))[np.arange(7), ids[1:]], rtol=1e-4)
        np.testing.assert_allclose(next_probabilities(model, ids)[1:], mixed[-1, 1:] / mixed[-1, 1:].sum(), rtol=1e-4)


def test_blocks_are_read_with_the_memory(model: TextModel) -> None:
    encoded = EncodedText.of([Document("abcacbabbacab")], VOCABULARY)
    whole = evaluate_blocks(model, encoded, 100).nats
    assert whole == pytest.approx(evaluate_as_read(model, encoded).nats, rel=1e-5)
    assert whole != pytest.approx(evaluate_as_read(model.with_memory(0), encoded).nats, rel=1e-2)


@pytest.mark.parametrize("reading", ["line", "document"])
@pytest.mark.parametrize("block_length", [None, 2, 100])
def test_networks_alone_are_measured_in_the_same_reading(model: TextModel, block_length: int | None, reading: str) -> None:
    """Also of several models, of which one has no memory."""
    model = replace(model, reading=reading)
    encoded = EncodedText.of([Document("abcacbabbacab"), Document("cab")], VOCABULARY)

    def measured(one: AnyModel) -> Quality:
        return evaluate_blocks(one, encoded, block_length) if block_length else evaluate_as_read(one, encoded)

    for one in (model, join_models([("it", model), ("without", model.with_memory(0)), ("again", model)])):
        whole, alone = measured(one), measured(one.with_memory(0))
        assert whole.alone is not None
        assert (whole.alone.nats, alone.alone) == (pytest.approx(alone.nats), None)
        assert whole.nats != pytest.approx(alone.nats, rel=1e-2)


def test_a_state_brings_the_contexts_back(model: TextModel) -> None:
    predictor = make_predictor(model, 2)
    predictor.read(np.array([[0, 1, 2], [0, 3, 3]]))
    state, expected = predictor.state, predictor.step(np.array([1, 2])).copy()
    predictor.state = state
    np.testing.assert_array_equal(predictor.step(np.array([1, 2])), expected)
    predictor.state = state
    predictor.take(np.array([1, 0]))
    np.testing.assert_allclose(predictor.step(np.array([2, 1])), expected[::-1], rtol=1e-5)


def test_there_is_a_number_for_each_length() -> None:
    assert len(FEWEST) == memory_of("abcabcabcabc" * 3, order=8).order + 1
    assert list(FEWEST) == sorted(FEWEST)  # else the beginning of an n-gram could be missing
