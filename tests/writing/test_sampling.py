from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary
from chargen.corpus.words import WordVocabulary
from chargen.errors import ConfigError
from chargen.network.average import log_softmax
from chargen.settings.writing import SamplingOptions
from chargen.writing.sampling import (
    Sampler,
    banned_ids,
    draw,
    exclude,
    keep_top_k,
    keep_top_p,
    make_sampler,
    penalize,
    softmax,
)
from tests.writing.samplers import sampler_of

B, V = 2, 5
LOGITS = np.array([[0.5, 2.0, -1.0, 2.0, 0.0], [3.0, -2.0, 0.0, 1.0, 1.0]])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def kept(logits: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(np.isfinite(row)).tolist()) for row in logits]


def test_softmax_is_stable_and_sums_to_one() -> None:
    probabilities = softmax(np.array([[1000.0, 1001.0], [-1000.0, -1001.0]], np.float32))
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, [[0.26894142, 0.73105858], [0.73105858, 0.26894142]])


def test_greedy_takes_the_most_probable_as_does_a_tiny_temperature() -> None:
    np.testing.assert_array_equal(sampler_of(temperature=0)(LOGITS, rng()), [1, 0])
    unequal = LOGITS + np.arange(V) * 0.01
    for seed in range(20):
        np.testing.assert_array_equal(sampler_of(temperature=1e-6)(unequal, rng(seed)), unequal.argmax(axis=-1))


@pytest.mark.parametrize("k", range(1, V + 2))
def test_top_k_keeps_exactly_k_of_equal_ones_the_first(k: int) -> None:
    assert [len(row) for row in kept(keep_top_k(LOGITS, k))] == [min(k, V)] * B
    assert kept(keep_top_k(np.zeros((1, V)), k)) == [set(range(min(k, V)))]


@given(arrays(np.float64, (B, V), elements=st.floats(-20, 20)), st.floats(0.01, 1))
def test_top_p_keeps_the_fewest_that_reach_p(logits: np.ndarray, p: float) -> None:
    for row, scores, ids in zip(softmax(logits), logits, kept(keep_top_p(logits, p)), strict=True):
        order = np.argsort(-scores, kind="stable").tolist()
        reached = np.cumsum(row[order])
        fewest, most = (1 + int((reached < p + rounding).sum()) for rounding in (-1e-12, 1e-12))  # a sum may round either way
        assert ids == set(order[: len(ids)])
        assert fewest <= len(ids) <= most


def test_filters_come_after_the_temperature_and_in_order() -> None:
    """At temperature 3 the first token holds less than 0.6, so that top-p 0.6 lets a second one in, and top-k 1 none."""
    logits = np.array([[2.0, 0.0, -1.0]])
    counts = {
        (temperature, k): len(
            {int(sampler_of(temperature=temperature, top_k=k, top_p=0.6)(logits, rng(seed))[0]) for seed in range(60)}
        )
        for temperature, k in [(1.0, 0), (3.0, 0), (3.0, 1)]
    }
    assert counts == {(1.0, 0): 1, (3.0, 0): 2, (3.0, 1): 1}


def test_draws_follow_the_probabilities() -> None:
    probabilities = np.array([0.5, 0.0, 0.2, 0.3])
    drawn = draw(np.tile(probabilities, (20_000, 1)), rng())
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, probabilities, atol=0.015)
    assert 1 not in drawn


def test_an_excluded_token_is_never_drawn() -> None:
    logits = np.full((500, 3), -np.inf)
    logits[:, 2] = 0
    assert set(sampler_of()(logits, rng())) == {2}


def test_rows_are_drawn_independently_and_nothing_is_changed() -> None:
    before = LOGITS.copy()
    together = sampler_of(temperature=0.7, top_k=3)(LOGITS, rng(4))
    generator = rng(4)
    apart = [int(sampler_of(temperature=0.7, top_k=3)(LOGITS[row : row + 1], generator)[0]) for row in range(B)]
    assert together.tolist() == apart
    np.testing.assert_array_equal(LOGITS, before)


@pytest.mark.parametrize(
    "numbers",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.5},
        {"repetition_penalty": 0},
        {"repetition_penalty": float("nan")},
        {"repetition_window": 0},
    ],
)
def test_impossible_numbers_are_refused(numbers: dict[str, Any]) -> None:
    (name,) = numbers
    flag = "--temp" if name == "temperature" else "--" + name.replace("_", "-")
    with pytest.raises(ConfigError, match=f"{flag} is .*, expected"):
        SamplingOptions(**numbers)


def test_one_impossible_temperature_of_several_is_refused() -> None:
    with pytest.raises(ConfigError, match="--temp is -2"):
        SamplingOptions(temperature=(0.5, -2.0))


@pytest.mark.parametrize("temperature", [5e-324, 1e-308, 1e-199])
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    logits = np.array([[0.5, 3e38, -3e38, -np.inf]])
    assert Sampler(SamplingOptions(temperature=(temperature,)))(logits, rng()) == [1]


def test_no_temperature_is_refused() -> None:
    with pytest.raises(ConfigError, match="--temp is empty"):
        SamplingOptions(temperature=())


def test_log_softmax_is_the_logarithm_of_softmax_where_that_is_one_and_stable_where_not() -> None:
    np.testing.assert_allclose(log_softmax(LOGITS), np.log(softmax(LOGITS)))
    np.testing.assert_array_equal(log_softmax(np.array([[2000.0, 0.0, -np.inf]])), [[0.0, -2000.0, -np.inf]])


def test_temperatures_take_turns() -> None:
    """At 0 the most probable token comes, at a million any."""
    logits = np.array([[0.0, 3.0, 0.0]])
    turns = sampler_of(temperature=(0.0, 1e6))
    drawn = [{int(turns(logits, rng(seed), position=position)[0]) for seed in range(40)} for position in range(4)]
    assert drawn == [{1}, {0, 1, 2}, {1}, {0, 1, 2}]
    np.testing.assert_array_equal(
        sampler_of(temperature=(0.3, 0.7))(LOGITS, rng(5), position=1), sampler_of(temperature=0.7)(LOGITS, rng(5))
    )


def test_a_penalty_divides_positive_logits_and_multiplies_negative_ones() -> None:
    recent = [np.array([1, 3]), np.array([2, 3])]
    np.testing.assert_array_equal(penalize(LOGITS, recent, 2.0), [[0.5, 1.0, -2.0, 2.0, 0.0], [3.0, -2.0, 0.0, 0.5, 1.0]])
    assert penalize(LOGITS, [], 2.0) is LOGITS


def test_a_penalty_leaves_the_boundary_alone() -> None:
    np.testing.assert_array_equal(penalize(LOGITS, [np.array([0, 0])], 2.0), LOGITS)


@given(
    arrays(np.float64, (B, V), elements=st.floats(-20, 20)),
    st.floats(1, 5),
    st.lists(st.integers(1, V - 1), max_size=4),
)
def test_a_penalty_makes_recent_tokens_less_probable_and_keeps_the_order_of_the_others(
    logits: np.ndarray, penalty: float, tokens: list[int]
) -> None:
    penalized = penalize(logits, [np.array([token] * B) for token in tokens], penalty)
    others = [token for token in range(V) if token not in tokens]
    assert (penalized <= logits).all()
    np.testing.assert_array_equal(penalized[:, others], logits[:, others])


def test_the_penalty_comes_before_the_greedy_choice_and_is_off_at_one() -> None:
    logits, recent = np.array([[0.0, 2.0, 1.5]]), [np.array([1])]
    assert sampler_of(temperature=0, repetition_penalty=2.0)(logits, rng(), recent=recent) == [2]
    assert sampler_of(temperature=0)(logits, rng(), recent=recent) == [1]
    assert (sampler_of().memory, sampler_of(repetition_penalty=1.1, repetition_window=7).memory) == (0, 7)


def test_banned_ids_are_never_drawn_nor_chosen() -> None:
    logits = np.tile([[0.0, 9.0, 1.0, 2.0]], (300, 1))
    assert set(sampler_of(banned=(1,))(logits, rng())) == {0, 2, 3}
    assert set(sampler_of(temperature=0, banned=(1, 3))(logits, rng())) == {2}
    assert set(sampler_of(top_k=1, banned=(1,))(logits, rng())) == {3}


@given(arrays(np.float64, (B, V), elements=st.floats(-20, 20)), st.sets(st.integers(0, V - 1), max_size=V - 1))
def test_the_rest_keeps_its_proportions_when_some_are_excluded(logits: np.ndarray, ids: set[int]) -> None:
    left, before = softmax(exclude(logits, sorted(ids))), softmax(logits)
    before[:, sorted(ids)] = 0
    np.testing.assert_allclose(left, before / before.sum(axis=-1, keepdims=True))


def test_a_ban_holds_for_every_token_with_the_character() -> None:
    words = WordVocabulary(["a", "ab", "c", " ca"], num_characters=4)  # ids from 2 on; 1 is any other word
    assert banned_ids(words, "b") == (3,)
    assert banned_ids(words, "xa") == (2, 3, 5)
    assert banned_ids(CharacterVocabulary("a"), "x") == ()
    for vocabulary, characters in ((CharacterVocabulary("ab", labels=["one"]), "abc"), (words, "ca")):
        with pytest.raises(ConfigError, match=r"--ban leaves none of the model's [24] tokens"):
            banned_ids(vocabulary, characters)


def test_a_ban_of_bytes_is_one_of_ascii() -> None:
    assert banned_ids(ByteVocabulary(), "<2") == (1 + ord("2"), 1 + ord("<"))
    with pytest.raises(ConfigError, match="ASCII"):
        banned_ids(ByteVocabulary(), "\u00e9")


def test_a_sampler_is_made_of_options() -> None:
    options = SamplingOptions(temperature=(0.5, 0.7), top_k=3, ban="b")
    assert make_sampler(options, CharacterVocabulary("abc")) == Sampler(options, banned=(2,))
    assert SamplingOptions(greedy=True).temperatures == (0.0,)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 3.0])
def test_scores_are_divided_by_the_temperature(temperature: float) -> None:
    logits = np.repeat(LOGITS[:1], 20_000, axis=0)
    drawn = sampler_of(temperature=temperature)(logits, rng())
    shares = np.bincount(drawn, minlength=logits.shape[1]) / len(drawn)
    np.testing.assert_allclose(shares, softmax(LOGITS[:1] / temperature)[0], atol=0.015)
