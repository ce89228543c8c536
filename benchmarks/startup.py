import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.models import random_model
from chargen.network.model_file import save_model

REPETITIONS = 5
COMMANDS = {
    "chargen --help, whole process": ["--help"],
    "chargen sample, 200 characters, whole process": ["sample", "--seed", "HAR", "--temp", "1.2"],
}


def measure() -> list[dict[str, Any]]:
    """Measure seconds of whole processes, the commands in turn."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "runs", "noise")
        run.mkdir(parents=True)
        save_model(run / "model.safetensors", random_model(num_layers=1, hidden_size=128))
        times: dict[str, list[float]] = {what: [] for what in COMMANDS}
        for _ in range(REPETITIONS + 1):  # the first one only warms the file cache
            for what, arguments in COMMANDS.items():
                times[what].append(_seconds(arguments, folder))
    return [
        {"what": what, "unit": "s", "median": median(seen[1:]), "min": min(seen[1:]), "max": max(seen[1:])}
        for what, seen in times.items()
    ]


def _seconds(arguments: list[str], folder: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "chargen", *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began
