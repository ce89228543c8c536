import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chargen.errors import ConfigError
from chargen.network.sampling import Sampler, draw, keep_top_k, keep_top_p, softmax

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
    np.testing.assert_array_equal(Sampler(temperature=0)(LOGITS, rng()), [1, 0])
    unequal = LOGITS + np.arange(V) * 0.01
    for seed in range(20):
        np.testing.assert_array_equal(Sampler(temperature=1e-6)(unequal, rng(seed)), unequal.argmax(axis=-1))


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
            {int(Sampler(temperature=temperature, top_k=k, top_p=0.6)(logits, rng(seed))[0]) for seed in range(60)}
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
    assert set(Sampler()(logits, rng())) == {2}


def test_rows_are_drawn_independently_and_nothing_is_changed() -> None:
    before = LOGITS.copy()
    together = Sampler(temperature=0.7, top_k=3)(LOGITS, rng(4))
    generator = rng(4)
    apart = [int(Sampler(temperature=0.7, top_k=3)(LOGITS[row : row + 1], generator)[0]) for row in range(B)]
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
    ],
)
def test_impossible_numbers_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(numbers)).replace("_", "-")):
        Sampler(**numbers)
