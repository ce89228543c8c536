"""Measure the automatic settings on short texts: bits a character by size, compared with n-grams and a grid.

Each text is the beginning of the shipped novella, or some of the shipped names; each training draws its own validation split by
its seed. The n-gram models use the same split, at the best of their orders. The figures do not depend on the load of the
machine, so all trainings run in one process, one after another.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

import chargen
from chargen.corpus.reading import read_sources
from chargen.insight.assessment import baselines, held_out_subject
from chargen.network.model_file import load_model
from chargen.runs.directory import RunDirectory

Rows = list[dict[str, Any]]
Options = dict[str, Any]

WHOLE = 63_497  # characters of book.txt
SIZES = tuple(round(size) for size in np.geomspace(50, WHOLE, 30).tolist())
NUM_NAMES = (15, 50, 200)

GRID_SIZES = (500, 2_000, 5_000, 19_000)
GRID = [{"batch_size": batch, "context_length": length} for batch, length in product((2, 8, 32), (16, 64))]
GRID_OF_NAMES = [{"batch_size": batch} for batch in (1, 2, 4, 8, 16)]


class Text(NamedTuple):
    """A part of a shipped text: a number of characters or, for names, of lines."""

    source: str
    size: int

    @property
    def what(self) -> str:
        """Return its name in a table."""
        return f"{self.size:,} {'names' if self.source == 'male' else 'characters'}"

    def write(self, folder: Path) -> Path:
        """Write it to a file and return the path."""
        (source,) = read_sources([f"{self.source}.txt"], encoding="utf-8")
        text = str(source.text)
        if self.source == "male":
            lines = text.strip().split("\n")
            chosen = np.random.default_rng(1).permutation(len(lines))[: self.size]
            text = "\n".join(lines[place] for place in chosen)
        else:
            text = text[: self.size]
        path = folder / f"{self.source}-{self.size}.txt"
        path.write_text(text, encoding="utf-8")
        return path


class Figures(NamedTuple):
    """Bits a character on the validation split: of a training's best epoch, and of the best n-gram."""

    network: float
    ngram: float


class Trainings:
    """Trainings on parts of texts; their figures are stored in a folder, and existing ones are not repeated."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._kept = folder, folder / "figures.json"
        self._known: dict[str, list[float]] = json.loads(self._kept.read_text("utf-8")) if self._kept.is_file() else {}

    def figures(self, text: Text, seed: int, options: Mapping[str, Any]) -> Figures:
        """Return the figures of a training with automatic settings except for some options."""
        key = json.dumps([*text, seed, dict(options)])
        if key not in self._known:
            self._known[key] = list(self._trained(text, seed, options))
            self._kept.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
        return Figures(*self._known[key])

    def _trained(self, text: Text, seed: int, options: Mapping[str, Any]) -> Figures:
        reading: Options = {"per_line": True} if text.source == "male" else {"document": True}
        path = text.write(self._folder)
        with tempfile.TemporaryDirectory() as runs:
            run = chargen.train(path, quiet=True, runs_dir=runs, sample_every=0, random_seed=seed, **reading, **options)
            model = load_model(run.path / "model.safetensors")
            subject = held_out_subject([(RunDirectory(run.path), model)])
            costs = baselines(subject.training, subject.documents)
            bits = min(epoch["bits_per_character"] for epoch in run.history)
        return Figures(bits, min(one.bits_per_character for name, one in costs.items() if name.endswith("gram")))


def measure(*, sizes: tuple[int, ...] = SIZES, seeds: int = 3, grid: bool = True, runs_dir: Path | None = None) -> Rows:
    """Measure the automatic settings on texts of several sizes and on lists of names; with `grid`, also a grid of others.

    The figures are stored in `runs_dir` if given; existing ones are not repeated.
    """
    with nullcontext(runs_dir) if runs_dir else tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        return list(_rows(Trainings(folder), sizes, seeds, grid=grid))


def _rows(trainings: Trainings, sizes: tuple[int, ...], seeds: int, *, grid: bool) -> Iterator[dict[str, Any]]:
    texts = [Text("book", size) for size in sizes]
    lists = [Text("male", count) for count in NUM_NAMES] if grid else []
    for text in [*texts, *lists]:
        yield _row(trainings, text, seeds)
    for text in [*(Text("book", size) for size in GRID_SIZES), *lists] if grid else []:
        others = [_row(trainings, text, seeds, options) for options in (GRID_OF_NAMES if text in lists else GRID)]
        best = min(others, key=lambda row: row["median"])
        chosen = _row(trainings, text, seeds)
        yield chosen | {"what": f"{text.what}, the best of a grid: {best['best_of']}", "grid": best["median"]}


def _row(trainings: Trainings, text: Text, seeds: int, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    figures = [trainings.figures(text, seed, options or {}) for seed in range(1, seeds + 1)]
    bits = [one.network for one in figures]
    return {
        "what": text.what,
        "unit": "bits",
        "median": fmean(bits),
        "min": min(bits),
        "max": max(bits),
        "ngram": fmean(one.ngram for one in figures),
        "best_of": " ".join(f"--{name.replace('_', '-')} {value}" for name, value in (options or {}).items()),
    }
