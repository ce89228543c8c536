"""Measure what an n-gram memory is worth beside a network: nats a character, copies from the text, seconds of writing."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.commands import Split, evaluate, novelty, sample_seconds
from benchmarks.quality import split_of, trained_once

Rows = list[dict[str, Any]]


class Measured(NamedTuple):
    """A text and the options of its training."""

    text: str
    options: tuple[object, ...]


MEASURED = (
    Measured("tinyshakespeare", ("--hidden-size", 512, "--embedding", 128, "--epochs", 8, "--validation-split", 0.05)),
    Measured("names", ("--hidden-size", 256, "--epochs", 15, "--validation-split", 0.05)),
)
TEXTS = tuple(one.text for one in MEASURED)
WEIGHTS = (0.0, 0.1, None)  # None: as chosen in training
WRITTEN: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("one text", ("--length", 20_000)),
    ("512 texts", ("--count", 512, "--length", 40, "--no-distinct")),
)


def measure(*, texts: tuple[str, ...] = TEXTS, runs_dir: Path | None = None) -> Rows:
    """Train on each text for some epochs and measure the model with its memory and without.

    Trainings are stored in `runs_dir` if given; existing ones are not repeated.
    """
    rows: Rows = []
    for one in (one for one in MEASURED if one.text in texts):
        with nullcontext(runs_dir) if runs_dir else tempfile.TemporaryDirectory() as name:
            folder = Path(name) / f"{one.text}-memory"
            folder.mkdir(parents=True, exist_ok=True)
            split = split_of(one.text, folder)
            rows += _measured(one.text, trained_once(split, one.options, folder).run / "model.safetensors", split)
    return rows


def _measured(text: str, model: Path, split: Split) -> Rows:
    rows = [_row(f"{text}, {way}", nats, "nats") for way, nats in evaluate(model, text=split.test).items()]
    for weight in WEIGHTS:
        named = "as chosen" if weight is None else f"{weight:g}"
        rows.append(_row(f"{text}, within copies, weight {named}", novelty(model, weight), "share"))
    for what, options in WRITTEN:
        for weight in (0.0, None):
            named = "with memory" if weight is None else "network alone"
            rows.append(_row(f"{text}, {what}, {named}", sample_seconds(model, weight, *options), "s"))
    return rows


def _row(what: str, value: float, unit: str) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": value, "min": value, "max": value}
