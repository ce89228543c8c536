"""Compare the training times that `chargen train` estimates, in a dry run and after the first epoch, with the real ones."""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

Rows = list[dict[str, Any]]

TEXTS = Path(__file__).parents[2] / "shared" / "data"
EPOCH = re.compile(r"^epoch +(\d+)/\d+ .*?(\d+):(\d\d):(\d\d) left$")
SHORTEST_LEFT = 5  # seconds; the estimates are integers


class Case(NamedTuple):
    """A training: its text and its options."""

    text: str
    options: tuple[object, ...]

    @property
    def name(self) -> str:
        """The command, shortened."""
        return " ".join([Path(self.text).name, *map(str, self.options)])


CASES = (
    Case("tiny.txt", ("--preset", "fast")),
    Case("male.txt", ("--preset", "fast")),
    Case("book.txt", ("--preset", "fast")),
    Case("book.txt", ("--preset", "fast", "--cell", "gru", "--sample-every", 0)),
    Case("book.txt", ("--config", "plain", "--epochs", 4, "--patience", 0)),
    Case("tiny.txt", ("--backend", "numpy", "--epochs", 20, "--patience", 0)),
    Case(str(TEXTS / "nietzsche.txt"), ("--preset", "fast")),
)


def measure(*, repetitions: int = 1) -> Rows:
    """Return, for each case, the ratio of the seconds estimated to those needed: 1 is right, 1.25 is a quarter too many."""
    rows: Rows = []
    for case in CASES:
        for what, values in _transposed([_ratios(case) for _ in range(repetitions)]).items():
            rows.append({"what": f"{case.name}: {what}", "unit": "x", "median": median(values)} | _range(values))
    return rows


def _ratios(case: Case) -> dict[str, float]:
    """Return the ratios of the dry run's estimate, and of the time left after the first epoch, to the real times."""
    command = [sys.executable, "-m", "chargen", "train", case.text, *map(str, case.options)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, "--dry-run", "--json", "-q"], cwd=folder, capture_output=True, text=True, check=True)
        estimated = json.loads(done.stdout)["seconds_at_most"]
        began = time.perf_counter()
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            epochs = [
                (time.perf_counter(), found.groups()) for line in process.stderr if (found := EPOCH.search(line.rstrip()))
            ]
        ended = time.perf_counter()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    (first, (_, hours, minutes, seconds)), (last, _) = epochs[0], epochs[-1]
    ratios = {"dry run": estimated / (ended - began)}
    left = 3600 * int(hours) + 60 * int(minutes) + int(seconds)
    return ratios | ({"left after epoch 1": left / (last - first)} if last - first >= SHORTEST_LEFT else {})


def _transposed(found: list[dict[str, float]]) -> dict[str, list[float]]:
    return {what: [one[what] for one in found if what in one] for what in found[0]}


def _range(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "max": max(values)}
