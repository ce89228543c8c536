import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.insight import copies
from chargen.insight.copies import Copy, CopyFinder, Origin

SOURCES = st.lists(st.text("ab", max_size=40) | st.text("abcdé\U0001f600\n", max_size=60), max_size=3)
PERIODIC = st.builds(lambda piece, times: [piece * times], st.text("ab", min_size=1, max_size=5), st.integers(1, 30))
TEXT = st.text("ab", max_size=40) | st.text("abcdeé\U0001f600\ud800\0\n", max_size=40)


@pytest.fixture(
    params=[(256, 24, 1 << 14, 63), (1, 6, 4, 12), (2, 100, 1, 12), (0, 9, 0, 16)], ids=["as-is", "short", "deep", "nothing"]
)
def _limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set limits so low that short texts use every way of sorting and comparing."""
    for name, value in zip(("FEW", "DEEP", "MANY", "KEY_BITS"), request.param, strict=True):
        monkeypatch.setattr(copies, name, value)


def slow_copies(text: str, sources: list[str]) -> Iterator[Copy]:
    """Yield the maximal copies, one after the other."""
    last = 0
    for start in range(len(text)):
        stop = start
        while stop < len(text) and any(text[start : stop + 1] in source for source in sources):
            stop += 1
        if stop > max(start, last):
            yield Copy(start, stop)
            last = stop


@pytest.mark.usefixtures("_limits")
@settings(max_examples=300, deadline=None)
@given(SOURCES | PERIODIC, TEXT)
def test_copies_are_those_of_a_slow_search(sources: list[str], text: str) -> None:
    finder = CopyFinder(sources)
    found = list(finder.copies(text))
    assert found == list(slow_copies(text, sources))
    for one in found:
        piece = text[one.start : one.stop]
        assert piece in finder
        origin = finder.origin(piece)
        assert origin.source == next(number for number, source in enumerate(sources) if piece in source)
        source = sources[origin.source]
        assert origin.line == 1 + source[: source.index(piece)].count("\n")


@pytest.mark.usefixtures("_limits")
@settings(max_examples=200, deadline=None)
@given(SOURCES, TEXT)
def test_a_text_is_in_the_corpus_or_not(sources: list[str], text: str) -> None:
    assert (text in CopyFinder(sources)) == any(text in source for source in sources) or not text


def test_no_copy_reaches_from_one_source_into_the_next() -> None:
    finder = CopyFinder(["one\n", "two\n"])
    assert [one.length for one in finder.copies("one\ntwo")] == [4, 3]
    assert finder.origin("two") == Origin(source=1, line=1)


def test_texts_of_every_length_around_the_keys() -> None:
    """Copies that end at the end of the text, at the end of the corpus, or at the depth to which positions are sorted."""
    rng = random.Random(4)
    corpus = "".join(rng.choices("abcdefgh", k=4000)) * 2
    finder = CopyFinder([corpus])
    for length in range(1, 100):
        for start in (0, 1000, len(corpus) - length):
            piece = corpus[start : start + length]
            assert list(finder.copies(piece)) == [Copy(0, length)]
            assert max(one.length for one in finder.copies(f"?{piece}?")) == length


def test_a_corpus_that_only_repeats_itself() -> None:
    finder = CopyFinder(["ab" * 50_000 + "c"])
    assert list(finder.copies("ab" * 300 + "ba" * 20 + "c")) == [Copy(0, 600), Copy(600, 640), Copy(640, 641)]
    assert list(finder.copies("ab" * 300 + "c")) == [Copy(0, 601)]
