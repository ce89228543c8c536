from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.insight.terminal import Canvas, draw_text
from chargen.runs.curves import Curve, Panel

VALUES = st.lists(st.floats(0, 1e300), min_size=1, max_size=9).map(tuple)


def panel(*curves: tuple[float, ...]) -> Panel:
    return Panel(
        title="loss",
        curves=tuple(
            Curve(label=f"curve {run}", run=run, epochs=tuple(range(1, len(values) + 1)), values=values)
            for run, values in enumerate(curves)
        ),
    )


def test_braille_has_two_by_four_dots_in_a_character() -> None:
    canvas = Canvas(width=2, height=1, braille=True)
    assert (canvas.width, canvas.height) == (4, 4)
    for place in range(4):
        canvas.dot(place, place, 0)
    assert [line.plain for line in canvas.lines()] == ["⠑⢄"]


def test_where_curves_meet_the_later_one_is_seen() -> None:
    lines = draw_text([panel((2.0, 1.0), (1.0, 1.0))], width=14, height=4, braille=False).plain.splitlines()
    assert [line.partition("|")[2] for line in lines[1:5]] == ["**", "  ***", "     ***", "oooooooooo"]


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=12), st.integers(1, 60), st.integers(-3, 30), st.booleans())
def test_any_curves_fit_into_any_size(curves: list[tuple[float, ...]], width: int, height: int, braille: bool) -> None:
    title, *lines = draw_text([panel(*curves)], width=width, height=height, braille=braille).plain.splitlines()
    assert title == "loss"
    drawn = lines[: -len(curves)]
    assert len(drawn) == max(4, height) + 2
    margin = drawn[-2].index("└" if braille else "+") + 1
    assert max(map(len, drawn)) <= max(width, margin + 10)
