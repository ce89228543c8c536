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
    """Measure the peak memory, time and speed of `chargen train --dry-run` on a small and a large text, and on its tokens.

    A dry run reads the text, makes the plan, builds the network and takes optimizer steps for about a second, so its time is an
    upper bound of the time to the first step.
    """
    rows = []
    for name, size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path, tokens = Path(folder, "text.txt"), Path(folder, "tokens")
            write_text(path, size)
            rows += _dry_run(f"{name} of text", path, "--document")
            seconds, peak_bytes, _ = _run("tokenize", path, "--document", "--output", tokens)
            rows += [
                _row(f"peak memory of chargen tokenize, {name} of text", "MB", peak_bytes / 1e6),
                _row(f"chargen tokenize, {name} of text", "s", seconds),
            ]
            path.unlink()
            rows += _dry_run(f"the tokens of {name}", tokens)
    return rows


def write_text(path: Path, size: int) -> None:
    """Write a text of `size` bytes."""
    source = TEXT if TEXT.is_file() else Path(__file__).parents[1] / "corpora" / "book.txt"
    block = source.read_bytes()
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: size % len(block)])


def _dry_run(what: str, *arguments: object) -> list[dict[str, Any]]:
    seconds, peak_bytes, forecast = _run("train", *arguments, "--dry-run")
    return [
        _row(f"peak memory, {what}", "MB", peak_bytes / 1e6),
        _row(f"dry run, whole process, {what}", "s", seconds),
        _row(f"training speed, {what}", "chars/s", forecast["characters_per_second"]),
    ]


def _run(*arguments: object) -> tuple[float, int, dict[str, Any]]:
    """Return seconds and peak bytes of a command (as the system counts them, including mapped files), and what it prints."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "chargen", *map(str, arguments), "--json", "-q"]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed with exit code {process.returncode}")
        output.seek(0)
        return time.perf_counter() - began, usage.ru_maxrss * 1024, json.load(output)


def _row(what: str, unit: str, value: float) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": value, "min": value, "max": value}
