"""The cache mixes in the Kneser-Ney n-grams of what was read, the same in C as in Python, row by row."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.memory import cache as caching
from chargen.memory.cache import DISCOUNT, ORDER, STRENGTHS, Cache, NativeCache, PlainCache, make_cache
from chargen.native.library import AVX2, Kernels
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.writing.reading import cached_expectations, expectations
from chargen.writing.sampling import softmax
from tests.native.test_kernels import kernels_of

VOCABULARY = CharacterVocabulary("abc")
V = len(VOCABULARY)
EVEN = np.zeros((1, V), np.float32)
IDS = st.lists(st.integers(0, V - 1), max_size=60)


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    return kernels_of(AVX2)


def plain(rows: int = 1, weight: float = 1.0, window: int = caching.WINDOW) -> PlainCache:
    return PlainCache(VOCABULARY, rows, weight, window)


def after(cache: Cache, text: str) -> np.ndarray:
    """Return the probabilities of the next token after a text, beside a model to which all tokens are equal."""
    for token in VOCABULARY.encode(text):
        cache.step(np.array([token]))
    logits = EVEN.copy()
    cache.mix(logits)
    return np.exp(logits[0])


def test_what_was_not_read_before_changes_nothing() -> None:
    np.testing.assert_allclose(after(plain(), "abca"), 1 / V, rtol=1e-6)  # no two tokens occur twice


def test_a_context_that_comes_again_predicts_what_followed_it() -> None:
    strength = STRENGTHS[2]
    expected = (np.arange(V) == 3) * (1 - DISCOUNT) + (DISCOUNT + strength) / V  # "c" followed "ab" once
    np.testing.assert_allclose(after(plain(), "abcab"), expected / (1 + strength), rtol=1e-6)
    np.testing.assert_allclose(after(plain(weight=0.5), "abcab"), expected / (1 + strength) / 2 + 0.5 / V, rtol=1e-6)


def test_short_grams_are_counted_once_for_each_token_before_them() -> None:
    cache = plain()
    after(cache, "cab" * 6)
    counts, longest = cache._texts[0]._counts, (2, 3, 1, 2, 3, 1, 2)
    assert counts[1, 2][3] == 1  # only c stood before "abc"
    assert counts[3, 1, 2][3] == 2  # b, and once the beginning of the text
    assert len(longest) == ORDER - 1
    assert counts[longest][3] == 3  # by occurrence


def test_no_context_reaches_over_the_beginning_of_a_document() -> None:
    ids = np.array([1, 2, 3, 0, 1, 2])
    apart, together = plain(), plain()
    for token in ids:
        apart.step(np.array([token]))
    assert apart._texts[0]._context == (0, 1, 2)
    for token in ids[ids > 0]:
        together.step(np.array([token]))
    found = [EVEN.copy(), EVEN.copy()]
    for cache, logits in zip((apart, together), found, strict=True):
        cache.mix(logits)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)  # both have read c after ab


@settings(deadline=None)
@given(IDS, st.integers(2, 40))
def test_a_full_window_forgets_its_older_half(ids: list[int], window: int) -> None:
    full, known = plain(window=window), list[int]()
    for token in ids:
        full.step(np.array([token]))
        known = [*(known[-(window // 2) :] if len(known) == window else known), token]
    fresh = plain()
    for token in known:
        fresh.step(np.array([token]))
    assert full._texts[0]._counts == fresh._texts[0]._counts


@settings(deadline=None)
@given(data=st.data(), rows=st.integers(1, 4), window=st.integers(2, 40))
def test_c_and_python_agree(kernels: Kernels, data: st.DataObject, rows: int, window: int) -> None:
    ids = np.array(data.draw(st.lists(st.lists(st.integers(0, V - 1), min_size=rows, max_size=rows), max_size=80)), np.intp)
    native, python = NativeCache(VOCABULARY, rows, 0.7, window, kernels), plain(rows, 0.7, window)
    for token in ids:
        logits = np.random.default_rng(1).normal(size=(rows, V)).astype(np.float32)
        mixed = logits.copy()
        for cache, given_logits in ((native, mixed), (python, logits)):
            cache.step(token)
            cache.mix(given_logits)
        np.testing.assert_allclose(mixed, logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.exp(mixed).sum(axis=1), 1, rtol=1e-5)


@settings(deadline=None)
@given(tokens=st.lists(st.tuples(st.integers(0, V - 1), st.booleans()), min_size=1, max_size=80), cut=st.integers(1, 79))
def test_following_a_text_is_reading_it_token_by_token(kernels: Kernels, tokens: list[tuple[int, bool]], cut: int) -> None:
    ids, mixed = (np.array(one) for one in zip(*tokens, strict=True))
    found = []
    for cache in (NativeCache(VOCABULARY, 1, 0.7, 50, kernels), plain(1, 0.7, 50)):
        parts = []
        for part in (slice(cut), slice(cut, None)):
            logits = np.zeros((int(mixed[part].sum()), V), np.float32)
            cache.follow(ids[part], mixed[part], logits)
            parts.append(logits)
        found.append(np.concatenate(parts))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)
    assert len(found[0]) == mixed.sum()


def test_kernels_are_used_where_they_are(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    for found, kind in ((kernels, NativeCache), (None, PlainCache)):
        monkeypatch.setattr(caching, "find_kernels", lambda found=found: found)
        assert isinstance(make_cache(VOCABULARY, 1, 0.5), kind)


@pytest.mark.parametrize("reading", ["document", "line"])
@pytest.mark.parametrize("carried", [True, False])
def test_a_stream_is_read_in_order(random_model: Callable[..., TextModel], reading: str, carried: bool) -> None:
    model = replace(random_model(vocabulary=VOCABULARY, reading=reading), carried=carried)
    documents = [Document(text) for text in ("abcabcabcab", "ca", "", "abcacabcb" * 30, "b", "abcab")]
    stream = tokenize(documents, VOCABULARY)
    logits = np.empty((stream.span, V))
    for expected in expectations(model, stream):
        logits[expected.places] = log_softmax(expected.logits)
    cache, wanted = plain(weight=0.8), []
    for token, row in zip(np.asarray(stream.ids[:-1]), logits, strict=True):
        mixed = row[None].astype(np.float32)
        cache.step(np.array([token]))
        cache.mix(mixed)
        wanted.append(softmax(mixed)[0])
    places, found = zip(*((one.places, softmax(one.logits)) for one in cached_expectations(model, stream, 0.8)), strict=True)
    np.testing.assert_array_equal(np.concatenate(places), np.arange(stream.span))
    np.testing.assert_allclose(np.concatenate(found), wanted, rtol=1e-4)


def test_tokens_that_are_not_predicted_are_read(random_model: Callable[..., TextModel]) -> None:
    model = random_model(vocabulary=VOCABULARY)
    stream = tokenize([Document("abcabc", ends=False), Document("abcabc")], VOCABULARY)
    found = np.concatenate([one.places for one in cached_expectations(model, stream, 0.8)])
    assert len(found) == stream.num_targets < stream.span
