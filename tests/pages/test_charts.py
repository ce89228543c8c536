import re
from html.parser import HTMLParser

import pytest

from chargen.pages.charts import Axis, Chart, axes_of, chart_data, draw, epoch_axis, points_of, value_axis
from chargen.runs.curves import Curve

CLASSIC = Curve(label="validation", run=0, held_out=True, epochs=(1, 2, 3, 7), values=(4.5, 3.25, 3.0, 3.5))
LEARNT = Curve(label="training", run=0, epochs=(1, 2, 3, 7), values=(4.0, 3.0, 2.5, 1.5))


class Shapes(HTMLParser):
    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def polylines(self) -> list[list[tuple[float, float]]]:
        lines = [str(one["points"]).split() for tag, one in self.found if tag == "polyline"]
        return [[(float(point.split(",")[0]), float(point.split(",")[1])) for point in line] for line in lines]


def test_places_are_the_values() -> None:
    chart = Chart(title="cross-entropy", unit="bits", curves=(LEARNT, CLASSIC), best="lowest")
    across, upward = axes_of(chart)
    for curve, line in zip(chart.curves, Shapes(draw(chart)).polylines(), strict=True):
        epochs = [across.low + x / 1000 * (across.high - across.low) for x, _ in line]
        values = [upward.high - y / 1000 * (upward.high - upward.low) for _, y in line]
        assert epochs == pytest.approx(curve.epochs, abs=0.01)
        assert values == pytest.approx(curve.values, abs=0.01)
    assert "validation: lowest 3 at epoch 3" in draw(chart)
    assert chart_data(chart)["curves"][0] == {"label": "training", "points": [[1, 4.0], [2, 3.0], [3, 2.5], [7, 1.5]]}


def test_held_out_text_is_drawn_through_and_what_was_learnt_dashed() -> None:
    shapes = Shapes(draw(Chart(title="", curves=(LEARNT, CLASSIC))))
    assert [one["class"] for tag, one in shapes.found if tag == "polyline"] == ["c1 beside", "c0"]
    alone = Shapes(draw(Chart(title="", curves=(LEARNT,))))
    assert [one["class"] for tag, one in alone.found if tag == "polyline"] == ["c0"]


def test_a_logarithmic_axis_leaves_out_what_has_no_place() -> None:
    curve = Curve(label="a", run=0, epochs=(1, 2, 3, 4), values=(1e-9, 0.0, 1e-3, 0.5))
    chart = Chart(title="", curves=(curve,), logarithmic=True)
    assert points_of(chart, curve) == [(1, 1e-9), (3, 1e-3), (4, 0.5)]
    (line,) = Shapes(draw(chart)).polylines()
    assert [y for _, y in line] == pytest.approx(
        [1000 * (1 - share) for share in _log_shares(chart, (1e-9, 1e-3, 0.5))], abs=0.01
    )
    nothing = Curve(label="a", run=0, epochs=(1,), values=(0.0,))
    assert draw(Chart(title="", curves=(nothing,), logarithmic=True)) == ""


def _log_shares(chart: Chart, values: tuple[float, ...]) -> list[float]:
    upward = axes_of(chart)[1]
    return [upward.share(value) for value in values]


def test_one_epoch_is_a_dot() -> None:
    curve = Curve(label="a", run=0, epochs=(3,), values=(2.0,))
    shapes = Shapes(draw(Chart(title="", curves=(curve,))))
    (dot,) = [one for tag, one in shapes.found if tag == "circle"]
    assert dot["cx"] == dot["cy"] == "50%"


@pytest.mark.parametrize("epochs", [[1], [1, 2], [1, 9], [3, 20], [1, 1000], [7, 123_456], [1, 10**12]])
def test_few_whole_epochs_bear_a_label(epochs: list[int]) -> None:
    axis = epoch_axis(epochs)
    assert all(isinstance(tick, int) and epochs[0] <= tick <= epochs[-1] for tick in axis.ticks)
    assert 1 <= len(axis.ticks) <= 9
    assert sorted(set(axis.ticks)) == axis.ticks


@pytest.mark.parametrize(
    "values", [[0.0], [5.0], [3.0, 3.0000000000000004], [0.0, 1.0], [2.99, 3.01], [0.0, 1e300], [1e-300, 2e-300], [0.1, 97.3]]
)
@pytest.mark.parametrize("logarithmic", [False, True])
def test_values_lie_within_their_axis(values: list[float], logarithmic: bool) -> None:
    values = [value for value in values if value or not logarithmic]
    if not values:
        return
    axis = value_axis(values, logarithmic=logarithmic)
    assert isinstance(axis, Axis)
    assert axis.low < axis.high
    assert all(-1e-9 <= axis.share(value) <= 1 + 1e-9 for value in values)
    assert 2 <= len(axis.ticks) <= 8


def test_labels_are_escaped() -> None:
    hostile = "</svg><script>alert(1)</script>"
    curve = Curve(label=hostile, run=0, epochs=(1, 2), values=(1.0, 2.0))
    drawn = draw(Chart(title=hostile, unit=hostile, curves=(curve,), second=(hostile, 0.5), best="lowest"))
    assert "<script" not in drawn
    assert not re.search(r"<svg[^>]*<", drawn)
