"""Show a run or a model in a notebook: a table of facts, the curve of the losses, and the newest sample texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from chargen.inline import light_colour
from chargen.insight.layers import describe_networks
from chargen.pages.page import escaped
from chargen.runs.config import read_settings
from chargen.runs.directory import RunDirectory
from chargen.runs.metrics import read_history
from chargen.runs.samples import read_samples

WIDTH, HEIGHT = 360, 120  # of the curve, in pixels
COLOURS = {"training": light_colour("curve-1"), "validation": light_colour("fill")}  # seen on light and on dark notebooks
LONGEST_SAMPLE = 400  # characters shown of a text

Losses = Sequence[float | None]


def run_card(run: RunDirectory) -> str:
    """Return the card of a run. Raises RunError for one without settings."""
    settings = read_settings(run)
    network, training = settings.network, settings.training
    epochs = read_history(run.metrics, name=run.name).epochs if run.metrics.is_file() else ()
    losses, held_out = [one.cross_entropy for one in epochs], [one.validation_cross_entropy for one in epochs]
    facts = {
        "text": ", ".join(settings.corpus.files),
        "network": describe_networks([network] * training.members),
        "learning": f"{training.optimizer} at {training.learning_rate:g}, {len(epochs)} of {training.epochs_of_all} epochs",
    }
    if losses:
        facts["loss"] = f"{losses[-1]:.3f}"
    if measured := [(loss, one.epoch) for loss, one in zip(held_out, epochs, strict=True) if loss is not None]:
        facts["val_loss"] = f"{min(measured)[0]:.3f}, the best, of epoch {min(measured)[1]}"
    samples = read_samples(run.samples)
    newest = [f"{one.diversity:g}: {one.text}" for one in samples if one.epoch == samples[-1].epoch]
    return card(run.name, facts, curves={"training": losses, "validation": held_out}, texts=newest)


def card(title: str, facts: Mapping[str, Any], *, curves: Mapping[str, Losses] | None = None, texts: Sequence[str] = ()) -> str:
    """Return a fragment of HTML without scripts; texts of unknown origin are escaped.

    curves: the losses of the epochs by name, of `COLOURS`; None where one was not measured.
    """
    rows = "".join(f"<tr><th>{escaped(str(name))}</th><td>{escaped(str(value))}</td></tr>" for name, value in facts.items())
    samples = "".join(
        f'<pre style="white-space:pre-wrap;margin:.3em 0">{escaped(text[:LONGEST_SAMPLE])}</pre>' for text in texts
    )
    return f"<div><b>{escaped(title)}</b><table>{rows}</table>{_drawn(curves or {})}{samples}</div>"


def _drawn(curves: Mapping[str, Losses]) -> str:
    """Return the curves as SVG, nothing for fewer than two epochs."""
    known = [value for losses in curves.values() for value in losses if value is not None]
    if max(map(len, curves.values()), default=0) < 2 or not known:
        return ""
    low, high = min(known), max(known)
    lines = "".join(
        f'<polyline fill="none" stroke="{COLOURS[name]}" stroke-width="1.5" points="{_points(losses, low, high)}"/>'
        for name, losses in curves.items()
    )
    legend = ", ".join(f'<span style="color:{COLOURS[name]}">{name}</span>' for name in curves)
    described = f"loss from {high:.3f} to {low:.3f} nats"
    picture = f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{described}">{lines}</svg>'
    return f"<div>{picture}<div>{described}: {legend}</div></div>"


def _points(losses: Losses, low: float, high: float) -> str:
    across, upward = WIDTH / max(1, len(losses) - 1), (HEIGHT - 4) / ((high - low) or 1)
    places = ((number * across, 2 + (high - value) * upward) for number, value in enumerate(losses) if value is not None)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
