"""Compare the first losses on the GPU with those on the CPU: `... SECONDS FIRST LAST BACKEND...`.

Prints a row for each of the forms FIRST to LAST of each backend as soon as both devices have answered, and stops when the time
is over. If a process dies, its form fails, and a new process continues with the next form.
"""

import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from benchmarks.on_gpu.forms import LIMITS, Form, ordered_forms
from benchmarks.on_gpu.telling import WITHOUT_GPU, last_line, tell

SECONDS_TO_END = 2.0
CORES_A_PROCESS = 3

Answer = dict[str, Any]
Jobs = queue.SimpleQueue[Form]


class Device:
    """Processes that train forms with a backend on the GPU or on the CPU; `answers` are their results."""

    def __init__(self, backend: str, forms: list[Form], *, gpu: bool, folder: Path) -> None:
        self.backend, self._folder = backend, folder
        self._environment = os.environ | ({} if gpu else WITHOUT_GPU) | {"OMP_NUM_THREADS": "1"}
        self.answers: dict[Form, Answer] = {}
        self.changed = threading.Event()
        self._jobs: Jobs = queue.SimpleQueue()
        for form in forms:
            self._jobs.put(form)

    def start(self, number: int) -> None:
        """Start `count` processes."""
        for one in range(number):
            folder = self._folder / str(one)
            folder.mkdir(parents=True)
            threading.Thread(target=self._work, args=(folder,), daemon=True).start()

    def _work(self, folder: Path) -> None:
        """Let processes answer, one after another, until no form is left."""
        left = True
        while left:
            with (folder / "errors").open("w+", errors="replace") as errors:
                worker = self._worker(folder, errors)
                try:
                    left = self._answer(worker, errors)
                finally:
                    worker.kill()
                    worker.communicate()

    def _answer(self, worker: subprocess.Popen[str], errors: IO[str]) -> bool:
        """Let a process answer while it lives, and return whether a form is left."""
        while True:
            try:
                form = self._jobs.get_nowait()
            except queue.Empty:
                return False
            answer = self._ask(worker, form, errors)
            self.answers[form] = answer
            self.changed.set()
            if "failed" in answer:
                return True

    def _worker(self, folder: Path, errors: IO[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.on_gpu.losses", self.backend, str(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        return subprocess.Popen(command, env=self._environment, text=True, **pipes)

    def _ask(self, worker: subprocess.Popen[str], form: Form, errors: IO[str]) -> Answer:
        """Return the answer of a process, or the reason for its failure."""
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            print(form, file=worker.stdin, flush=True)
            return dict(json.loads(worker.stdout.readline()))
        except (OSError, ValueError):
            worker.kill()
            worker.wait()
            errors.seek(0)
            return {"failed": last_line(errors.read())}


def main(seconds: float, first: int, last: int, *backends: str) -> None:
    """Compare until everything is compared or the time is over."""
    ends = time.monotonic() + seconds - SECONDS_TO_END
    forms = ordered_forms()[first:last]
    references = list(dict.fromkeys(form.reference for form in forms))
    with tempfile.TemporaryDirectory() as name:
        changed = threading.Event()
        pairs = []
        for backend in backends:
            gpu = Device(backend, forms, gpu=True, folder=Path(name, backend, "gpu"))
            cpu = Device(backend, references, gpu=False, folder=Path(name, backend, "cpu"))
            pairs.append((gpu, cpu))
            for device in (gpu, cpu):
                device.changed = changed
                device.start(max(1, (os.cpu_count() or 1) // CORES_A_PROCESS))
        compared: set[tuple[str, Form]] = set()
        while len(compared) < len(forms) * len(backends) and time.monotonic() < ends:
            changed.wait(0.2)
            changed.clear()
            for gpu, cpu in pairs:
                for form in forms:
                    if (gpu.backend, form) not in compared and form in gpu.answers and form.reference in cpu.answers:
                        compared.add((gpu.backend, form))
                        tell(**compare(gpu.backend, form, gpu.answers[form], cpu.answers[form.reference]))
    if len(compared) < len(forms) * len(backends):
        tell(note=f"{len(compared)} of {len(forms) * len(backends)} forms were compared in the time")
    os._exit(0)  # the parent of this process ends the remaining processes


def compare(backend: str, form: Form, gpu: Answer, cpu: Answer) -> dict[str, Any]:
    """Return the row of a form: the largest difference of two losses, and whether it passes."""
    row: dict[str, Any] = {"backend": backend, "form": str(form), "precision": form.precision, "difference": None}
    for device, answer in (("GPU", gpu), ("CPU", cpu)):
        if "failed" in answer:
            return row | {"passed": False, "why": f"on the {device}: {answer['failed']}"}
    if not all(map(math.isfinite, gpu["losses"] + cpu["losses"])):
        return row | {"passed": False, "why": "a loss is not finite"}
    difference = max(abs(one - other) for one, other in zip(gpu["losses"], cpu["losses"], strict=True))
    checks = {
        "the weights at the beginning differ": gpu["begun"] == cpu["begun"],
        f"losses differ by {difference:.2g}": difference <= LIMITS[form.precision],
        "the model file writes nothing": len(gpu["text"]) > len("The "),
    }
    why = ", ".join(what for what, passed in checks.items() if not passed)
    return row | {"difference": difference, "passed": not why, "why": why}


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
