from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary
from chargen.network.cells import HiddenState
from chargen.network.model_file import TextModel
from chargen.writing.generation import continue_prompt, sample_texts, stream_text
from chargen.writing.sampling import Sampler
from tests.writing.samplers import sampler_of

VOCABULARY = CharacterVocabulary("abcd")
GREEDY = sampler_of(temperature=0)


@dataclass
class Successor:
    """A network whose most probable next token is the next letter; after "d" comes the boundary, after it "a"."""

    sharpness: float = 9.0
    seen: list[int] = field(default_factory=list)
    output_size = 5

    def zero_state(self, batch_size: int) -> tuple[HiddenState]:
        return (HiddenState(np.zeros((batch_size, 1), np.float32)),)

    @property
    def state(self) -> tuple[HiddenState]:
        return self.zero_state(1)

    def stepper(self, state: Any) -> "Successor":
        return self

    def step(self, ids: np.ndarray) -> np.ndarray:
        self.seen.append(int(ids[0]))
        return np.eye(5, dtype=np.float32)[(ids + 1) % 5] * self.sharpness

    def outputs(self, ids: np.ndarray) -> np.ndarray:
        return np.stack([self.step(column) for column in ids.T])

    @staticmethod
    def head(outputs: np.ndarray) -> np.ndarray:
        return outputs


def model(*, sharpness: float = 9.0, ends: bool = True, primer: tuple[int, ...] = (BOUNDARY,), context: int = 3) -> TextModel:
    network: Any = Successor(sharpness)
    return TextModel(network=network, vocabulary=VOCABULARY, reading="line", context_length=context, primer=primer, ends=ends)


def stream(text_model: TextModel, prompt: str, length: int = 20, sampler: Sampler = GREEDY, **options: Any) -> str:
    ids = text_model.vocabulary.encode(prompt)
    return "".join(stream_text(text_model, ids, length=length, sampler=sampler, rng=np.random.default_rng(1), **options))


def test_a_text_follows_the_network_to_its_end() -> None:
    assert stream(model(), "b") == "cd"
    assert stream(model(), "") == "abcd"


def test_a_model_of_one_document_never_ends() -> None:
    text = stream(model(ends=False, sharpness=0), "a", length=300, sampler=sampler_of())
    assert len(text) == 300


def test_a_text_is_not_over_before_it_has_begun() -> None:
    for seed in range(30):
        texts = sample_texts(
            model(sharpness=0), VOCABULARY.encode(""), count=5, length=1, sampler=sampler_of(), rng=np.random.default_rng(seed)
        )
        assert all(len(text) == 1 for text in texts)


@pytest.mark.parametrize(
    ("until", "expected"), [("b", "ab"), ("ab", "ab"), ("cd", "abcd"), ("x", "abcd"), ("a", "a"), (None, "abcd")]
)
def test_until_ends_a_text_behind_it(until: str | None, expected: str) -> None:
    assert stream(model(), "", until=until) == expected
    texts = sample_texts(
        model(), VOCABULARY.encode(""), count=2, length=20, sampler=GREEDY, rng=np.random.default_rng(1), until=until
    )
    assert texts == [expected] * 2


@pytest.mark.parametrize("length", [0, 1, 3])
def test_length_is_the_most_that_is_written(length: int) -> None:
    assert stream(model(), "", length=length) == "abcd"[:length]
    assert (
        sample_texts(model(), VOCABULARY.encode(""), count=3, length=length, sampler=GREEDY, rng=np.random.default_rng(1))
        == ["abcd"[:length]] * 3
    )


@pytest.mark.parametrize(
    ("prompt", "seen"),
    [("", [2, 3, 4]), ("a", [3, 4, 1]), ("ab", [4, 1, 2]), ("abc", [1, 2, 3]), ("abcab", [1, 2, 3, 1, 2])],
)
def test_a_short_prompt_is_preceded_by_the_primer_and_a_long_one_read_whole(prompt: str, seen: list[int]) -> None:
    text_model = model(primer=(2, 3, 4), context=3)
    stream(text_model, prompt, length=1)
    assert text_model.network.seen == seen


def test_an_empty_prompt_has_something_to_follow_in_any_context() -> None:
    text_model = model(primer=(BOUNDARY,), context=1)
    assert stream(text_model, "") == "abcd"


def test_one_text_of_a_batch_is_the_streamed_one() -> None:
    sampler, prompt = sampler_of(temperature=2.0), VOCABULARY.encode("a")
    blurred = model(sharpness=1.0)
    (text,) = sample_texts(blurred, prompt, count=1, length=50, sampler=sampler, rng=np.random.default_rng(1))
    assert text == stream(blurred, "a", length=50, sampler=sampler)


def test_equal_seeds_give_equal_texts_and_others_other_ones() -> None:
    def texts(seed: int) -> list[str]:
        return sample_texts(
            model(sharpness=0), VOCABULARY.encode("a"), count=7, length=9, sampler=sampler_of(), rng=np.random.default_rng(seed)
        )

    assert texts(1) == texts(1) != texts(2)
    assert len(set(texts(1))) > 1


def test_a_text_that_has_ended_stays_ended() -> None:
    blurred = model(sharpness=2.0)
    texts = sample_texts(
        blurred, VOCABULARY.encode("a"), count=50, length=40, sampler=sampler_of(), rng=np.random.default_rng(3)
    )
    steps = replace(blurred, ends=False)
    endless = sample_texts(
        steps, VOCABULARY.encode("a"), count=50, length=40, sampler=sampler_of(), rng=np.random.default_rng(3)
    )
    assert len({len(text) for text in texts}) > 3
    assert {len(text) for text in endless} == {40}


def test_temperatures_take_turns_one_a_character() -> None:
    """At the cold turns the next letter comes, at the hot ones any."""
    endless = model(sharpness=3.0, ends=False)
    text = "d" + stream(endless, "d", length=400, sampler=sampler_of(temperature=(1e6, 0.0)))
    follows = [after == before + 1 or before == ord("d") for before, after in pairwise(map(ord, text))]
    assert all(follows[1::2])
    assert not all(follows[0::2])


def test_a_penalty_looks_back_on_what_was_drawn() -> None:
    """Greedily "a" would come for ever; a penalty makes way for the next best for as long as the window is."""
    steady = model(ends=False)
    steady.network.step = lambda ids: np.array([[0, 4, 3, 2, 1]], np.float32)

    def text(**options: Any) -> str:
        return stream(steady, "", length=6, sampler=sampler_of(temperature=0, **options))

    assert text() == "aaaaaa"
    assert text(repetition_penalty=9.0, repetition_window=1) == "ababab"
    assert text(repetition_penalty=9.0, repetition_window=2) == "abcabc"


def test_no_text_ends_before_its_least_length() -> None:
    even = model(sharpness=0)
    drawn = {"sampler": sampler_of(), "rng": np.random.default_rng(1)}
    texts = sample_texts(even, VOCABULARY.encode("a"), count=200, length=40, min_length=5, **drawn)
    assert min(map(len, texts)) == 5
    assert max(map(len, texts)) > 8
    assert len(stream(even, "a", sampler=sampler_of(), min_length=20, length=30)) >= 20


def test_a_continuation_tells_why_it_stopped() -> None:
    drawn = {"count": 1, "sampler": GREEDY, "rng": np.random.default_rng(1)}
    prompt = VOCABULARY.encode("a")
    assert continue_prompt(model(), prompt, length=4, **drawn) == [("bcd", "end")]
    assert continue_prompt(model(), prompt, length=3, **drawn) == [("bcd", "length")]
    assert continue_prompt(model(), prompt, length=3, until="bc", **drawn) == [("bc", "until")]
