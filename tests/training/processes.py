"""Start several processes that train one network on loopback, and wait for what they do."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chargen.training.devices.distribution import ADDRESSES, NUM_PROCESSES, PROCESS_ID

SECONDS = 300  # that any of these processes may take

Processes = list[subprocess.Popen[str]]


def environments(processes: int, devices: int) -> Iterator[dict[str, str]]:
    """Yield what each process has to find in its environment; one alone finds nothing."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    own["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for rank in range(processes):
        yield (
            own
            if processes == 1
            else own
            | {
                ADDRESSES: f"127.0.0.1:{port}",
                NUM_PROCESSES: str(processes),
                PROCESS_ID: str(rank),
            }
        )


@contextmanager
def started(*command: object, cwd: Path, processes: int = 1, devices: int = 1) -> Iterator[Processes]:
    """Start the same Python program in so many processes, and leave none behind."""
    found = [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments(processes, devices)
    ]
    try:
        yield found
    finally:
        for process in found:
            process.kill()
            process.communicate()


def ended(processes: Processes) -> list[tuple[int, str, str]]:
    """Return exit code, stdout and stderr of each process, once all have ended."""
    outputs = [process.communicate(timeout=SECONDS) for process in processes]
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


ENDLESS = ("--epochs", 100000, "--patience", 0, "--sample-every", 0, "--stateful", "--batch-size", 4, "--context-length", 9)


def training(*arguments: object) -> tuple[object, ...]:
    return ("-m", "chargen", "train", "--distribute", *arguments)


def wait_for_epochs(run: Path, epochs: int) -> None:
    """Wait until a run has so many epochs more."""
    patience = time.monotonic() + SECONDS
    first = finished_epochs(run)
    while finished_epochs(run) < first + epochs:
        assert time.monotonic() < patience
        time.sleep(0.1)


def finished_epochs(run: Path) -> int:
    metrics = run / "metrics.csv"
    return len(metrics.read_text(encoding="utf-8").splitlines()) - 1 if metrics.exists() else 0


def only_run(folder: Path) -> Path:
    """Wait for the run directory, of which there has to be one."""
    patience = time.monotonic() + SECONDS
    while not (found := list(folder.glob("runs/*"))):
        assert time.monotonic() < patience
        time.sleep(0.1)
    assert len(found) == 1
    return found[0]
