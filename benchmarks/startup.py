import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.commands import SHARED_TEXTS, split_tail, train
from benchmarks.models import random_model
from chargen.network.model_file import save_model

REPETITIONS = 5
COMMANDS: dict[str, tuple[str, ...]] = {
    "chargen --help, whole process": ("--help",),
    "chargen sample, 200 characters, whole process": ("sample", "--seed", "HAR", "--temp", "1.2"),
}
EVALUATED = ("--hidden-size", 512, "--embedding", 128, "--epochs", 1, "--validation-split", 0, "--no-memory")


def measure() -> list[dict[str, Any]]:
    """Measure seconds of whole processes, the commands in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "runs" / "noise"
        run.mkdir(parents=True)
        save_model(run / "model.safetensors", random_model(num_layers=1, hidden_size=128))
        commands = COMMANDS | (_evaluations(folder) if SHARED_TEXTS.is_dir() else {})
        times: dict[str, list[float]] = {what: [] for what in commands}
        for _ in range(REPETITIONS + 1):  # the first one only warms the file cache
            for what, arguments in commands.items():
                times[what].append(_seconds(arguments, folder))
    return [
        {"what": what, "unit": "s", "median": median(seen[1:]), "min": min(seen[1:]), "max": max(seen[1:])}
        for what, seen in times.items()
    ]


def _evaluations(folder: Path) -> dict[str, tuple[str, ...]]:
    """Train a network on tinyshakespeare, and return commands that measure it on the last tenth."""
    split = split_tail("tinyshakespeare", folder)
    run, _ = train(split.training, *EVALUATED, folder=folder / "evaluated")
    characters = len(split.test.read_text(encoding="utf-8"))
    command = ("evaluate", str(run), str(split.test))
    what = f"LSTM 1x512, {characters:,} characters, whole process"
    return {
        f"chargen evaluate --no-baselines, {what}": (*command, "--no-baselines"),
        f"chargen evaluate, {what}": command,
    }


def _seconds(arguments: tuple[str, ...], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "chargen", *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began
