from collections.abc import Callable

import numpy as np
import pytest

from chargen.corpus.vocabulary import BOUNDARY
from chargen.network.model_file import TextModel
from chargen.writing.generation import sample_texts
from chargen.writing.prediction import guesses, most_probable, next_probabilities, warm_up
from chargen.writing.sampling import softmax
from tests.writing.samplers import sampler_of

RandomModel = Callable[..., TextModel]


@pytest.mark.parametrize("prompt", ["", "a", "abcab"])
@pytest.mark.parametrize("reading", ["line", "document"])
def test_probabilities_are_those_of_the_draws(reading: str, prompt: str, random_model: RandomModel) -> None:
    model = random_model(reading=reading, characters="abc")
    ids = model.vocabulary.encode(prompt)
    probabilities = next_probabilities(model, ids)
    texts = sample_texts(model, ids, count=20_000, length=1, sampler=sampler_of(), rng=np.random.default_rng(1))
    drawn = [texts.count(piece) / len(texts) for piece in ["", *model.vocabulary]]
    np.testing.assert_allclose(probabilities, drawn, atol=0.015)
    assert probabilities.sum() == pytest.approx(1)
    assert (probabilities[BOUNDARY] > 0) == (reading == "line" and prompt != "")


@pytest.mark.parametrize("count", [1, 3, 99])
def test_the_most_probable_come_first_and_the_impossible_never(count: int, random_model: RandomModel) -> None:
    model = random_model(characters="abc")
    probabilities = next_probabilities(model, model.vocabulary.encode("a"))
    found = most_probable(model, model.vocabulary.encode("a"), count)
    assert [token for token, _ in found] == np.argsort(-probabilities)[: min(count, 3)].tolist()
    assert [probability for _, probability in found] == [probabilities[token] for token, _ in found]


@pytest.mark.parametrize("text", ["b", "bca", "bcabb"])
@pytest.mark.parametrize("reading", ["line", "document"])
def test_guesses_are_of_the_prefixes(reading: str, text: str, random_model: RandomModel) -> None:
    model = random_model(reading=reading, characters="abc")
    ids = model.vocabulary.encode(text)
    found = guesses(model, ids)
    assert [one.token for one in found] == ids.tolist()
    first = next_probabilities(model, ids[:0])
    assert (found[0].guess, found[0].guess_probability) == (first.argmax(), first.max())
    assert found[0].probability == first[ids[0]]
    room = max(model.context_length - len(text), 0)
    read = np.concatenate([np.array(model.primer[-room:] if room else (), int), ids])
    logits, _ = model.network.logits(read[None], model.network.zero_state(1))
    for position, one in enumerate(found[1:], start=1):
        row = logits[:, len(read) - len(text) + position - 1]
        if reading == "document":
            row[:, BOUNDARY] = -np.inf
        expected = softmax(row)[0]
        assert one.guess == expected.argmax()
        assert one.guess_probability == pytest.approx(expected.max(), abs=1e-5)
        assert one.probability == pytest.approx(expected[one.token], abs=1e-5)


def test_what_follows_goes_on_from_the_last_guess(random_model: RandomModel) -> None:
    """Both read the prompt in the same way: the guess before the last character is the warm-up of the longer text's reading."""
    model = random_model(reading="line", characters="abc")
    ids = model.vocabulary.encode("ab")  # shorter than the context: the same primer with or without its last character
    logits, _ = warm_up(model, ids[:1])
    assert guesses(model, ids)[1].probability == pytest.approx(softmax(logits)[0][ids[1]], abs=1e-6)


def test_an_empty_text_has_no_guesses(random_model: RandomModel) -> None:
    model = random_model()
    assert guesses(model, model.vocabulary.encode("")) == []
