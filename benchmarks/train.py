import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.engines import SIZES
from benchmarks.products import flops_per_character, kernel_rate, sgemm_rate
from chargen.native.library import AVX2, kernels_or_none
from chargen.training.devices.processor import multiplies_bfloat16

REPETITIONS = 5
GATES = {"lstm": 4, "gru": 3, "simplernn": 1}
SECONDS = 2.0  # of a turn
BFLOAT16 = "chargen-bfloat16-products"


def kind_of_processor() -> str:
    """Return the name of the results: with AVX2 alone, where float32 is the fastest, or where bfloat16 products are."""
    kernels = kernels_or_none()
    if kernels and kernels.instructions == AVX2.name:
        return "train-avx2"
    return "train" if multiplies_bfloat16("tensorflow") else "train-float32"


class Worker:
    """An engine in its own process, which waits for its turns after it is ready."""

    def __init__(self, engine: str, cell: str, size: str, seconds: float, *, cores: int | None = None) -> None:
        command = [sys.executable, "-m", "benchmarks.engines", engine, cell, size, str(seconds)]
        root = Path(__file__).parent.parent
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._stderr, "text": True}
        allowed = sorted(os.sched_getaffinity(0))[:cores]
        self._process = subprocess.Popen(command, cwd=root, preexec_fn=lambda: os.sched_setaffinity(0, allowed), **pipes)
        self._what = f"{engine} {cell} {size}"

    def wait_until_ready(self) -> None:
        """Wait until the network is built and compiled. Raises RuntimeError if that fails."""
        if self._answer() != "ready":
            raise RuntimeError(f"{self._what} did not start:\n{self._errors()}")

    def measure(self) -> float:
        """Train for some seconds and return the characters a second. Raises RuntimeError if the process has ended."""
        return float(self._ask("go"))

    def peak_memory(self) -> int | None:
        """Return the peak GPU memory in bytes, or None without a GPU."""
        answer = self._ask("memory")
        return int(answer) if answer != "none" else None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def _ask(self, question: str) -> str:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it cannot report its memory either
            print(question, file=self._process.stdin, flush=True)
        if answer := self._answer():
            return answer
        raise RuntimeError(f"{self._what} ended:\n{self._errors()}")

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _errors(self) -> str:
        self._process.kill()  # it does not answer, or its answer is not a number
        self._process.wait()
        self._stderr.seek(0)
        return self._stderr.read()


def measure(
    *, sizes: Sequence[str] = tuple(SIZES), cells: Sequence[str] = ("lstm", "gru", "simplernn"), against: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Measure characters a second of chargen and of others in turn, and the ratio of chargen's to theirs.

    Others that multiply in bfloat16 are compared with chargen's bfloat16 products where these are measured, too.
    """
    rows = []
    limits = {"float32": max(sgemm_rate(), kernel_rate("float32") or 0), "bfloat16": kernel_rate("bfloat16")}
    for cell in cells:
        for size in sizes:
            rates = rates_in_turns(["chargen", *against], cell, size)
            for engine, seen in rates.items():
                rival = BFLOAT16 if "bfloat16" in engine and BFLOAT16 in rates and engine != BFLOAT16 else "chargen"
                rows.append(_row(engine, cell, size, seen, rates[rival], limits) | {"against": rival})
    return rows


def rates_in_turns(
    engines: Sequence[str], cell: str, size: str, *, turns: int = REPETITIONS, seconds: float = SECONDS
) -> dict[str, list[float]]:
    """Return the characters a second of each engine, turn by turn; all engines are ready before the first turn.

    Others than the first that do not start are left out with a line: PyTorch multiplies no bfloat16 numbers with AVX2 alone.
    """
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for engine in engines:
            worker = Worker(engine, cell, size, seconds)
            stack.callback(worker.close)
            try:
                worker.wait_until_ready()
            except RuntimeError as error:
                if not workers:
                    raise
                print(f"{engine} {cell} {size} is left out: {str(error).splitlines()[-1]}", file=sys.stderr)
            else:
                workers[engine] = worker
        taken = [{engine: worker.measure() for engine, worker in workers.items()} for _ in range(turns)]
    return {engine: [turn[engine] for turn in taken] for engine in workers}


def _row(
    engine: str, cell: str, size: str, rates: list[float], ours: list[float], limits: Mapping[str, float | None]
) -> dict[str, Any]:
    """Return a row; ratios are computed turn by turn, because other load on the machine slows both engines.

    limits: operations a second of the machine's products. The share is that of a training in which they are all there is.
    """
    num_layers, hidden_size, *_ = SIZES[size]
    limit = limits["bfloat16" if "bfloat16" in engine else "float32"]
    share = median(rates) * flops_per_character(GATES[cell], SIZES[size]) / limit if limit else None
    return {
        "what": f"training, {cell} {size} ({num_layers}x{hidden_size}), {engine}",
        "unit": "chars/s",
        "cell": cell,
        "size": size,
        "engine": engine,
        "chars_per_second": {"median": median(rates), "min": min(rates), "max": max(rates)},
        "chargen_is_faster_by": median(one / other for one, other in zip(ours, rates, strict=True)),
        **({"share_of_products": share} if share else {}),
        "median": median(rates),
        "min": min(rates),
        "max": max(rates),
    }
