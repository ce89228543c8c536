"""A memory knows the lines of its text, in NumPy and in C, for one row and for many, wherever reading begins."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import TokenStream, tokenize
from chargen.insight.evaluation import EncodedText, evaluate_as_read, evaluate_blocks
from chargen.memory import ngrams
from chargen.memory.building import FACTORS, LONGEST_LINE, build_grams, choose_factor, known_lines
from chargen.memory.lines import INSIDE, MORE, ONCE, KnownLines, read_lines
from chargen.memory.ngrams import NgramMemory
from chargen.memory.pruning import prune
from chargen.native.library import kernels_or_none
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.writing.prediction import begin, guesses
from chargen.writing.predictor import make_predictor
from chargen.writing.reading import expectations

VOCABULARY = CharacterVocabulary("abc")
V = len(VOCABULARY)
LINES = ("ab", "abc", "ab", "b", "cab")
FACTORS_OF_LINES = (0.5, 0.1)  # of "abc", "b" and "cab", and of "ab"
NO_LINE = np.full(1, INSIDE, np.int32)


def stream_of(*lines: str, **options: bool) -> TokenStream:
    return tokenize([Document(line, **options) for line in lines], VOCABULARY)


def memory_of(*lines: str, weight: float = 0.4) -> NgramMemory:
    stream = stream_of(*lines)
    known = KnownLines(known_lines([stream]), FACTORS_OF_LINES)
    grams = build_grams([stream], V, order=4, fewest=(0,) * 5)
    return NgramMemory(grams, vocab_size=V, first_label=V, weight=weight, lines=known)


def hash_of(line: str) -> np.ndarray:
    ids = np.concatenate([[0], VOCABULARY.encode(line)])[None]
    return read_lines(ids, ids == 0, NO_LINE)[:, -1]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.integers(1, 29))
def test_the_hash_is_fnv_1a_of_the_line_so_far(ids: list[int], cut: int) -> None:
    """Read at once, in two parts, and beside another row."""
    line, expected = INSIDE, []
    for token in ids:
        line = 2166136261 if token == 0 else line
        line = (line ^ token) * 16777619 % 2**32 if line else INSIDE
        expected.append(line)
    rows = np.array([ids, ids[::-1]])
    whole = read_lines(rows, rows == 0, np.zeros(2, np.int32))
    assert whole[0].view(np.uint32).tolist() == expected
    first = read_lines(rows[:, :cut], rows[:, :cut] == 0, np.zeros(2, np.int32))
    if cut < len(ids):
        rest = read_lines(rows[:, cut:], rows[:, cut:] == 0, first[:, -1])
        np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), whole)


def test_lines_are_known_by_how_often_they_occur() -> None:
    keys = known_lines([stream_of(*LINES, ""), stream_of("cc", "b")])
    lines = KnownLines(keys, (0.5, 0.25))
    asked = ["ab", "abc", "b", "cab", "cc", "", "a", "ca"]
    found = lines.find(np.concatenate([hash_of(line) for line in asked]))
    assert found.tolist() == [MORE, ONCE, MORE, ONCE, ONCE, -1, -1, -1]
    np.testing.assert_allclose(np.exp(lines.log_factors(hash_of("ab"))), 0.25)
    np.testing.assert_allclose(np.exp(lines.log_factors(hash_of("a"))), 1)


def test_lines_that_were_cut_are_not_known() -> None:
    assert len(known_lines([stream_of("ab", "abc", ends=False), stream_of("b")])) == 1
    assert len(known_lines([stream_of("ab", ends=False)])) == 0


def test_very_long_lines_are_not_known() -> None:
    lines = KnownLines(known_lines([stream_of("a" * (LONGEST_LINE - 1), "ab", "a" * LONGEST_LINE)]), (0.5, 0.25))
    found = lines.find(np.concatenate([hash_of("a" * length) for length in (LONGEST_LINE - 1, LONGEST_LINE)]))
    assert (len(lines.keys), found.tolist()) == (2, [ONCE, -1])


def test_labelled_lines_are_known_with_their_label() -> None:
    vocabulary = CharacterVocabulary("abc", ("x", "y"))
    stream = tokenize([Document("ab", label=label) for label in "xyy"], vocabulary)
    lines = KnownLines(known_lines([stream]), (0.5, 0.25))
    ids = np.array([[vocabulary.label_id(label), *vocabulary.encode("ab")] for label in "xy"])
    found = lines.find(read_lines(ids, ids >= V, np.zeros(2, np.int32))[:, -1])
    assert found.tolist() == [ONCE, MORE]


@pytest.mark.parametrize(
    ("keys", "factors", "message"),
    [
        ([], (0.5, 0.5), "order"),
        ([6, 4], (0.5, 0.5), "order"),
        ([4, 5], (0.5, 0.5), "order"),
        ([0, 4], (0.5, 0.5), "order"),
        ([4, 6], (0.5,), "factors"),
        ([4, 6], (0.5, 0.0), "factors"),
        ([4, 6], (0.5, 1.5), "factors"),
        ([4, 6], (float("nan"), 1.0), "factors"),
    ],
)
def test_damaged_lines_are_refused(keys: list[int], factors: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KnownLines(np.array(keys, np.uint32), factors)


def test_the_factor_is_the_one_for_which_a_text_costs_least() -> None:
    rng = np.random.default_rng(0)
    ends = rng.uniform(0.05, 0.5, 20_000)
    true = 0.25 * ends / (1 - ends + 0.25 * ends)  # the probability of the end is a quarter of what is expected, before the sum
    factor, saved = choose_factor(ends, int((rng.random(len(ends)) < true).sum()))
    assert factor == pytest.approx(0.25, rel=0.1)
    assert saved > 0
    assert choose_factor(np.zeros(0), 0) == (1.0, 0.0)
    assert choose_factor(ends, int(ends.sum())) == (1.0, 0.0)
    assert choose_factor(np.full(4, 0.1), 0)[0] == 1  # too few lines to know that none is repeated
    none, _ = choose_factor(np.full(1000, 0.1), 0)
    assert FACTORS[-1] < none < 0.02


@pytest.mark.skipif(kernels_or_none() is None, reason="there are no kernels for this machine")
def test_c_and_numpy_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = memory_of(*LINES)
    logits = np.random.default_rng(1).normal(size=(7, V)).astype(np.float32)
    both = []
    for kernels in (kernels_or_none, lambda: None):
        monkeypatch.setattr(ngrams, "find_kernels", kernels)
        contexts, rows = memory.start(7), []
        for ids in np.random.default_rng(2).integers(0, V, (30, 7)):
            memory.step(ids, contexts)
            mixed = logits.copy()
            memory.mix(mixed, contexts)
            rows.append((contexts.copy(), mixed))
        both.append(rows)
    for (contexts, mixed), (expected_contexts, expected) in zip(*both, strict=True):
        np.testing.assert_array_equal(contexts, expected_contexts)
        np.testing.assert_allclose(mixed, expected, rtol=1e-5)
    assert memory.lines
    found = {kind for contexts, _ in both[0] for kind in memory.lines.find(contexts[:, memory.order])}
    assert found == {-1, ONCE, MORE}


@pytest.fixture
def model(random_model: Callable[..., TextModel]) -> TextModel:
    """Return a model of lines whose memory knows LINES."""
    known = {"reading": "line", "ends": True, "primer": (0,), "context_length": 20}
    return replace(random_model(vocabulary=VOCABULARY), memory=memory_of(*LINES), **known)


@pytest.mark.parametrize("carried", [True, False])
def test_all_ways_of_reading_make_the_end_of_a_known_line_less_probable(model: TextModel, carried: bool) -> None:
    """Lines read at once, token by token after a prompt, and as guesses."""
    model = replace(model, carried=carried)
    memory = model.memory
    assert memory is not None
    without = replace(model, memory=memory.with_lines(None))
    text = "abcab"
    ids, stream = VOCABULARY.encode(text), stream_of(text)
    (found,), (plain,) = expectations(model, stream), expectations(without, stream)
    expected = plain.logits.copy()
    expected[[2, 3], 0] += np.log([0.1, 0.5])  # after "ab" and after "abc"; not after "cab" or "b" within the line
    expected = log_softmax(expected)
    np.testing.assert_allclose(log_softmax(found.logits), expected, atol=1e-5)
    logits, predictor = begin(model, ids[:0], 2)
    for token, wanted in zip(ids, expected, strict=False):
        np.testing.assert_allclose(log_softmax(logits), [wanted, wanted], atol=1e-4)
        logits = predictor.step(np.array([token, token]))
    if carried:
        probable = [guess.probability for guess in guesses(model, ids)][1:]
        np.testing.assert_allclose(probable, np.exp(expected[np.arange(1, 5), ids[1:]]), rtol=1e-4)
    written = make_predictor(model, 1)
    written.read(np.array([[0, *ids[:2]]]))
    state = written.state
    written.step(ids[2:3])
    written.state = state
    np.testing.assert_allclose(log_softmax(written.step(ids[2:3]))[0], expected[3], atol=1e-4)


def test_a_block_that_begins_within_a_line_is_no_line(model: TextModel) -> None:
    """After "c" a block begins with "ab", which is not the line "ab"."""
    memory = model.memory
    assert memory is not None
    contexts = memory.read(np.array([VOCABULARY.encode("ab")]), memory.start(1))[0]
    assert contexts[:, memory.order].tolist() == [INSIDE, INSIDE]
    encoded = EncodedText.of([Document("cab"), Document("ccc")], VOCABULARY)
    without = replace(model, memory=memory.with_lines(None))
    assert evaluate_blocks(model, encoded, 100).nats == pytest.approx(evaluate_as_read(model, encoded).nats, rel=1e-5)
    assert evaluate_as_read(model, encoded).nats != pytest.approx(evaluate_as_read(without, encoded).nats, rel=1e-3)


def test_a_smaller_memory_knows_the_same_lines() -> None:
    memory = memory_of(*LINES)
    smaller = prune(memory, 0)
    assert (smaller.order, smaller.lines) == (1, memory.lines)
    assert smaller.weighted(0.2).lines is memory.lines
    assert smaller.with_lines(None).num_bytes == smaller.num_bytes - 4 * 4
