"""Measure how well `chargen train --minutes` keeps its time, on a quiet machine and beside other work."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.commands import SHARED_TEXTS, train
from chargen.cores import num_cores

Rows = list[dict[str, Any]]

TEXT = SHARED_TEXTS / "tinyshakespeare.txt"
MINUTES = (2.0,)
BUSY, QUIET = 20, 10  # seconds of other work, and without, in turn


def measure(*, minutes: tuple[float, ...] = MINUTES, repetitions: int = 1) -> Rows:
    """Return the share of the minutes that whole commands take: at most 1, and little less."""
    loads = {"on a quiet machine": False, "beside other work, now and then": True}
    return [
        _row(f"--minutes {one:g} {what}", [_share(one, busy=busy) for _ in range(repetitions)])
        for one in minutes
        for what, busy in loads.items()
    ]


def _share(minutes: float, *, busy: bool) -> float:
    with tempfile.TemporaryDirectory() as folder, _load(busy):
        return train(TEXT, "--minutes", minutes, folder=Path(folder)).seconds / (60 * minutes)


@contextmanager
def _load(busy: bool) -> Iterator[None]:
    """Let as many processes as there are cores compute within, for `BUSY` of each `BUSY` + `QUIET` seconds."""
    script = f"import time\nwhile True:\n    e = time.time() + {BUSY}\n    while time.time() < e: pass\n    time.sleep({QUIET})"
    processes = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(num_cores() if busy else 0)]
    try:
        time.sleep(1)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _row(what: str, shares: list[float]) -> dict[str, Any]:
    return {"what": what, "unit": "x", "median": median(shares), "min": min(shares), "max": max(shares)}
