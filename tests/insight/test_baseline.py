import math
import time
import tracemalloc
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.errors import UnknownTokenError
from chargen.insight.baseline import NgramModel

MANY = st.lists(st.text("abc", max_size=7), min_size=1, max_size=8)
ORDER = st.integers(1, 5)
END = "|"  # a boundary, in the slow model


class SlowModel:
    """Interpolated Kneser-Ney as in textbooks, gram by gram."""

    def __init__(self, documents: list[str], order: int, characters: str) -> None:
        self.tokens, self.order = [END, *characters], order
        met: dict[str, int] = defaultdict(int)
        before: dict[str, set[str]] = defaultdict(set)
        for text in (f"{END}{document}{END}" for document in documents):
            for stop in range(2, len(text) + 1):
                for start in range(max(0, stop - order), stop):
                    met[text[start:stop]] += 1
                    if start > max(0, stop - order):
                        before[text[start:stop]].add(text[start - 1])
        self.counts = {gram: len(before[gram]) or count for gram, count in met.items()}

    def discount(self, length: int) -> float:
        counts = [count for gram, count in self.counts.items() if len(gram) == length]
        return counts.count(1) / (counts.count(1) + 2 * counts.count(2)) if 1 in counts else 0.5

    def probability(self, token: str, context: str) -> float:
        context = context[max(0, len(context) - self.order + 1) :]
        lower = self.probability(token, context[1:]) if context else 1 / len(self.tokens)
        following = {one: self.counts[context + one] for one in self.tokens if context + one in self.counts}
        if not following:
            return lower
        discount = self.discount(len(context) + 1)
        kept = max(following.get(token, 0) - discount, 0.0)
        return (kept + discount * len(following) * lower) / sum(following.values())


def test_probabilities_computed_by_hand() -> None:
    """Bigrams of |ab| and |aa|: |a twice, ab b| aa a| once, so the discount is 4 / (4 + 2).

    Unigrams count what stands before them: a {|, a}, b {a}, | {a, b}; discount 1 / (1 + 4); a and | 0.4, b 0.2.
    """
    model = NgramModel.fit(["ab", "aa"], order=2)
    np.testing.assert_allclose(model.next_probabilities(""), [0.4 / 3, 0.8, 0.2 / 3])  # |, a, b
    np.testing.assert_allclose(model.next_probabilities("a"), [1 / 9 + 0.8 / 3, 1 / 9 + 0.8 / 3, 1 / 9 + 0.4 / 3])
    np.testing.assert_allclose(model.next_probabilities("ab"), [1 / 3 + 0.8 / 3, 0.8 / 3, 0.4 / 3])
    expected = math.log(0.8) + math.log(1 / 9 + 0.4 / 3) + math.log(0.6)
    np.testing.assert_allclose(model.log_probabilities(["ab"]), [expected])
    assert model.cross_entropy(["ab"]) == pytest.approx(-expected / 3)


def test_unigrams_alone_are_counts() -> None:
    model = NgramModel.fit(["aab"], order=1)  # a twice, b and the end once: discount 2 / (2 + 2)
    np.testing.assert_allclose(model.next_probabilities("bab"), [0.125 + 0.125, 0.375 + 0.125, 0.125 + 0.125])


@settings(deadline=None)
@given(MANY, ORDER, st.text("abc", max_size=9))
def test_probabilities_are_those_of_the_slow_model(documents: list[str], order: int, context: str) -> None:
    slow = SlowModel(documents, order, "abc")
    model = NgramModel.fit(documents, order=order, vocabulary=CharacterVocabulary("abc"))
    expected = [slow.probability(token, END + context) for token in slow.tokens]
    np.testing.assert_allclose(model.next_probabilities(context), expected, rtol=1e-9)
    assert sum(expected) == pytest.approx(1)


@settings(deadline=None)
@given(MANY, ORDER, st.text("abcd", max_size=9))
def test_every_token_is_possible_and_all_of_them_make_one(documents: list[str], order: int, context: str) -> None:
    model = NgramModel.fit(documents, order=order, vocabulary=CharacterVocabulary("abcd"))  # d occurs in none of them
    probabilities = model.next_probabilities(context)
    assert probabilities.shape == (5,)
    assert probabilities.min() > 0
    assert probabilities.sum() == pytest.approx(1)


@settings(deadline=None)
@given(MANY, ORDER)
def test_a_document_has_the_product_of_its_tokens(documents: list[str], order: int) -> None:
    model = NgramModel.fit(documents, order=order, vocabulary=CharacterVocabulary("abc"))
    expected = []
    for document in documents:
        parts = [model.next_probabilities(document[:place])[" abc".index(token)] for place, token in enumerate(document)]
        expected.append(np.log([*parts, model.next_probabilities(document)[0]]).sum())
    np.testing.assert_allclose(model.log_probabilities(documents), expected, rtol=1e-9)
    assert model.cross_entropy(documents) == pytest.approx(-sum(expected) / sum(len(one) + 1 for one in documents))


@settings(deadline=None)
@given(MANY, ORDER, MANY)
def test_all_orders_at_once_are_the_models_of_each_order(documents: list[str], order: int, others: list[str]) -> None:
    vocabulary = CharacterVocabulary("abc")
    model = NgramModel.fit(documents, order=order, vocabulary=vocabulary)
    each = [NgramModel.fit(documents, order=one, vocabulary=vocabulary) for one in range(1, model.order + 1)]
    assert model.cross_entropies(others) == pytest.approx([one.cross_entropy(others) for one in each])


def test_longer_contexts_learn_a_cycle_that_shorter_ones_cannot() -> None:
    documents = ["aabbaabbaabbaabbaabb"] * 5
    quality = [NgramModel.fit(documents, order=order).cross_entropy(documents) for order in (1, 2, 3)]
    assert all(longer < shorter for shorter, longer in pairwise(quality))


def test_an_order_beyond_the_longest_document_is_cut() -> None:
    assert NgramModel.fit(["ab", "a"], order=40).order == 4  # |ab|


def test_two_models_of_one_vocabulary_classify() -> None:
    one, other = ["anna", "hanna", "johanna"], ["otto", "ottokar", "lotto"]
    vocabulary = CharacterVocabulary.of([*one, *other])
    models = [NgramModel.fit(names, order=3, vocabulary=vocabulary) for names in (one, other)]
    first, second = (model.log_probabilities(["jona", "rotto"]) for model in models)
    assert first[0] > second[0]
    assert first[1] < second[1]


def test_characters_that_training_never_met_cost_what_is_left_for_them() -> None:
    """In aa| a came twice, the end once: discount 1 / (1 + 2). Each kind leaves a third of one, and d gets a fourth of that."""
    model = NgramModel.fit(["aa"], order=1, vocabulary=CharacterVocabulary("abd"))
    np.testing.assert_allclose(model.next_probabilities("a")[3], 2 / 3 / 3 / 4)
    assert model.cross_entropy(["d"]) == pytest.approx(-(math.log(1 / 18) + math.log((2 / 3 + 2 / 12) / 3)) / 2)


def test_a_megabyte_is_counted_in_seconds() -> None:
    rng = np.random.default_rng(1)
    text = "".join(rng.choice(list("etaoin shrdlu\n"), 1_000_000))
    began = time.perf_counter()
    tracemalloc.start()
    model = NgramModel.fit([text], order=6)
    assert model.cross_entropies([text[:100_000]])[0] == pytest.approx(math.log(14), abs=0.01)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500e6
    assert time.perf_counter() - began < 30


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(ValueError, match="order is 0"):
        NgramModel.fit(["a"], order=0)
    with pytest.raises(ValueError, match="documents are 0"):
        NgramModel.fit([], order=2)
    model = NgramModel.fit(["a"], order=2)
    with pytest.raises(ValueError, match="no documents"):
        model.cross_entropy([])
    assert model.log_probabilities([]).shape == (0,)
    with pytest.raises(UnknownTokenError, match="'z'"):
        model.log_probabilities(["z"])
