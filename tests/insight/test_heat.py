import io

import pytest
from rich.console import Console

from chargen.insight.heat import ACTIVATION_COLOURS, BIT_COLOURS, Heat, activation_level, bits_level, draw_heat

HEAT = [Heat("a", ""), Heat("b", "#ff0000", "^"), Heat("\u65e5", "#ff0000", "^"), Heat("\n", "#ff0000")]


def console(**options: object) -> Console:
    return Console(file=io.StringIO(), width=20, _environ={}, **options)  # type: ignore[arg-type]


def test_marks_stand_below_where_there_are_no_colours() -> None:
    assert draw_heat(console(), HEAT, indent=2) == "  ab\u65e5\n   ^^^\n"
    assert draw_heat(console(), HEAT[:1]) == "a\n"
    assert draw_heat(console(force_terminal=True, no_color=True, color_system="truecolor"), HEAT) == "ab\u65e5\n ^^^\n"


def test_colours_are_for_terminals() -> None:
    shown = draw_heat(console(force_terminal=True, color_system="truecolor"), HEAT)
    assert shown == "a\x1b[30;48;2;255;0;0mb\u65e5 \x1b[0m\n"


def test_long_lines_are_wrapped_with_their_marks() -> None:
    shown = draw_heat(console(), [Heat("abcdefgh", "", "."), Heat("ijklmnop", "", "-"), Heat("qrst", "", "+")], indent=2)
    assert shown == "  abcdefghijklmnop\n  ........--------\n  qrst\n  ++++\n"


@pytest.mark.parametrize("colours", [{}, {"force_terminal": True, "color_system": "truecolor"}])
def test_no_text_moves_the_cursor_or_is_markup(colours: dict[str, object]) -> None:
    pieces = ["\x1b", "[31m", "\x9b", "\u202e", "\r", "\t", "[bold]", ":smile:", "\ud800", "\x00"]
    shown = draw_heat(console(**colours), [Heat(piece, "", "") for piece in pieces])
    assert shown.replace("\n", "") == "\u241b[31m\ufffd\ufffd\u240d [bold]:smile:\ufffd\u2400"


def test_levels() -> None:
    assert [bits_level(bits) for bits in (0, 0.9, 1, 8.99, 9, 50)] == [0, 0, 1, 8, 9, 9]
    assert len(BIT_COLOURS) == 10
    assert [activation_level(value) for value in (-1, -0.99, -0.1, 0, 0.1, 0.99, 1)] == [0, 0, 3, 3, 3, 6, 6]
    assert ACTIVATION_COLOURS[3] == ""
