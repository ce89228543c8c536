"""Draw curves over epochs as inline SVG in the colours and the width of the page.

A chart has no fixed size: positions are percentages of its height and width, so letters and lines have the same size on every
screen.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chargen.pages.page import escaped
from chargen.runs.curves import Curve

SCALE = 1000  # width and height of the coordinates of polylines
COLOURS = 6  # classes c0 to c5 of report.css
VALUE_TICKS, EPOCH_TICKS = 5, 5  # on an axis, about
ALL_EPOCHS = 8  # with more, not every epoch has a tick
LEAST_RANGE = 1e-6  # smallest range of values to draw, as a share of the values
DOTTED = 12  # with more epochs, curves have no dots
MAX_POINTS = 2000  # points drawn of a curve, evenly spaced
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves over the same axes.

    unit: the unit of the values; second: another unit and its factor, for an axis on the right. logarithmic: whether the axis
    is; values that are not above 0 are left out. best: "lowest" or "highest", the value to print in the legend, and to mark on
    the curve of held-out text.
    """

    title: str
    curves: Sequence[Curve]
    unit: str = ""
    second: tuple[str, float] | None = None
    logarithmic: bool = False
    percent: bool = False
    best: str | None = None


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A range of numbers with ticks."""

    low: float
    high: float
    ticks: Sequence[float]
    logarithmic: bool = field(default=False)

    def share(self, value: float) -> float:
        """Return the position of a value, 0 for the lowest to 1 for the highest."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def points_of(chart: Chart, curve: Curve) -> list[tuple[int, float]]:
    """Return the points of a curve to draw."""
    points = [(epoch, value) for epoch, value in zip(curve.epochs, curve.values, strict=True) if _drawable(chart, value)]
    return [points[position] for position in selection(len(points), MAX_POINTS)]


def _drawable(chart: Chart, value: float) -> bool:
    return math.isfinite(value) and (value > 0 or not chart.logarithmic)


def selection(count: int, most: int) -> list[int]:
    """Return the indices of at most `most` of `count` items: all, or evenly spaced ones including both ends.

    >>> selection(9, 4)
    [0, 3, 5, 8]
    """
    if count <= most:
        return list(range(count))
    return [round(position * (count - 1) / (most - 1)) for position in range(most)]


def value_axis(values: Sequence[float], *, logarithmic: bool = False) -> Axis:
    """Return an axis whose first and last tick enclose the values.

    >>> value_axis([2.1, 3.9]).ticks
    [2.0, 2.5, 3.0, 3.5, 4.0]
    >>> value_axis([3e-4, 0.2], logarithmic=True).ticks
    [0.0001, 0.001, 0.01, 0.1, 1.0]
    """
    if logarithmic:
        first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        last = max(last, first + 1)
        every = math.ceil((last - first) / VALUE_TICKS)
        ticks = [10.0**power for power in range(first, last + every, every)]
        return Axis(low=ticks[0], high=ticks[-1], ticks=ticks, logarithmic=True)
    low, high = min(values), max(values)
    if high - low <= abs(high) * LEAST_RANGE:
        around = abs(high) / 10
        low, high = low - around, high + (around or 1)
    step = _nice_step((high - low) / (VALUE_TICKS - 1))
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [float(f"{number * step:.12g}") for number in range(first, last + 1)]
    return Axis(low=ticks[0], high=ticks[-1], ticks=ticks)


def epoch_axis(epochs: Sequence[int]) -> Axis:
    """Return the axis from the first epoch to the last, with ticks at integers; a single epoch is in the middle.

    >>> epoch_axis([1, 2, 20]).ticks
    [1, 5, 10, 15, 20]
    """
    first, last = min(epochs), max(epochs)
    if first == last:
        return Axis(low=first - 1, high=last + 1, ticks=[first])
    step = 1 if last - first < ALL_EPOCHS else math.ceil(_nice_step((last - first) / EPOCH_TICKS))
    ticks = [number * step for number in range(math.ceil(first / step), last // step + 1)]
    room = step / 2  # so that the labels at the ends fit
    return Axis(
        low=first,
        high=last,
        ticks=[first, *(tick for tick in ticks if tick - first >= room and last - tick >= room), last],
    )


def _nice_step(least: float) -> float:
    """Return the smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= least * (1 - 1e-9)), 10 * power)


def axes_of(chart: Chart) -> tuple[Axis, Axis]:
    """Return the axis of a chart's epochs and the axis of its values."""
    points = [point for curve in chart.curves for point in points_of(chart, curve)]
    return epoch_axis([epoch for epoch, _ in points]), value_axis([value for _, value in points], logarithmic=chart.logarithmic)


def draw(chart: Chart) -> str:
    """Return the figure of a chart with its legend, or "" if no value can be drawn."""
    if not any(points_of(chart, curve) for curve in chart.curves):
        return ""
    across, upward = axes_of(chart)
    second = f", {escaped(chart.second[0])} on the right" if chart.second else ""
    unit = f" <span>{escaped(chart.unit)}{second}</span>" if chart.unit else ""
    lines = [
        f'<figure class="chart"><figcaption><b>{escaped(chart.title)}</b>{unit}</figcaption>',
        f'<svg class="plot{" two" if chart.second else ""}" role="img" tabindex="0" aria-label="{escaped(_in_words(chart))}">',
        *_grid(chart, across, upward),
        *_curves(chart, across, upward),
        '<line class="cross" y1="0" y2="100%"/><rect class="hit" width="100%" height="100%"/>',
        "</svg>",
        '<p class="readout" aria-live="polite"></p>',
        _legend(chart),
        "</figure>",
    ]
    return "\n".join(lines)


def _grid(chart: Chart, across: Axis, upward: Axis) -> Iterator[str]:
    for tick in upward.ticks:
        y = _percent(1 - upward.share(tick))
        yield f'<line class="rule" x2="100%" y1="{y}" y2="{y}"/>'
        yield f'<text class="left" dx="-8" dy="4" y="{y}">{_label(chart, tick)}</text>'
        if chart.second:
            yield f'<text dx="8" dy="4" x="100%" y="{y}">{tick * chart.second[1]:.3g}</text>'
    for tick in across.ticks:
        x = _percent(across.share(tick))
        yield f'<line class="tick" x1="{x}" x2="{x}" y1="100%" y2="100%"/>'
        yield f'<text class="under" dy="18" x="{x}" y="100%">{tick:,}</text>'
    yield '<text class="under" dy="36" x="50%" y="100%">epoch</text>'


def _curves(chart: Chart, across: Axis, upward: Axis) -> Iterator[str]:
    yield f'<svg class="lines" viewBox="0 0 {SCALE} {SCALE}" preserveAspectRatio="none">'
    for number, curve in enumerate(chart.curves):
        positions = (
            f"{across.share(epoch) * SCALE:.2f},{(1 - upward.share(value)) * SCALE:.2f}"
            for epoch, value in points_of(chart, curve)
        )
        yield f'<polyline class="{_classes(chart, number)}" points="{" ".join(positions)}"/>'
    yield "</svg>"
    for number, curve in enumerate(chart.curves):
        points = points_of(chart, curve)
        best = _best(chart, curve)
        for point in points if len(points) <= DOTTED else [best] if best and curve.held_out else []:
            x, y = _percent(across.share(point[0])), _percent(1 - upward.share(point[1]))
            radius = 4 if point == best and curve.held_out else 2.5
            yield f'<circle class="{_classes(chart, number)}" cx="{x}" cy="{y}" r="{radius}"/>'


def _classes(chart: Chart, number: int) -> str:
    """Return the CSS class of a curve: held-out text has the first colour, training text next to it is dashed.

    Of several runs, each has its own colour.
    """
    if any(one.run for one in chart.curves):
        one = chart.curves[number]
        beside = any(other.held_out and other.run == one.run for other in chart.curves) and not one.held_out
        return f"c{one.run % COLOURS}{' beside' if beside else ''}"
    if not any(one.held_out for one in chart.curves):
        return f"c{number % COLOURS}"
    return "c0" if chart.curves[number].held_out else "c1 beside"


def _legend(chart: Chart) -> str:
    """Return the legend, or "" for a single curve without a description."""
    if len(chart.curves) == 1 and not chart.best:
        return ""
    swatches = (
        f'<svg class="swatch"><line class="{_classes(chart, number)}" y1="50%" y2="50%" x2="100%"/></svg>'
        for number in range(len(chart.curves))
    )
    described = (escaped(_described(chart, curve)) for curve in chart.curves)
    return f"<ul>{''.join(f'<li>{swatch}{text}</li>' for swatch, text in zip(swatches, described, strict=True))}</ul>"


def _described(chart: Chart, curve: Curve) -> str:
    best = _best(chart, curve)
    return f"{curve.label}: {chart.best} {_figure(chart, best[1])} at epoch {best[0]:,}" if best else curve.label


def _best(chart: Chart, curve: Curve) -> tuple[int, float] | None:
    points = points_of(chart, curve)
    if not chart.best or not points:
        return None
    return (min if chart.best == "lowest" else max)(points, key=lambda point: point[1])


def _in_words(chart: Chart) -> str:
    """Return the description of a chart for screen readers."""
    ends = []
    for curve in chart.curves:
        if points := points_of(chart, curve):
            (first, begin), (last, end) = points[0], points[-1]
            ends.append(f"{curve.label}: {_figure(chart, begin)} at epoch {first:,}, {_figure(chart, end)} at epoch {last:,}")
    return f"{chart.title}{f' in {chart.unit}' if chart.unit else ''}. {'; '.join(ends)}"


def chart_data(chart: Chart) -> dict[str, Any]:
    """Return the data of a chart's points for the page's script."""
    across, _ = axes_of(chart)
    return {
        "low": across.low,
        "high": across.high,
        "percent": chart.percent,
        "second": chart.second and list(chart.second),
        "unit": chart.unit,
        "curves": [{"label": curve.label, "points": [list(one) for one in points_of(chart, curve)]} for curve in chart.curves],
    }


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _figure(chart: Chart, value: float) -> str:
    return f"{value:.1%}" if chart.percent else f"{value:.4g}"


def _label(chart: Chart, tick: float) -> str:
    """Return the label of a tick."""
    if chart.percent:
        return f"{100 * tick:.4g}%"
    if chart.logarithmic and not 1e-3 <= tick <= 1e4:
        return f"10{str(round(math.log10(tick))).translate(_SUPERSCRIPTS)}"
    return f"{tick:,.6g}"
