"""Run `chargen` like a user: `python -m benchmarks.on_gpu.commands SECONDS UNITS STEPS BACKEND...`.

Each backend, all at once, trains a network and writes text with NumPy; resumes from the checkpoint in the middle of its epoch;
and on JAX distributes the batches among all devices. All of these must end with the same validation loss.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safetensors.numpy import load_file

from benchmarks.on_gpu.telling import last_line, tell

LIMIT = 1e-3  # nats


class CommandError(Exception):
    """A command failed, or left unexpected files."""


def main(units: str, steps: str, *backends: str) -> None:
    """Run everything for each backend."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda backend: _check(backend, units, steps), backends))


def _check(backend: str, units: str, steps: str) -> None:
    options = f"train book.txt --config plain --backend {backend} --layers 2 --hidden-size {units} --batch-size 32"
    options += f" --context-length 64 --epochs 1 --epoch-steps {steps} --checkpoint-steps 8 --sample-every 0"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            whole = folder / chargen(options, folder)
            loss = validation_loss(whole)
            text = chargen(f"sample --run {whole} --length 40", folder)
        except CommandError as error:
            tell(backend=backend, what="training, and text written by NumPy", passed=False, why=str(error))
            return
        tell(backend=backend, what="training, and text written by NumPy", passed=True, why="", loss=loss, text=text)
        _compare(backend, "resuming in the middle of an epoch", whole, lambda: _resumed(whole, folder))
        if backend == "jax":
            _compare(backend, "--distribute", whole, lambda: folder / chargen(f"{options} --distribute", folder))


def chargen(arguments: str, folder: Path) -> str:
    """Run a command and return its output."""
    command = [sys.executable, "-m", "chargen", *arguments.split()]
    command += ["--runs-dir", str(folder)] if command[3] == "train" else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(last_line(done.stderr))
    return done.stdout.strip()


def validation_loss(run: Path) -> float:
    """Return the validation loss of the last epoch, in nats."""
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        return float(list(csv.DictReader(file))[-1]["validation_cross_entropy"])


def _resumed(whole: Path, folder: Path) -> Path:
    """Return a copy of a run, cut back to the last checkpoint within the epoch and trained to the end again."""
    run = folder / "stopped"
    shutil.copytree(whole, run)
    *before, last = sorted((run / "checkpoints").iterdir())
    if not before or before[-1].name.endswith("-000000000"):
        raise CommandError("the run has no checkpoint in the middle of its epoch")
    shutil.rmtree(last)
    for model in run.glob("*.safetensors"):
        model.unlink()
    return folder / chargen(f"train --resume {run}", folder)


def _compare(backend: str, what: str, whole: Path, train: Callable[[], Path]) -> None:
    try:
        other = train()
        difference = abs(validation_loss(other) - validation_loss(whole))
    except CommandError as error:
        tell(backend=backend, what=what, passed=False, why=str(error))
        return
    weights = [load_file(run / "last.safetensors") for run in (whole, other)]
    same = all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    passed = difference <= LIMIT
    why = "" if passed else f"the validation losses differ by {difference:.2g}"
    tell(backend=backend, what=what, passed=passed, why=why, difference=difference, same_weights=same)


if __name__ == "__main__":
    main(*sys.argv[2:])
