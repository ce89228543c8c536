import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.engines import TEXT

SIZES = (("1 MB", 10**6), ("1 GB", 10**9))


def measure() -> list[dict[str, Any]]:
    """Measure the peak memory, time and speed of `chargen train --dry-run` on a small and a large text.

    A dry run reads the text, makes the plan, builds the network and takes optimizer steps for about a second, so its time is an
    upper bound of the time to the first step.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES:
            path = Path(folder, "text.txt")
            write_text(path, size)
            seconds, peak_bytes, forecast = _dry_run(path)
            rows += [
                _row(f"peak memory, {name} of text", "MB", peak_bytes / 1e6),
                _row(f"dry run, whole process, {name} of text", "s", seconds),
                _row(f"training speed, {name} of text", "chars/s", forecast["characters_per_second"]),
            ]
    return rows


def write_text(path: Path, size: int) -> None:
    """Write a text of `size` bytes."""
    source = TEXT if TEXT.is_file() else Path(__file__).parents[1] / "corpora" / "book.txt"
    block = source.read_bytes()
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: size % len(block)])


def _dry_run(path: Path) -> tuple[float, int, dict[str, Any]]:
    """Return seconds, peak bytes (as the system counts them, including mapped files) and the forecast."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "chargen", "train", str(path), "--document", "--dry-run", "--json", "-q"]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"the dry run of {path} failed with exit code {process.returncode}")
        output.seek(0)
        return time.perf_counter() - began, usage.ru_maxrss * 1024, json.load(output)


def _row(what: str, unit: str, value: float) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": value, "min": value, "max": value}
