"""Measure what an n-gram memory and a cache are worth beside a network: nats a character, copies, seconds of writing."""

import dataclasses
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.commands import Split, evaluate, novelty, sample_seconds
from benchmarks.mixtures import compare_means
from benchmarks.quality import split_of, trained_once
from chargen.network.model_file import load_model, save_model

Rows = list[dict[str, Any]]


class Measured(NamedTuple):
    """A text, the options of its training, and those of the texts in which copies are counted."""

    text: str
    training: tuple[object, ...]
    drawn: tuple[object, ...]


MEASURED = (
    Measured(
        "tinyshakespeare",
        ("--hidden-size", 512, "--embedding", 128, "--epochs", 4, "--validation-split", 0.05),
        ("--count", 12, "--length", 4000),
    ),
    Measured("names", ("--hidden-size", 256, "--epochs", 15, "--validation-split", 0.05), ("--count", 1000)),
)
TEXTS = tuple(one.text for one in MEASURED)
ALONE, CHOSEN = "network alone", "with the memory"
WAYS: dict[str, tuple[object, ...]] = {
    ALONE: ("--memory", 0),
    "with the memory at 0.1": ("--memory", 0.1),
    CHOSEN: (),
    "with memory and cache 0.3": ("--cache", 0.3),
    "with memory and cache 0.9": ("--cache", 0.9),
}
TIMED = (ALONE, CHOSEN, "with memory and cache 0.9")
WRITTEN: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("one text", ("--length", 10_000)),
    ("512 texts", ("--count", 512, "--length", 40, "--no-distinct")),
)


def measure(*, texts: tuple[str, ...] = TEXTS, runs_dir: Path | None = None) -> Rows:
    """Train on each text for some epochs and measure the model in each way. It takes less than ten minutes on two cores.

    Trainings are stored in `runs_dir` if given; existing ones are not repeated.
    """
    rows: Rows = []
    for one in (one for one in MEASURED if one.text in texts):
        with nullcontext(runs_dir) if runs_dir else tempfile.TemporaryDirectory() as name:
            folder = Path(name) / f"{one.text}-memory"
            folder.mkdir(parents=True, exist_ok=True)
            split = split_of(one.text, folder)
            rows += _measured(one, trained_once(split, one.training, folder).run / "model.safetensors", split)
    return rows


def _measured(one: Measured, model: Path, split: Split) -> Rows:
    figures = evaluate(model, text=split.test, options=("--cache",))
    rows = [_row(f"{one.text}, {way}", nats, "nats") for way, nats in figures.items()]
    means = compare_means(model, split.test)
    rows += [
        _row(f"{one.text}, second half, {how}, weight {weight:.2f}", nats, "nats") for how, (weight, nats) in means.items()
    ]
    rows += [_copies(one, way, model, options) for way, options in WAYS.items()]
    if unknowing := _without_lines(model):
        figures = evaluate(unknowing, text=split.test)
        rows.append(_row(f"{one.text}, lines, memory that knows no lines", figures["lines, memory"], "nats"))
        rows.append(_copies(one, "with a memory that knows no lines", unknowing, WAYS[CHOSEN]))
    for what, options in WRITTEN:
        rows += [_row(f"{one.text}, {way}: {what}", sample_seconds(model, *WAYS[way], *options), "s") for way in TIMED]
    return rows


def _copies(one: Measured, way: str, model: Path, options: tuple[object, ...]) -> dict[str, Any]:
    """Return the share of what a model writes that its text has, too: of lines, or of characters within long copies."""
    found = novelty(model, *options, *one.drawn)
    if one.text == "names":
        return _row(f"{one.text}, {way}: lines of the corpus", len(found["exact"]) / found["lines"], "share")
    return _row(f"{one.text}, {way}: within copies", found["copied_share"], "share")


def _without_lines(path: Path) -> Path | None:
    """Write the same model with a memory that does not know the lines of its text, or return None if it knows none."""
    model = load_model(path)
    if model.memory is None or model.memory.lines is None:
        return None
    other = path.with_name("without-lines.safetensors")
    save_model(other, dataclasses.replace(model, memory=model.memory.with_lines(None)))
    return other


def _row(what: str, value: float, unit: str) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": value, "min": value, "max": value}
