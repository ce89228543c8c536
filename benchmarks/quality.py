"""Measure the quality of the defaults after some minutes, by the protocols of the field, and the effect of each part.

Nothing is chosen by the test part: training gets only the rest. The defaults hold out a small part of it, by which they
calibrate the network and weigh the n-gram memory. All others have no validation split, and keep the last weights.
"""

import json
import tempfile
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.commands import Split, Trained, evaluate, side_by_side, split_lines, split_tail, train

Rows = list[dict[str, Any]]

HELD_OUT, LAST_WEIGHTS = ("--validation-split", 0.02), ("--validation-split", 0)


class Record(NamedTuple):
    """A training on the rest of a text: with the defaults for some minutes, or with a config for some epochs."""

    name: str
    text: str
    minutes: float = 0
    config: str = ""
    epochs: int = 0

    def options(self, scale: float) -> tuple[object, ...]:
        """Return the options of `chargen train`, for a training `scale` times as long."""
        if self.minutes:
            return ("--minutes", self.minutes * scale, *HELD_OUT)
        return ("--config", self.config, "--epochs", max(1, round(self.epochs * scale)), *LAST_WEIGHTS)

    def what(self, scale: float) -> str:
        """Return the name of the training in a table."""
        options = self.options(scale)
        return f"{options[1]:g} minutes" if self.minutes else f"the {self.config} config, {options[3]} epochs"


RECORDS = (
    Record("tinyshakespeare", "tinyshakespeare", minutes=10),
    Record("tinyshakespeare-best", "tinyshakespeare", minutes=30),
    Record("names", "names", minutes=5),
    Record("names-best", "names", minutes=30),
    Record("nietzsche", "nietzsche", minutes=3),
    Record("nietzsche-best", "nietzsche", minutes=25),
    Record("nietzsche-classic", "nietzsche", config="wandb-video", epochs=12),
    Record("nietzsche-example", "nietzsche", config="keras-example", epochs=40),
    Record("nietzsche-lesson", "nietzsche", config="nietzsche", epochs=20),
)
TEXTS = tuple(record.name for record in RECORDS)
NAMES_TEST = 1000  # lines

# A text so short that it is read often: then the parts that prevent overfitting have the largest effect.
ABLATION_TEXT, ABLATION_CHARACTERS = "nietzsche", 150_000
ABLATION = ("--hidden-size", 256, "--epochs", 12, *LAST_WEIGHTS)
ABLATED: dict[str, tuple[object, ...]] = {
    "all of it": (),
    "without carried state": ("--no-stateful", "--no-jitter"),
    "without turned streams": ("--no-jitter",),
    "adamw": ("--optimizer", "adamw"),
    "adam at a constant rate": ("--optimizer", "adam", "--learning-rate", 0.002),
    "without clipping": ("--clip-norm", 0),
    "without dropout": ("--dropout", 0, "--no-locked-dropout"),
    "dropout drawn at each step": ("--no-locked-dropout",),
    "without weight drop": ("--weight-drop", 0),
    "dropout of inputs, too": ("--input-dropout", 0.1),
    "two layers of as many weights in all": ("--layers", 2, "--hidden-size", 156),
    "two layers, layer norm between them": ("--layers", 2, "--hidden-size", 156, "--layer-norm"),
}


def measure(*, texts: tuple[str, ...] = TEXTS, seeds: int = 3, scale: float = 1.0, runs_dir: Path | None = None) -> Rows:
    """Measure some of the records, `scale` times as long, in nats a character on the test part.

    Trainings are stored in `runs_dir` if given; existing ones are not repeated.
    """
    rows: Rows = []
    for record in (one for one in RECORDS if one.name in texts):
        rows += measure_record(record, seeds=seeds, scale=scale, runs_dir=runs_dir)
    return rows


def measure_record(record: Record, *more: object, seeds: int, scale: float = 1.0, runs_dir: Path | None = None) -> Rows:
    """Measure a record, `scale` times as long and with additional options.

    Each protocol has a row for the trainings of all seeds, and one for all of their networks together.
    """
    options = (*record.options(scale), *more)
    with nullcontext(runs_dir) if runs_dir else tempfile.TemporaryDirectory() as name:
        folder = Path(name) / record.name
        folder.mkdir(parents=True, exist_ok=True)
        split = split_of(record.text, folder)
        runs = [trained_once(split, (*options, "--random-seed", seed), folder) for seed in range(1, seeds + 1)]
        models = [trained.model if record.minutes else trained.last_model for trained in runs]
        by_run, together = [evaluate(model, text=split.test) for model in models], evaluate(*models, text=split.test)
    once = ", one seed" if seeds == 1 else ""
    what = f"{record.text}, {record.what(scale)} ({max(seconds for _, seconds in runs):,.0f} s{once})"
    rows = [_row(f"{what}, {protocol}", [figures[protocol] for figures in by_run]) for protocol in together]
    if seeds > 1:
        rows += [_row(f"{record.text}, these {seeds} together, {protocol}", [nats]) for protocol, nats in together.items()]
    return [row | {"text": record.name} for row in rows]


def trained_once(split: Split, options: tuple[object, ...], folder: Path) -> Trained:
    """Train, or find a stored training with the same options."""
    kept = folder / "trained.json"
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    key = " ".join(map(str, options))
    if key not in known:
        run, seconds = train(split.training, *options, folder=folder)
        known[key] = {"run": run.name, "seconds": seconds}
        kept.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return Trained(folder / known[key]["run"], known[key]["seconds"])


def measure_ablation(*, seeds: int = 3, scale: float = 1.0) -> Rows:
    """Measure the effect of each part of the default recipe: nats a character without it, after the same number of steps."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        split = split_tail(ABLATION_TEXT, folder, most=round(ABLATION_CHARACTERS * scale))
        trials = list(product(ABLATED, range(1, seeds + 1)))
        losses = side_by_side(lambda trial: _ablated(split, *trial, folder), trials)
    by_part = [losses[first : first + seeds] for first in range(0, len(losses), seeds)]
    rows = [_row(what, values) for what, values in zip(ABLATED, by_part, strict=True)]
    return [row | {"worth": row["median"] - rows[0]["median"]} for row in rows]


def _ablated(split: Split, what: str, seed: int, folder: Path) -> float:
    trained = train(split.training, *ABLATION, *ABLATED[what], "--random-seed", seed, folder=folder)
    return evaluate(trained.last_model, text=split.test)["stream"]


def split_of(text: str, folder: Path) -> Split:
    return split_lines(text, folder, test=NAMES_TEST) if text == "names" else split_tail(text, folder)


def _row(what: str, values: list[float]) -> dict[str, Any]:
    return {"what": what, "unit": "nats", "median": fmean(values), "min": min(values), "max": max(values)}
