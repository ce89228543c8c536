"""Draw curves in a terminal.

With colours the curves are drawn in Braille characters, which have two by four dots. Without colours each curve has its own
ASCII mark, which every log, mail and font shows in the same way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from rich.console import Console
from rich.text import Text

from chargen.runs.curves import Curve, Panel
from chargen.terminal import sanitized

COLOURS = ("blue", "yellow", "green", "magenta", "cyan", "red")
MARKS = "*o+x#@%&"
MIN_WIDTH, MIN_HEIGHT, MAX_HEIGHT = 10, 4, 20  # of the canvas, in characters
LINES_AROUND = 8  # lines of a terminal for title, axis, legend and the next prompt

# The bit of each dot in a Braille character, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_EMPTY_BRAILLE = 0x2800


class Canvas:
    """Characters to draw curves on; if two curves meet, the colour or mark of the later one remains."""

    def __init__(self, *, width: int, height: int, braille: bool) -> None:
        self._braille = braille
        self._owner: list[list[int | None]] = [[None] * width for _ in range(height)]
        self._dots = [[0] * width for _ in range(height)]
        self._columns, self._rows = (2, 4) if braille else (1, 1)  # dots in a character

    @property
    def width(self) -> int:
        """The width in dots."""
        return len(self._dots[0]) * self._columns

    @property
    def height(self) -> int:
        """The height in dots."""
        return len(self._dots) * self._rows

    def dot(self, x: int, y: int, curve: int) -> None:
        """Set a dot; x and y count from the top left."""
        row, column = y // self._rows, x // self._columns
        self._owner[row][column] = curve
        self._dots[row][column] |= _DOTS[y % self._rows][x % self._columns]

    def lines(self) -> Iterator[Text]:
        """Yield the lines from top to bottom."""
        for owners, dots in zip(self._owner, self._dots, strict=True):
            line = Text()
            for owner, bits in zip(owners, dots, strict=True):
                if owner is None:
                    line.append(" ")
                else:
                    line.append(chr(_EMPTY_BRAILLE + bits) if self._braille else mark(owner), style(owner, self._braille))
            line.rstrip()
            yield line


def mark(curve: int) -> str:
    """Return the ASCII character that draws a curve."""
    return MARKS[curve % len(MARKS)]


def style(curve: int, coloured: bool) -> str:
    """Return the colour of a curve, or "" without colours."""
    return COLOURS[curve % len(COLOURS)] if coloured else ""


def draw_on(console: Console, panels: Sequence[Panel]) -> str:
    """Return panels as wide as a console: in colours if it has some and they are not switched off, else in ASCII."""
    coloured = console.is_terminal and console.color_system is not None and not console.no_color
    braille = coloured and not console.options.ascii_only
    shown = [_sanitized(panel) for panel in panels] if console.is_terminal else panels
    text = draw_text(shown, width=console.width, height=min(MAX_HEIGHT, console.height - LINES_AROUND), braille=braille)
    with console.capture() as captured:
        console.print(text, soft_wrap=True)
    return captured.get()


def _sanitized(panel: Panel) -> Panel:
    """Return a panel with labels that are safe for a terminal; they contain names of folders."""
    return replace(panel, curves=tuple(replace(curve, label=sanitized(curve.label)) for curve in panel.curves))


def draw_text(panels: Sequence[Panel], *, width: int, height: int, braille: bool) -> Text:
    """Return panels below each other: the first one `height` lines high, the others half as high."""
    blocks = []
    for position, panel in enumerate(panels):
        lines = max(MIN_HEIGHT, height if position == 0 else height // 2)
        blocks.append(Text("\n").join(_panel_lines(panel, width=width, height=lines, braille=braille)))
    return Text("\n\n").join(blocks)


def _panel_lines(panel: Panel, *, width: int, height: int, braille: bool) -> Iterator[Text]:
    low, high = _range([value for curve in panel.curves for value in curve.values])
    first, last = _range([float(epoch) for curve in panel.curves for epoch in curve.epochs])
    ticks = {row: f"{high - (high - low) * row / (height - 1):.3g}" for row in (0, (height - 1) // 2, height - 1)}
    margin = max(map(len, ticks.values()))
    canvas = Canvas(width=max(MIN_WIDTH, width - margin - 2), height=height, braille=braille)
    for number, curve in enumerate(panel.curves):
        for x, y in _line_dots(_dots(curve, canvas, (first, last), (low, high))):
            canvas.dot(x, y, number)
    side, corner, floor = "│└─" if braille else "|+-"
    yield Text(panel.title)
    for row, line in enumerate(canvas.lines()):
        yield Text(f"{ticks.get(row, ''):>{margin}} {side}").append_text(line)
    columns = canvas.width // (2 if braille else 1)
    yield Text(" " * (margin + 1) + corner + floor * columns)
    yield Text(" " * (margin + 2) + _epoch_axis(panel, columns))
    for number, curve in enumerate(panel.curves):
        yield _legend(curve, number, margin=margin, braille=braille)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the smallest and the largest value; for equal values, a range around them."""
    low, high = min(values), max(values)
    around = max(0.5, abs(high) / 2)
    return (low, high) if low < high else (low - around, high + around)


def _dots(curve: Curve, canvas: Canvas, across: tuple[float, float], upward: tuple[float, float]) -> list[tuple[int, int]]:
    """Return the dots of a curve's points, (x, y) from the top left, given the ranges of the axes."""
    positions = []
    for epoch, value in zip(curve.epochs, curve.values, strict=True):
        x = (epoch - across[0]) / (across[1] - across[0])
        y = (upward[1] - value) / (upward[1] - upward[0])
        positions.append((round(x * (canvas.width - 1)), round(y * (canvas.height - 1))))
    return positions


def _line_dots(positions: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the dots of straight lines between consecutive points."""
    yield positions[0]
    for (x, y), (to_x, to_y) in pairwise(positions):
        steps = max(abs(to_x - x), abs(to_y - y), 1)
        for step in range(1, steps + 1):
            yield x + round((to_x - x) * step / steps), y + round((to_y - y) * step / steps)


def _epoch_axis(panel: Panel, width: int) -> str:
    """Return the label line of the axis: the first epoch, the word, the last epoch."""
    epochs = [epoch for curve in panel.curves for epoch in curve.epochs]
    first, last = str(min(epochs)), str(max(epochs))
    if first == last:
        return f"epoch {first}".center(width).rstrip()
    return first + "epoch".center(max(5, width - len(first) - len(last))) + last


def _legend(curve: Curve, number: int, *, margin: int, braille: bool) -> Text:
    value = min(curve.values)
    lowest = f"lowest {value:.4g} after epoch {curve.epochs[curve.values.index(value)]}"
    sign = "━" if braille else mark(number)
    return Text(" " * (margin + 2)).append(sign, style(number, braille)).append(f" {curve.label}: {lowest}")
