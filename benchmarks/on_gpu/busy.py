"""Measure how busy a GPU is, with nvidia-smi."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean

SETTLES_AFTER = 0.5  # share of a turn to skip: a sample describes some time before it


class Samples:
    """Percentages with their times."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []

    def add(self, line: str) -> None:
        """Store a line of nvidia-smi, if it is a number."""
        if line.strip().isdecimal():
            self._seen.append((time.monotonic(), float(line)))

    def share(self, began: float, ended: float) -> float | None:
        """Return the mean busy share in the second half of an interval of `time.monotonic`; None without a sample."""
        middle = began + SETTLES_AFTER * (ended - began)
        values = [value for moment, value in self._seen if middle <= moment <= ended]
        return fmean(values) / 100 if values else None


@contextmanager
def sampled_gpu() -> Iterator[Samples]:
    """Sample the first visible GPU in the block, ten times a second; without nvidia-smi there are no samples."""
    samples = Samples()
    number = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    command = ["nvidia-smi", "-i", number, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        yield samples
        return
    assert process.stdout is not None
    lines = process.stdout
    reader = threading.Thread(target=lambda: [samples.add(line) for line in lines], daemon=True)
    reader.start()
    try:
        yield samples
    finally:
        process.kill()
        process.wait()
        reader.join()
        lines.close()
