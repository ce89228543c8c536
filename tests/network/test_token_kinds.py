"""Writing with tokens that are not single characters, and with tokens that are never drawn."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.errors import ConfigError
from chargen.network.model_file import TextModel
from chargen.writing.beam import beam_search
from chargen.writing.ensemble import join_models
from chargen.writing.generation import WrittenCharacters, sample_texts, stream_text
from chargen.writing.prediction import next_probabilities
from tests.writing.samplers import sampler_of

RandomModel = Callable[..., TextModel]

WORDS = WordVocabulary(["one", " two", " three", "."], num_characters=9)
BPE = BpeVocabulary("abc", [("a", "b"), ("ab", "c")])
LABELLED = CharacterVocabulary("abc", labels=["first", "second"])
VOCABULARIES: list[Vocabulary] = [WORDS, BPE, LABELLED, ByteVocabulary(["label"])]


def drawn(**options: Any) -> dict[str, Any]:
    return {"length": 60, "sampler": sampler_of(), "rng": np.random.default_rng(1)} | options


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=lambda one: one.kind)
def test_silent_tokens_are_never_written(vocabulary: Vocabulary, random_model: RandomModel) -> None:
    model = random_model(vocabulary=vocabulary)
    prompt = vocabulary.encode("")
    assert not next_probabilities(model, prompt)[list(vocabulary.silent_ids)].any()
    assert all("\ufffd" not in text for text in sample_texts(model, prompt, count=9, **drawn())) or vocabulary.kind == "byte"
    spoken = [text for token, text in enumerate(vocabulary.texts) if token and token not in vocabulary.silent_ids]
    found = beam_search(model, prompt, width=50, length=1)
    assert {len(one.text) for one in found} == {1}
    if vocabulary.kind != "byte":  # with more characters than a beam holds
        assert {one.text for one in found} == {text[0] for text in spoken}
        assert sum(np.exp(one.log_probability) for one in found) == pytest.approx(1)


@pytest.mark.parametrize("until", [None, "a", "ab", "e t", "two ", "."])
@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=lambda one: one.kind)
def test_a_stream_is_the_text_of_a_batch_of_one(vocabulary: Vocabulary, until: str | None, random_model: RandomModel) -> None:
    model = random_model(vocabulary=vocabulary, seed=3)
    prompt = vocabulary.encode("")
    (text,) = sample_texts(model, prompt, count=1, until=until, **drawn(length=400))
    assert "".join(stream_text(model, prompt, until=until, **drawn(length=400))) == text
    assert text


def written(vocabulary: Vocabulary, ids: Iterable[int]) -> list[int]:
    """Return the number of characters that the first of two rows has written after each token."""
    count = WrittenCharacters(vocabulary, 2)
    counts = []
    for token in ids:
        count.add(np.array([token, 0]))
        counts.append(int(count.counts[0]))
        assert count.counts[1] == 0
    return counts


def test_lengths_are_in_characters(random_model: RandomModel) -> None:
    assert written(WORDS, range(6)) == [0, 0, 3, 7, 13, 14]
    assert written(BPE, range(6)) == [0, 1, 2, 3, 5, 8]
    assert written(LABELLED, range(6)) == [0, 1, 2, 3, 3, 3]
    tokens = ByteVocabulary()
    assert written(tokens, tokens.encode("aé\u2014z").tolist()) == [
        1,
        1,
        2,
        2,
        2,
        3,
        4,
    ]  # a character counts when it is complete
    texts = sample_texts(random_model(vocabulary=BPE, reading="line"), BPE.encode(""), count=200, min_length=6, **drawn())
    assert 6 <= min(map(len, texts)) <= 8


def test_kinds_and_labels_do_not_mix(random_model: RandomModel) -> None:
    models = [("first", random_model(vocabulary=LABELLED)), ("second", random_model(vocabulary=BPE))]
    with pytest.raises(ConfigError, match="first writes character tokens, second bpe tokens"):
        join_models(models)
    models[1] = ("second", random_model(vocabulary=CharacterVocabulary("abc")))
    with pytest.raises(ConfigError, match="first and second know different labels"):
        join_models(models)


def test_models_with_labels_write_together(random_model: RandomModel) -> None:
    other = CharacterVocabulary("cab", labels=["first", "second"])
    together = join_models([("a", random_model(vocabulary=LABELLED)), ("b", random_model(vocabulary=other))])
    assert len(sample_texts(together, LABELLED.encode("a"), count=1, **drawn())[0]) == 60
