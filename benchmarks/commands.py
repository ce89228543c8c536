import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

import numpy as np

Item, Outcome = TypeVar("Item"), TypeVar("Outcome")

SHARED_TEXTS = Path(__file__).parents[2] / "shared" / "data"


class Trained(NamedTuple):
    """A run directory, the settings, and the time of the whole command."""

    run: Path
    seconds: float

    @property
    def model(self) -> Path:
        """The best model."""
        return self.run / "model.safetensors"

    @property
    def last_model(self) -> Path:
        """The model of the last epoch; of several networks, the model of all."""
        last = self.run / "last.safetensors"
        return last if last.is_file() else self.model


class Split(NamedTuple):
    """Two text files."""

    training: Path
    test: Path


def train(text: Path, *options: object, folder: Path) -> Trained:
    """Run `chargen train` on a text, with its runs in a folder."""
    command = ["train", str(text), "--runs-dir", str(folder), "--sample-every", 0, "-q", "--json", *options]
    began = time.perf_counter()
    run = json.loads(_chargen(*command))["run"]
    return Trained(Path(run), time.perf_counter() - began)


def evaluate(*models: Path, text: Path, options: tuple[str, ...] = ()) -> dict[str, float]:
    """Run `chargen evaluate` on one or several models, and return the nats a character by protocol.

    Unknown characters are skipped: nietzsche's test part has one.
    """
    told = json.loads(_chargen("evaluate", *models, text, "--no-baselines", "--on-unknown", "skip", "--json", "-q", *options))
    return {row["name"]: row["cross_entropy"] for row in told["results"]}


def novelty(model: Path, *options: object) -> dict[str, Any]:
    """Return the figures of `chargen novelty` for texts drawn at temperature 0.8."""
    figures: dict[str, Any] = json.loads(_chargen("novelty", model, "--temp", 0.8, "--random-seed", 5, *options, "--json"))
    return figures


def sample_seconds(model: Path, *options: object, repetitions: int = 3) -> float:
    """Return the seconds of `chargen sample`, the least of some repetitions."""
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        _chargen("sample", "--run", model, "--random-seed", 1, *options)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _chargen(*arguments: object) -> str:
    command = [sys.executable, "-m", "chargen", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} failed: {done.stderr.strip()}")
    return done.stdout


def side_by_side(work: Callable[[Item], Outcome], items: Iterable[Item]) -> list[Outcome]:
    """Run a function that starts processes for each item, on one core each, all cores at a time; return the results in order.

    Do not use it for anything that is timed.
    """
    cores: SimpleQueue[int] = SimpleQueue()
    for core in os.sched_getaffinity(0):
        cores.put(core)
    keep_to_one = partial(_keep_to_one, cores)  # child processes inherit the cores of the thread
    with ThreadPoolExecutor(cores.qsize(), initializer=keep_to_one) as threads:
        return list(threads.map(work, items))


def _keep_to_one(cores: SimpleQueue[int]) -> None:
    os.sched_setaffinity(0, {cores.get()})


def split_tail(name: str, folder: Path, *, share: float = 0.1, most: int | None = None, texts: Path = SHARED_TEXTS) -> Split:
    """Write at most the first `limit` characters of a text as two files; the second has the share at the end."""
    text = (texts / f"{name}.txt").read_text(encoding="utf-8")[:most]
    cut = int(len(text) * (1 - share))
    return write_split(folder, name, text[:cut], text[cut:])


def split_lines(name: str, folder: Path, *, test: int, seed: int = 1) -> Split:
    """Shuffle the lines of a text and write all except the last `test`, and these, as two files."""
    shuffled = shuffled_lines(name, seed=seed)
    return write_split(folder, name, "\n".join(shuffled[:-test]), "\n".join(shuffled[-test:]))


def shuffled_lines(name: str, *, seed: int = 1) -> list[str]:
    """Return the lines of a text in a random order."""
    lines = (SHARED_TEXTS / f"{name}.txt").read_text(encoding="utf-8").split()
    return [lines[place] for place in np.random.default_rng(seed).permutation(len(lines))]


def write_split(folder: Path, name: str, training: str, test: str) -> Split:
    """Write the two parts of a text as NAME.txt and NAME-test.txt."""
    split = Split(folder / f"{name}.txt", folder / f"{name}-test.txt")
    split.training.write_text(training, encoding="utf-8")
    split.test.write_text(test, encoding="utf-8")
    return split
