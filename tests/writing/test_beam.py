"""Beam search against all that can be written, on networks small enough to write it all."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.writing.beam import beam_search

L = 4
CHARACTERS = "abc"
Scored = dict[tuple[str, bool], float]  # by text and whether it is complete

RandomModel = Callable[..., TextModel]


def all_continuations(model: TextModel, prompt: str, *, banned: str = "", min_length: int = 0) -> Scored:
    """Score every continuation of up to L characters, by the network's plain steps from the zero state."""
    usable = [one for one in CHARACTERS if one not in banned]
    lengths = range(L + 1) if model.ends else [L]
    texts = ["".join(letters) for length in lengths for letters in product(usable, repeat=length)]
    scored = {}
    for text in texts:
        complete = len(text) < L and model.ends
        if complete and (len(text) < min_length or not prompt + text):
            continue
        scored[text, complete] = score(model, prompt, text, complete=complete, banned=banned, min_length=min_length)
    return scored


def score(model: TextModel, prompt: str, text: str, *, complete: bool, banned: str, min_length: int) -> float:
    room = max(model.context_length - len(prompt), 0 if prompt else 1)
    primer = list(model.primer[-room:]) if room else []
    given = [*primer, *model.vocabulary.encode(prompt).tolist()]
    written = [*model.vocabulary.encode(text).tolist(), *([0] if complete else [])]
    logits, _ = model.network.logits(np.array([given + written]), model.network.zero_state(1))
    total = 0.0
    for position, token in enumerate(written):
        row = logits[:, len(given) + position - 1].astype(np.float64)
        row[:, [1 + CHARACTERS.index(one) for one in banned]] = -np.inf
        if not model.ends or position < min_length or not prompt + text[:position]:
            row[:, 0] = -np.inf
        total += float(log_softmax(row)[0, token])
    return total


def search(model: TextModel, prompt: str, **options: Any) -> list[tuple[str, float, bool]]:
    found = beam_search(model, model.vocabulary.encode(prompt), length=L, **options)
    return [(one.text, one.log_probability, one.complete) for one in found]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("prompt", ["", "b", "abcab"])
@pytest.mark.parametrize("reading", ["line", "document"])
@pytest.mark.parametrize("limits", [{}, {"banned": "b"}, {"min_length": 2}], ids=str)
def test_a_wide_beam_finds_what_is_most_probable_of_all(
    limits: dict[str, Any], reading: str, prompt: str, seed: int, random_model: RandomModel
) -> None:
    model = random_model(reading=reading, characters=CHARACTERS, seed=seed)
    scored = all_continuations(model, prompt, **limits)
    options = limits | {"banned": tuple(1 + CHARACTERS.index(one) for one in limits.get("banned", ""))}
    found = search(model, prompt, width=200, **options)
    assert {(text, complete) for text, _, complete in found} == set(scored)
    np.testing.assert_allclose([log_probability for _, log_probability, _ in found], sorted(scored.values())[::-1], atol=1e-5)
    for text, log_probability, complete in found:
        assert log_probability == pytest.approx(scored[text, complete], abs=1e-5)
    assert sum(np.exp(value) for _, value, _ in found) == pytest.approx(1)  # all that can be, each once


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_narrow_beam_returns_its_width_best_first(width: int, random_model: RandomModel) -> None:
    model = random_model(reading="line", characters=CHARACTERS)
    scored = all_continuations(model, "a")
    found = search(model, "a", width=width)
    assert len({one[0::2] for one in found}) == width
    assert [one[1] for one in found] == sorted([one[1] for one in found], reverse=True)
    for text, log_probability, complete in found:
        assert log_probability == pytest.approx(scored[text, complete], abs=1e-5)


def test_a_wider_beam_finds_nothing_less_probable(random_model: RandomModel) -> None:
    for seed in range(10):
        model = random_model(reading="line", characters=CHARACTERS, seed=seed)
        best = [search(model, "", width=width)[0][1] for width in (1, 200)]
        assert best[0] <= best[1] + 1e-6  # float32 products depend on the number of rows


def test_until_completes_a_text(random_model: RandomModel) -> None:
    model = random_model(characters=CHARACTERS)
    found = search(model, "", width=200, until="ca")
    assert {text for text, _, complete in found if complete} == {
        one[: one.index("ca") + 2] for one in map("".join, product(CHARACTERS, repeat=L)) if "ca" in one
    }
    assert all("ca" not in text for text, _, complete in found if not complete)


def test_cut_texts_can_be_left_out(random_model: RandomModel) -> None:
    model = random_model(reading="line", characters=CHARACTERS)
    scored = all_continuations(model, "")
    found = search(model, "", width=200, only_complete=True)
    assert {one[0] for one in found} == {text for text, complete in scored if complete}
    assert all(complete for _, _, complete in found)


def test_nothing_is_written_at_length_zero(random_model: RandomModel) -> None:
    model = random_model()
    assert beam_search(model, model.vocabulary.encode("a"), width=3, length=0) == [("", 0.0, "length")]
