"""Compare shares of dropout in trainings of the same number of passes, on text that they did not see.

Each case is a text and a network, whose outputs and recurrent weights are dropped in several shares; all else is as chosen
for so many passes. Each network has the temperature that is best for the text that is measured, as if it were calibrated, and
so has the average of the networks of all random seeds. The texts are cut from the training parts of the texts of
benchmarks/quality.py, so that no setting is chosen by their test parts.
"""

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from benchmarks import grid
from benchmarks.commands import Split, shuffled_lines, side_by_side, write_split
from benchmarks.quality import LAST_WEIGHTS, NAMES_TEST, Rows, trained_once
from chargen.insight.evaluation import EncodedText
from chargen.network.model_file import load_model
from chargen.runs.trained_text import as_documents
from chargen.training.recording.calibration import TEMPERATURES, costs, predictions

Shares = tuple[float, float]  # of the outputs and of the recurrent weights


class Case(NamedTuple):
    """The first characters of a text to train on, those after them to measure, a network, and the passes."""

    kind: str
    characters: int
    measured: int
    cell: str
    hidden_size: int
    passes: int
    shares: tuple[Shares, ...]

    @property
    def name(self) -> str:
        """Return a short name for the command line."""
        return f"{self.kind}-{self.characters}"

    @property
    def what(self) -> str:
        """Return its name in a table."""
        return f"{self.kind}, {self.characters:,} characters, {self.cell} 1x{self.hidden_size}, {self.passes} passes"

    def split(self, folder: Path) -> Split:
        """Write the two parts of the text to files. Raises FileNotFoundError if the text is not there."""
        # The names are shuffled as benchmarks/quality.py does, because their file begins with the most frequent.
        text = "\n".join(shuffled_lines("names")[:-NAMES_TEST]) if self.kind == "names" else grid.TEXTS[self.kind]()
        cut = text.rindex("\n", 0, self.characters) + 1
        return write_split(folder, "text", text[:cut], text[cut : cut + self.measured])


CASES = (
    Case("verse", 10_000, 30_000, "lstm", 128, 40, ((0.55, 0.55), (0.55, 0.4), (0.55, 0.3))),
    Case("verse", 30_000, 30_000, "lstm", 256, 60, ((0.45, 0.45), (0.45, 0.3), (0.45, 0.2), (0.6, 0.3), (0.3, 0.3))),
    Case("prose", 100_000, 30_000, "lstm", 256, 60, ((0.4, 0.4), (0.4, 0.3), (0.4, 0.2))),
    Case("verse", 300_000, 40_000, "mlstm", 256, 30, ((0.2, 0.1), (0.0, 0.2), (0.0, 0.1), (0.0, 0.05))),
    Case("names", 200_000, 10_000, "mlstm", 256, 50, ((0.2, 0.4), (0.2, 0.3), (0.2, 0.2), (0.1, 0.2), (0.2, 0.1))),
)


def measure(*, cases: Sequence[Case] = CASES, seeds: int = 2, scale: float = 1.0, runs_dir: Path | None = None) -> Rows:
    """Measure each case, in `scale` times its passes, in nats a character: the mean of so many random seeds, and all together.

    One training has one core. Trainings are stored in `runs_dir` if given; existing ones are not repeated.
    """
    with nullcontext(runs_dir) if runs_dir else tempfile.TemporaryDirectory() as name:
        choices = [(case, shares) for case in cases for shares in case.shares]
        trials = [(*choice, seed) for choice in choices for seed in range(1, seeds + 1)]
        trained = side_by_side(lambda trial: _trained(*trial, Path(name), scale), trials)
        return [_row(*choice, trained[seeds * place : seeds * (place + 1)]) for place, choice in enumerate(choices)]


def _trained(case: Case, shares: Shares, seed: int, folder: Path, scale: float) -> tuple[Path, Path]:
    """Return the model of a training, and the text to measure."""
    outputs, weights = shares
    own = folder / f"{case.name}-{case.passes}" / f"{outputs:g}-{weights:g}-{seed}"
    own.mkdir(parents=True, exist_ok=True)
    split = case.split(own)
    network = ("--cell", case.cell, "--hidden-size", case.hidden_size, "--dropout", outputs, "--weight-drop", weights)
    passes = ("--epochs", max(1, round(case.passes * scale)), *LAST_WEIGHTS, "--no-calibrate", "--no-memory")
    return trained_once(split, (*network, *passes, "--random-seed", seed), own).last_model, split.test


def _row(case: Case, shares: Shares, trained: Sequence[tuple[Path, Path]]) -> dict[str, Any]:
    text = trained[0][1]
    alone = [best_nats([model], text) for model, _ in trained]
    outputs, weights = (f"{share:.0%}" if share else "none" for share in shares)
    return {
        "what": f"{case.what}: {outputs} and {weights}",
        "unit": "nats",
        "median": mean(alone),
        "min": min(alone),
        "max": max(alone),
        "together": best_nats([model for model, _ in trained], text),
        "case": case.name,
    }


def best_nats(models: Sequence[Path], text: Path) -> float:
    """Return the nats a character of a text under the average of some models, at the temperature that is best for it."""
    loaded = [load_model(path) for path in models]
    documents = as_documents([text.read_text("utf-8")], loaded[0], name=text.name, label=None, on_unknown="skip")
    encoded = EncodedText.of(documents, loaded[0].vocabulary)
    logits, targets = predictions(loaded, encoded.stream)
    return min(float(costs(logits, targets, temperature).mean()) for temperature in TEMPERATURES)
