"""Compare the settings that --minutes chooses with fixed ones, on texts of several kinds and lengths, within some minutes.

Each case trains on one core, all cores at a time, and has a row for the settings as chosen and one for each fixed setting. The
figure is the loss of a part of the text that training did not see. It is cut from the training parts of the texts of
benchmarks/quality.py, so that no setting is chosen by their test parts.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.commands import SHARED_TEXTS, Split, evaluate, side_by_side, write_split
from benchmarks.quality import LAST_WEIGHTS, NAMES_TEST, Rows, trained_once
from chargen.network.model_file import load_model
from chargen.runs.config import read_settings
from chargen.runs.directory import RunDirectory

SOURCES = Path(json.__file__).parents[1]  # Python's standard library
HELD_OUT = 0.1
WORST = 0.02  # nats a character by which the chosen settings may be worse than the best fixed ones
# Other settings are chosen as always.
FIXED: dict[str, tuple[object, ...]] = {
    "128 units": ("--hidden-size", 128, "--members", 1),
    "256 units": ("--hidden-size", 256, "--members", 1),
    "512 units": ("--hidden-size", 512, "--members", 1),
    "three networks": ("--members", 3),
}
CHOSEN = "as chosen"


class Case(NamedTuple):
    """A text, how much of it is used, and the minutes on one core."""

    kind: str
    characters: int
    minutes: float

    @property
    def what(self) -> str:
        """Return its name in a table."""
        time = "1 minute" if self.minutes == 1 else f"{self.minutes:g} minutes"
        return f"{self.kind}, {self.characters:,} characters, {time}"

    def split(self, folder: Path) -> Split:
        """Write the two parts of the text to files. Raises FileNotFoundError if the text is not there."""
        text = TEXTS[self.kind]()[: self.characters]
        cut = text.rindex("\n", 0, int(len(text) * (1 - HELD_OUT))) + 1
        return write_split(folder, "text", text[:cut], text[cut:])


def _training_part(name: str) -> str:
    text = (SHARED_TEXTS / f"{name}.txt").read_text(encoding="utf-8")
    return text[: int(len(text) * 0.9)]


def _names() -> str:
    return "\n".join((SHARED_TEXTS / "names.txt").read_text(encoding="utf-8").split()[:-NAMES_TEST]) + "\n"


def _code() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("*.py")))


TEXTS: Mapping[str, Callable[[], str]] = {
    "verse": lambda: _training_part("tinyshakespeare"),
    "prose": lambda: _training_part("nietzsche"),
    "names": _names,
    "code": _code,
}
CASES = (
    Case("verse", 3_000, 0.5),
    Case("verse", 30_000, 1),
    Case("verse", 300_000, 1),
    Case("prose", 500_000, 2),
    Case("names", 200_000, 1),
    Case("code", 400_000, 1),
)


def measure(*, cases: tuple[Case, ...] = CASES, scale: float = 1.0, runs_dir: Path | None = None) -> Rows:
    """Measure the chosen and the fixed settings, `scale` times as long, in nats a character on the held-out part.

    Trainings are stored in `runs_dir` if given; existing ones are not repeated.
    """
    with nullcontext(runs_dir) if runs_dir else tempfile.TemporaryDirectory() as name:
        trials = list(product(cases, (CHOSEN, *FIXED)))
        return side_by_side(lambda trial: _row(*trial, Path(name), scale), trials)


def _row(case: Case, setting: str, folder: Path, scale: float) -> dict[str, Any]:
    own = folder / f"{case.kind}-{case.characters}-{case.minutes:g}" / setting.replace(" ", "-")
    own.mkdir(parents=True, exist_ok=True)
    split = case.split(own)
    options = ("--minutes", case.minutes * scale, *LAST_WEIGHTS, "--no-memory", *FIXED.get(setting, ()))
    trained = trained_once(split, (*options, "--random-seed", 1), own)
    nats = next(iter(evaluate(trained.last_model, text=split.test).values()))
    return {
        "what": f"{case.what}: {setting}",
        "unit": "nats",
        "median": nats,
        "min": nats,
        "max": nats,
        "case": case._asdict(),
        "setting": setting,
        **facts(trained.run),
    }


def facts(run: Path) -> dict[str, Any]:
    """Return the settings that a training took, and the positions that it read with so many weights."""
    directory = RunDirectory(run)
    members = read_settings(directory).training.members
    one = directory.member(1) if members > 1 else directory
    settings = read_settings(one)
    network, training = settings.network, settings.training
    return {
        "size": f"{network.num_layers}x{network.hidden_size}",
        "dropout": network.dropout,
        "weight_drop": network.weight_drop,
        "batch_size": training.batch_size,
        "members": members,
        "positions": sum(training.schedule_steps) * training.batch_size * training.context_length,
        "weights": load_model(one.model).network.num_parameters,
    }
