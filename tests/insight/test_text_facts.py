from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.large_text import LargeText
from chargen.insight import text_facts
from chargen.insight.text_facts import CharacterCounts, Lengths, count_copies, script_of

texts_of = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=6)


@given(texts_of, st.integers(1, 10))
def test_characters_are_counted_across_texts(texts: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chargen.corpus.large_text.BATCH", block)
        counts = CharacterCounts.of(texts)
    assert counts.counts == Counter("".join(texts))
    assert counts.total == sum(map(len, texts))


def test_scripts_are_shares_of_the_letters() -> None:
    assert CharacterCounts.of(["abc жж 漢!", "1"]).scripts() == {"Latin": 3 / 6, "Cyrillic": 2 / 6, "Han": 1 / 6}
    assert CharacterCounts.of(["12 34"]).scripts() == {}


@pytest.mark.parametrize(
    ("letter", "script"),
    [("é", "Latin"), ("ü", "Latin"), ("ф", "Cyrillic"), ("カ", "Katakana"), ("한", "Hangul"), ("ا", "Arabic"), ("ก", "Thai")],
)
def test_script_of_a_letter(letter: str, script: str) -> None:
    assert script_of(letter) == script


@pytest.mark.parametrize("large", [False, True])
def test_rare_characters_are_found_where_they_are_first(large: bool) -> None:
    whole = ["aaaa\nbbbbé\n", "aaaaé\nñ"]
    texts = [LargeText([text]) if large else text for text in whole]
    rare = {one.character: (one.occurrences, one.first and one.first[:3]) for one in CharacterCounts.of(texts).rare(texts)}
    assert rare == {"ñ": (1, (1, 2, 1)), "é": (2, (0, 2, 5)), "\n": (3, (0, 1, 5))}


def test_a_place_that_spans_blocks_is_counted_from_the_start_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargen.corpus.large_text.BLOCK", 3)
    text = LargeText(["aaaa\nbbbbbbé"])
    (first,) = [one.first for one in CharacterCounts.of([text]).rare([text]) if one.character == "é"]
    assert first
    assert (first.line, first.column) == (2, 7)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=50))
def test_a_histogram_counts_every_document_once(lengths: list[int]) -> None:
    bars = Lengths(np.array(lengths)).histogram()
    assert [bar.documents for bar in bars] == [sum(bar.low <= one <= bar.high for one in lengths) for bar in bars]
    assert sum(bar.documents for bar in bars) == len(lengths)
    assert (bars[0].low, bars[-1].high) == (min(lengths), max(lengths))
    assert len(bars) <= text_facts.MAX_BARS + 1


def test_quantiles_are_lengths_of_documents() -> None:
    lengths = Lengths(np.arange(1, 101)).quantiles()
    assert lengths == {"min": 1, "25%": 25, "median": 50, "75%": 75, "90%": 90, "max": 100}


def test_copies_are_counted_without_the_first_of_each() -> None:
    assert count_copies(["a", "b", "a", "a", LargeText(["long"]), LargeText(["long"])]) == 3
