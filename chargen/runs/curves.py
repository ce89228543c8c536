"""Plot training curves with matplotlib."""

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chargen.errors import ChargenError, RunError
from chargen.files import write_atomically
from chargen.runs.metrics import VALIDATION, History

NATS = {"bits": math.log(2), "nats": 1.0}  # nats in one unit

# Suffixes of the files that can be drawn, each with the metadata that keeps the date out of the file.
FORMATS: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A figure of one run, by epoch."""

    label: str
    run: int  # position among the runs drawn
    held_out: bool = False  # measured on the validation split
    epochs: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Curves over the same axes; `title` says what the values are."""

    title: str
    curves: tuple[Curve, ...]


def make_panels(histories: Sequence[History], *, unit: str | None = None) -> list[Panel]:
    """Return the panel of the cross-entropies, and that of the learning rates if one of them varies.

    unit: "bits" or "nats"; by default bits, but nats for classifiers, as training prints them.
    """
    classify = bool(histories) and all("accuracy" in history.rows[0] for history in histories)
    unit = unit or ("nats" if classify else "bits")
    losses, rates = [], []
    for run, history in enumerate(histories):
        suffix = f", {history.name}" if len(histories) > 1 else ""
        losses.append(_curve(history, f"training{suffix}", "cross_entropy", run=run, scale=NATS[unit]))
        if any(one.validation_cross_entropy is not None for one in history.epochs):
            losses.append(_curve(history, f"validation{suffix}", VALIDATION, run=run, scale=NATS[unit], held_out=True))
        rates.append(_curve(history, f"learning rate{suffix}", "learning_rate", run=run))
    panels = [Panel(title=f"cross-entropy, {unit} a {'text' if classify else 'character'}", curves=tuple(losses))]
    if any(len(set(rate.values)) > 1 for rate in rates):
        panels.append(Panel(title="learning rate", curves=tuple(rates)))
    return panels


def _curve(
    history: History,
    label: str,
    figure: str,
    *,
    run: int,
    scale: float = 1.0,
    held_out: bool = False,
) -> Curve:
    """Return the curve of one figure of a history, divided by `scale`, without the epochs that lack it."""
    points = [(one.epoch, number / scale) for one in history.epochs if (number := getattr(one, figure)) is not None]
    epochs, values = zip(*points, strict=True)
    return Curve(label=label, run=run, held_out=held_out, epochs=epochs, values=values)


def check_output(path: Path) -> None:
    """Raise ChargenError if a file of this name cannot be drawn, or matplotlib is not installed."""
    if path.suffix.lower() not in FORMATS:
        raise ChargenError(f"cannot draw into {path}", hint=f"give a name that ends in {', '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ChargenError(
            f"drawing into {path} needs matplotlib", hint="pip install matplotlib, or leave --output out"
        ) from error


def draw_file(panels: Sequence[Panel], path: Path) -> None:
    """Draw panels below each other into a .png, .svg or .pdf file; the same panels give the same bytes.

    Raises ChargenError as `check_output` does, and RunError if the file cannot be written.
    """
    check_output(path)
    from matplotlib import rc_context

    kind = path.suffix.lower()
    image = io.BytesIO()
    with rc_context({"svg.hashsalt": "chargen", "text.parse_math": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
        _figure(panels).savefig(image, format=kind[1:], metadata=FORMATS[kind], dpi=150)
    try:
        write_atomically(path, image.getvalue())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}", hint="choose another file with --output") from error


def _figure(panels: Sequence[Panel]) -> Any:
    """Return a figure with a row for each panel: a colour for each run, training dashed where validation is drawn too."""
    from matplotlib.figure import Figure

    heights = [3.0, *[1.5] * (len(panels) - 1)]
    figure = Figure(figsize=(7.0, 1.0 + sum(heights)), layout="constrained")  # inches
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        validated = {curve.run for curve in panel.curves if curve.held_out}
        for curve in panel.curves:
            style = "--" if curve.run in validated and not curve.held_out else "-"
            marker = "o" if len(curve.epochs) == 1 else ""  # one point makes no line
            axes.plot(curve.epochs, curve.values, style, marker=marker, color=f"C{curve.run % 10}", label=curve.label)
        axes.set_ylabel(panel.title)
        axes.grid(alpha=0.3)
    rows[0].legend(fontsize=8)
    rows[-1].set_xlabel("epoch")
    rows[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure
