"""Measure the time from the command to the first step: `python -m benchmarks.on_gpu.start SECONDS BACKEND TRIES SIZE`.

The first step is done when metrics.csv of an epoch of one step is written; loading the framework, reading the text and
compiling come before it.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.engines import parse_size
from benchmarks.on_gpu.telling import last_line, tell


def main(backend: str, tries: int, size: str) -> None:
    """Run the trainings one after another, and print the seconds of each."""
    shape = parse_size(size)
    options = f"train book.txt --config plain --backend {backend} --layers {shape.num_layers} --hidden-size {shape.hidden_size}"
    options += f" --context-length {shape.context_length} --batch-size {shape.batch_size}"
    options += " --epochs 1 --epoch-steps 1 --validation-split 0 --sample-every 0 -q"
    for _ in range(tries):
        tell(backend=backend, size=size, seconds=_seconds_to_first_step(options.split()))


def _seconds_to_first_step(options: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-m", "chargen", *options, "--runs-dir", folder]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        seconds = None
        while process.poll() is None and seconds is None:
            if any(Path(folder).glob("*/metrics.csv")):
                seconds = time.perf_counter() - began
            time.sleep(0.01)
        if process.wait() or seconds is None:
            errors.seek(0)
            raise RuntimeError(last_line(errors.read()))
        return seconds


if __name__ == "__main__":
    main(sys.argv[2], int(sys.argv[3]), sys.argv[4])
