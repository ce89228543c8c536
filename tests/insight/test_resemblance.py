from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.insight.resemblance import LineFinder, Resemblance, edit_distance

LINES = st.lists(st.text("abcé", max_size=9), max_size=30)
LINE = st.text("abcéx", max_size=9)


def slow_distance(one: str, other: str) -> int:
    if not one or not other:
        return len(one) + len(other)
    replaced = slow_distance(one[1:], other[1:]) + (one[0] != other[0])
    return min(replaced, slow_distance(one[1:], other) + 1, slow_distance(one, other[1:]) + 1)


@settings(deadline=None)
@given(st.text("ab", max_size=5), st.text("abc", max_size=5))
def test_edits_are_those_of_the_definition(one: str, other: str) -> None:
    exact = slow_distance(one, other)
    for most in range(7):
        assert edit_distance(one, other, most) == min(exact, most + 1)


@settings(deadline=None, max_examples=300)
@given(LINES, LINE)
def test_the_nearest_line_is_found(lines: list[str], line: str) -> None:
    distances = [edit_distance(line, one, 9) for one in lines]
    least = min(distances, default=9)
    found = LineFinder(lines).nearest(line)
    if least == 0 or least > min(2, (len(line) - 1) // 2):
        assert found is None
    else:
        assert found == Resemblance(line, found.nearest, least)  # type: ignore[union-attr]
        assert distances[lines.index(found.nearest)] == least


def test_long_lines_are_left_out() -> None:
    finder = LineFinder(["a" * 81, "b" * 80])
    assert finder.nearest("a" * 80) is None
    assert finder.nearest("b" * 79) == Resemblance("b" * 79, "b" * 80, 1)
    assert finder.nearest("b" * 81) is None


def test_surrogates_and_a_corpus_without_lines() -> None:
    assert LineFinder([]).nearest("abc") is None
    assert LineFinder(["ab\ud800d"]).nearest("abcd") == Resemblance("abcd", "ab\ud800d", 1)
