import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines import TEXT

SIZES = (10**7, 10**9)  # bytes
ROOM = 4  # times the text: with the same text decoded, its tokens and those of a training
CORPORA = Path(__file__).parents[1] / "corpora"
SHORT = ("--epochs", 1, "--epoch-steps", 200)
WORDS_A_LINE, WORDS_AT_ONCE = 12, 1_000_000

Rows = list[dict[str, Any]]


def measure(*, sizes: tuple[int, ...] = SIZES) -> Rows:
    """Measure peak memory and time of short trainings on texts of these sizes and on their tokens, and of making the tokens.

    Raises RuntimeError where the disk has no room for it.
    """
    rows: Rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            if shutil.disk_usage(folder).free < ROOM * size:
                raise RuntimeError(f"{folder} has no room for {ROOM * size / 1e9:g} GB")
            path, tokens, name = Path(folder, "text.txt"), Path(folder, "tokens"), f"{size / 1e6:,g} MB"
            write_words(path, size)
            rows += _training(f"{name} of text", path, "--document", folder=folder)
            seconds, peak_bytes, _ = _run("tokenize", path, "--document", "--output", tokens)
            rows += [
                _row(f"chargen tokenize, {name} of text, peak memory", "MB", peak_bytes / 1e6),
                _row(f"chargen tokenize, {name} of text", "s", seconds),
            ]
            path.unlink()
            rows += _training(f"tokens of {name}", tokens, folder=folder)
    return rows


def write_words(path: Path, size: int, *, seed: int = 0) -> None:
    """Write `size` bytes of words of the corpora in random order, so that most of its n-grams occur once."""
    words = np.array(" ".join(one.read_text(encoding="utf-8") for one in sorted(CORPORA.glob("*.txt"))).split(), dtype=object)
    rng, left = np.random.default_rng(seed), size
    with path.open("wb") as file:
        while left:
            lines = words[rng.integers(len(words), size=(WORDS_AT_ONCE // WORDS_A_LINE, WORDS_A_LINE))]
            block = "".join(f"{' '.join(line)}.\n" for line in lines.tolist()).encode()[:left]
            left -= file.write(block)


def write_text(path: Path, size: int) -> None:
    """Write a text of `size` bytes: one of the public texts, again and again."""
    source = TEXT if TEXT.is_file() else CORPORA / "book.txt"
    block = source.read_bytes()
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: size % len(block)])


def _training(what: str, *arguments: object, folder: str) -> Rows:
    """Measure a training of some hundred steps with everything that follows it."""
    seconds, peak_bytes, shown = _run("train", *arguments, *SHORT, "--runs-dir", folder)
    return [
        _row(f"chargen train, {what}, peak memory", "MB", peak_bytes / 1e6),
        _row(f"chargen train, {what}, {SHORT[-1]} steps, whole process", "s", seconds),
        _row(f"chargen train, {what}, speed", "chars/s", float(re.findall(r"([\d,]+) chars/s", shown)[-1].replace(",", ""))),
    ]


def _run(*arguments: object) -> tuple[float, int, str]:
    """Return seconds and peak bytes of a command (as the system counts them, including mapped files), and its messages."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "chargen", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        shown = messages.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {process.returncode}: {shown}")
    return seconds, usage.ru_maxrss * 1024, shown


def _row(what: str, unit: str, value: float) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": value, "min": value, "max": value}
