"""Measure `--distribute` on the devices and processes that one CPU simulates, and what it costs to lose a process.

The processes share the cores of this machine, so the milliseconds of a step say what sharing costs, not how training scales.
"""

import json
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.memory import write_text
from tests.training.processes import ended, only_run, started, training, wait_for_epochs

CHARACTERS = 10**6
UNITS, STEPS = 512, 20
SHARED = ((1, 1), (1, 2), (1, 4), (2, 1), (4, 1))  # processes, and devices of each
LOST, REPETITIONS = (2, 4), 3
NETWORK = ("--config", "plain", "--hidden-size", UNITS, "--context-length", 64, "--batch-size", 64, "--epoch-steps", 10)
ENDLESS = ("--backend", "jax", "--epochs", 100_000, "--patience", 0, "--sample-every", 0, "--no-memory")
LARGEST_DIFFERENCE = 1e-4  # nats, between the mean losses of one batch that is shared in different ways

Rows = list[dict[str, Any]]


def measure() -> Rows:
    """Measure the steps, and what it costs to lose a process."""
    return [*measure_steps(), *measure_endings()]


def measure_steps(*, units: int = UNITS, steps: int = STEPS, shared: tuple[tuple[int, int], ...] = SHARED) -> Rows:
    """Measure steps of the same batches, shared in every way. Raises RuntimeError if their losses differ."""
    with tempfile.TemporaryDirectory() as name:
        text = Path(name, "text.txt")
        write_text(text, CHARACTERS)
        rows = [_steps(text, units, steps, processes, devices) for processes, devices in shared]
    for row in rows:
        row["loss_differs_by"] = abs(row["loss"] - rows[0]["loss"])
        if row["loss_differs_by"] > LARGEST_DIFFERENCE:
            raise RuntimeError(f"{row['what']}: the loss is {row['loss']}, expected {rows[0]['loss']}")
    return rows


def _steps(text: Path, units: int, steps: int, processes: int, devices: int) -> dict[str, Any]:
    program = ("-m", "benchmarks.together", text, units, steps)
    with started(*program, cwd=Path(__file__).parents[1], processes=processes, devices=devices) as found:
        outputs = ended(found)
    if any(code for code, _, _ in outputs):
        raise RuntimeError(f"{processes} processes of {devices} devices failed: {outputs}")
    figures = json.loads(outputs[0][1])
    what = f"a step, {_counted(processes, 'process', 'es')} of {_counted(devices, 'device', 's')}"
    return _row(what, "ms", figures.pop("milliseconds")) | figures


def _counted(number: int, what: str, plural: str) -> str:
    return f"{number} {what}{plural * (number != 1)}"


def measure_endings(*, lost: tuple[int, ...] = LOST, repetitions: int = REPETITIONS) -> Rows:
    """Measure the seconds until a training ends after a process is killed or gets a SIGTERM, and until it has gone on."""
    rows: Rows = []
    for processes in lost:
        killed, asked = ([_end(processes, number) for _ in range(repetitions)] for number in (signal.SIGKILL, signal.SIGTERM))
        rows += [
            _row(f"one of {processes} processes is killed, until the others have ended", "s", [end for end, _ in killed]),
            _row(f"one of {processes} processes gets SIGTERM, until all have ended", "s", [end for end, _ in asked]),
            _row(f"--resume with {processes} processes, until the next ten steps", "s", [on for _, on in (*killed, *asked)]),
        ]
    return rows


def _end(processes: int, number: int) -> tuple[float, float]:
    """Return the seconds from a signal to the last process until all have ended, and until they have gone on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(folder / "text.txt", CHARACTERS)
        with started(*training("text.txt", *NETWORK, *ENDLESS), cwd=folder, processes=processes) as found:
            run = only_run(folder)
            wait_for_epochs(run, 1)

            def end() -> None:
                found[-1].send_signal(number)
                ended(found)

            to_end = _seconds(end)
        with started(*training("--resume"), cwd=folder, processes=processes):
            return to_end, _seconds(lambda: wait_for_epochs(run, 1))


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _row(what: str, unit: str, values: list[float]) -> dict[str, Any]:
    return {"what": what, "unit": unit, "median": median(values), "min": min(values), "max": max(values)}
