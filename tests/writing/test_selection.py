from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chargen.errors import ConfigError, SamplingError
from chargen.network.model_file import TextModel
from chargen.settings.writing import WritingOptions
from chargen.writing.generation import Continuation
from chargen.writing.prompt import read_prompt
from chargen.writing.selection import BATCH_SIZE, Constraints, distinct_continuations, select_texts
from tests.writing.samplers import sampler_of

RandomModel = Callable[..., TextModel]


def drawn(seed: int = 1, **options: Any) -> dict[str, Any]:
    return {"length": 20, "sampler": sampler_of(), "rng": np.random.default_rng(seed)} | options


def constraints(**options: Any) -> Constraints:
    return Constraints(WritingOptions(**options))


@pytest.mark.parametrize(
    ("wanted", "text", "complete", "accepted"),
    [
        ({}, "bc", False, True),
        ({"must_contain": "ab"}, "bc", False, True),  # the prompt "a" counts
        ({"must_contain": "B"}, "bc", False, False),
        ({"max_length": 3}, "bc", True, True),
        ({"max_length": 3}, "bc", False, False),
        ({"max_length": 3}, "bcd", True, False),
        ({"max_length": 9, "must_contain": "d"}, "bc", True, False),
    ],
)
def test_what_is_accepted(wanted: dict[str, Any], text: str, complete: bool, accepted: bool) -> None:
    assert constraints(**wanted).accepts("a", Continuation(text, "end" if complete else "length")) is accepted


def test_only_whole_lines_within_the_limit_come(random_model: RandomModel) -> None:
    model = random_model(reading="line", characters="abc")
    prompt = read_prompt(model.vocabulary, "a")
    wanted = constraints(max_length=4, must_contain="b")
    texts = select_texts(model, prompt, count=30, constraints=wanted, tries=9000, **drawn(length=wanted.length_after("a")))
    assert len(texts) == 30
    assert max(len(one.text) for one in texts) == 3  # and the prompt
    assert all("b" in one.text for one in texts)
    assert texts == select_texts(
        model, prompt, count=30, constraints=wanted, tries=9000, **drawn(length=wanted.length_after("a"))
    )


def test_what_is_selected_are_the_plain_draws_that_fit(random_model: RandomModel) -> None:
    """Rejection: with the same random numbers, the texts of a first batch that fit, in their order."""
    model = random_model(reading="line", characters="abc")
    prompt = read_prompt(model.vocabulary, "")
    everything = select_texts(model, prompt, count=BATCH_SIZE, constraints=Constraints(), tries=BATCH_SIZE, **drawn())
    fitting = [one for one in everything if "ba" in one.text]
    assert 4 < len(fitting) < BATCH_SIZE
    assert (
        select_texts(model, prompt, count=4, constraints=constraints(must_contain="ba"), tries=BATCH_SIZE, **drawn())
        == fitting[:4]
    )


@pytest.mark.parametrize("tries", [1, 7, BATCH_SIZE, BATCH_SIZE + 3])
def test_it_gives_up_after_the_tries(tries: int, random_model: RandomModel) -> None:
    model = random_model(reading="line", characters="abc")
    seen = []

    class Counting(Constraints):
        def accepts(self, prompt: str, continuation: Continuation) -> bool:
            seen.append(continuation)
            return len(seen) == 1

    with pytest.raises(SamplingError, match=f"1 of {tries} drawn texts satisfy the conditions, expected 2"):
        select_texts(model, read_prompt(model.vocabulary, ""), count=2, constraints=Counting(), tries=tries, **drawn())
    assert len(seen) == tries


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"min_length": 5, "max_length": 4}, "--min-length 5 is more than --max-length 4"),
        ({"must_contain": "abcde", "max_length": 4}, "'abcde' is longer than --max-length 4"),
    ],
)
def test_wishes_that_exclude_each_other_are_refused(wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        WritingOptions(**wanted)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"max_length": 1}, "the prompt has 2 characters, --max-length is 1"),
        ({"must_contain": "x"}, r"no text can contain 'x': the model has never seen 'x' \(U\+0078\)"),
        ({"must_contain": "cc"}, "--must-contain 'cc' needs 'c', which --ban forbids"),
    ],
)
def test_what_no_text_can_be_is_refused(wanted: dict[str, Any], told: str, random_model: RandomModel) -> None:
    with pytest.raises(ConfigError, match=told):
        constraints(**wanted).check(random_model(reading="line", characters="abc"), "ab", banned=(3,))


def test_what_the_prompt_holds_may_be_banned(random_model: RandomModel) -> None:
    constraints(must_contain="b").check(random_model(reading="line", characters="abc"), "ab", banned=(2,))


@pytest.mark.parametrize("wanted", [constraints(min_length=1), constraints(max_length=9)])
def test_lengths_are_for_models_that_end(wanted: Constraints, random_model: RandomModel) -> None:
    with pytest.raises(ConfigError, match="needs a model of lines"):
        wanted.check(random_model(), "")
    wanted.check(random_model(reading="line"), "")


def test_continuations_to_choose_from_differ_and_are_not_empty(random_model: RandomModel) -> None:
    model = random_model(reading="line", characters="ab")
    found = distinct_continuations(model, read_prompt(model.vocabulary, "a"), count=6, **drawn(length=2))
    texts = [one.text for one in found]
    assert "" not in texts
    assert len(set(texts)) == len(texts) <= 6
    assert len(distinct_continuations(model, read_prompt(model.vocabulary, "a"), count=2, **drawn())) == 2
