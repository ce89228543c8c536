"""The sentence of judgement in a report."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from chargen.insight.assessment import Row
from chargen.pages.verdict import verdict


def rows(model: float, **baselines: float) -> list[Row]:
    def quality(bits: float) -> Any:
        return SimpleNamespace(bits_per_character=bits, cross_entropy=bits * math.log(2))

    some = [Row("stream", "model", "held out", quality(model))]
    return some + [Row(name.replace("_", "-"), "baseline", "held out", quality(bits)) for name, bits in baselines.items()]


def record(best: int | None = None, last: int = 9) -> Any:
    history = SimpleNamespace(epochs=[SimpleNamespace(epoch=number) for number in range(1, last + 1)])
    return SimpleNamespace(history=history, best={"best_epoch": best})


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (2.2, "2.20 bits a character, ahead of the 2-gram and gzip, behind the 3-gram."),
        (1.0, "1.00 bits a character, ahead of all 3 baselines."),
        (5.0, "5.00 bits a character, behind gzip and the 2-gram."),
    ],
)
def test_it_names_the_nearest_baselines(bits: float, expected: str) -> None:
    assert verdict(record(), rows(bits, gzip=4.0, **{"3_gram": 2.0, "2_gram": 2.5})) == expected


@pytest.mark.parametrize(
    ("best", "part"), [(9, "train longer"), (2, "not improved since epoch 2 of 9"), (8, "best epoch was 8 of 9")]
)
def test_it_says_what_the_epochs_mean(best: int, part: str) -> None:
    assert part in verdict(record(best), ())
    assert verdict(record(best), ())[0] == "I"
    assert part in verdict(record(best), rows(2.2, gzip=4.0))


def test_without_figures_there_is_none() -> None:
    assert verdict(record(), ()) == ""
