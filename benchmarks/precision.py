"""Compare the quality of a precision with that of float32 over several random seeds.

A precision loses nothing worth mention if its mean is no further from that of float32 than the seeds of float32 are from each
other. The default recipe chooses one only after this has been shown.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

SHARED = Path(__file__).parents[2] / "shared" / "data"
EPOCHS = {"male.txt": 20, "tinyshakespeare.txt": 4}  # whose learning rate ends at 0, so that trainings compare
NAMES = {"male.txt": "names", "tinyshakespeare.txt": "Shakespeare"}


def measure(*, precision: str, seeds: int, epochs: int | None = None) -> list[dict[str, Any]]:
    """Measure the best validation of float32 and of a precision, in bits a character, on texts of two kinds."""
    rows = []
    for text, usual in EPOCHS.items():
        source = str(SHARED / text) if (SHARED / text).is_file() else text
        options = ["--epochs", str(epochs or usual)]
        exact, rounded = ([_best_bits(source, one, seed, options) for seed in range(seeds)] for one in ("float32", precision))
        rows += [_row(text, "float32", exact), _row(text, precision, rounded) | _verdict(exact, rounded)]
    return rows


def _best_bits(source: str, precision: str, seed: int, options: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "chargen",
            "train",
            source,
            "--precision",
            precision,
            "--random-seed",
            str(seed),
            *options,
        ]
        done = subprocess.run([*command, "-q", "--json"], cwd=folder, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["bits_per_character"])


def _row(text: str, precision: str, bits: list[float]) -> dict[str, Any]:
    return {
        "what": f"bits a character, {NAMES[text]}, {precision}, {len(bits)} random seeds",
        "unit": "bits",
        "precision": precision,
        "median": median(bits),
        "min": min(bits),
        "max": max(bits),
    }


def _verdict(exact: list[float], rounded: list[float]) -> dict[str, Any]:
    """Return the mean loss, the spread of float32's seeds, and whether the former is within the latter."""
    lost, spread = mean(rounded) - mean(exact), stdev(exact) if len(exact) > 1 else 0.0
    return {"lost": lost, "spread_of_float32": spread, "within_spread": lost <= spread}
