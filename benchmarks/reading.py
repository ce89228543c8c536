"""Measure the time and memory to read and to inspect texts of 100 MB, compared with decoding them with Python alone."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.memory import write_text

BYTES = 10**8
READ = (
    "from chargen.settings.schema import CorpusConfig; from chargen.corpus.corpus import load_corpus; "
    "load_corpus(CorpusConfig(files=({!r},)))"
)
DECODE = "from pathlib import Path; Path({!r}).read_text('utf-8').replace('\\r\\n', '\\n')"

Rows = list[dict[str, Any]]


def measure(*, size: int = BYTES, repetitions: int = 3) -> Rows:
    """Measure whole processes, in turn: seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        texts = _write_texts(Path(folder), size)
        python = [sys.executable, "-c"]
        commands = {f"read {name}": [*python, READ.format(str(path))] for name, path in texts.items()}
        commands |= {
            f"chargen inspect {name}": [sys.executable, "-m", "chargen", "inspect", str(path)] for name, path in texts.items()
        }
        commands["decode prose with Python"] = [*python, DECODE.format(str(texts["prose"]))]
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(repetitions):
            for name, command in commands.items():
                found[name].append(_run(command))
    rows: Rows = []
    for name, runs in found.items():
        what = f"{name}, {size / 1e6:g} MB"
        rows.append(_row(what, "s", [seconds for seconds, _ in runs]))
        rows.append(_row(f"{what}: peak memory", "MB", [peak / 1e6 for _, peak in runs]))
    return rows


def _write_texts(folder: Path, size: int) -> dict[str, Path]:
    """Write the same text as prose, compressed, as a list of its words, and as JSON lines."""
    prose = folder / "prose.txt"
    write_text(prose, size)
    text = prose.read_text("utf-8", "replace")
    forms: dict[str, tuple[str, Callable[[], bytes]]] = {
        "compressed prose": ("prose.txt.gz", lambda: gzip.compress(text.encode(), 1)),
        "a list": ("list.txt", lambda: "\n".join(word.title() for word in text.split() if word.isalpha()).encode()),
        "JSON lines": (
            "lines.jsonl",
            lambda: "\n".join(json.dumps({"text": line}) for line in text.split("\n") if line).encode(),
        ),
    }
    for name, make in forms.values():
        (folder / name).write_bytes(make())
    return {"prose": prose} | {what: folder / name for what, (name, _) in forms.items()}


def _run(command: list[str]) -> tuple[float, int]:
    """Return the seconds and the peak bytes of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def _row(what: str, unit: str, values: list[float]) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": median(values), "min": min(values), "max": max(values)}
