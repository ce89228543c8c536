"""Run a step of the GPU check in its own process, and end it when its time is over."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmarks.on_gpu.telling import last_line

ROOT = Path(__file__).parents[2]

Rows = list[dict[str, Any]]


class Step(NamedTuple):
    """A module that is run as a program, and its arguments.

    kind: the name for `--steps`. limit: the time limit in seconds. needs: the seconds without which it is not started.
    """

    kind: str
    program: tuple[str, ...]
    limit: float
    needs: float = 15.0

    @property
    def name(self) -> str:
        """The kind and the arguments, with files without their folders."""
        return " ".join([self.kind, *(Path(one).name for one in self.program[1:])])


def run_step(step: Step, *, seconds: float, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a step for at most `seconds` and return its report: the rows that it printed until its end.

    A row with a note is added to the report itself.

    The seconds are the program's first argument, so that it can end in time. All processes that it has started are ended with
    it, also if this one is interrupted.
    """
    module, *arguments = step.program
    command = [sys.executable, "-m", module, str(seconds), *arguments]
    rows: Rows = []
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        reader = threading.Thread(target=_read_rows, args=(process.stdout, rows), daemon=True)
        reader.start()
        try:
            code = process.wait(seconds)
            outcome, why = ("done", "") if code == 0 else ("failed", "")
        except subprocess.TimeoutExpired:
            outcome, why = "out of time", f"ended after {seconds:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        reader.join(5)
        if outcome == "failed":
            errors.seek(0)
            why = f"exit code {code}: {last_line(errors.read())}"
    notes = [row["note"] for row in rows if "note" in row]
    rest = [row for row in rows if "note" not in row]
    return report(step, outcome, why="; ".join([why, *notes] if why else notes), rows=rest, seconds=time.monotonic() - began)


def report(step: Step, outcome: str, *, why: str = "", rows: Rows | None = None, seconds: float = 0.0) -> dict[str, Any]:
    """Return the report of a step. outcome: done, failed, out of time or skipped."""
    told = {"step": step.name, "kind": step.kind, "outcome": outcome, "why": why, "seconds": round(seconds, 1)}
    return told | {"rows": rows or []}


def _read_rows(stream: IO[str] | None, rows: Rows) -> None:
    """Collect the lines that are JSON objects; libraries print other lines."""
    assert stream is not None
    with stream:
        for line in stream:
            with suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict):
                    rows.append(row)
