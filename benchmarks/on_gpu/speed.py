"""Train the same network with several engines in turn: `... SECONDS CELL SIZE TURNS SECONDS_OF_A_TURN ENGINE...`.

All engines (`benchmarks.engines`) start at once; then they take turns, of which the first is not counted. A row for each:
characters a second, how busy the GPU was, and the engine's peak memory.
"""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import fmean, median
from typing import Any, TypeVar

from benchmarks.engines import EMBEDDING_SIZE, VOCAB_SIZE, Size, parse_size
from benchmarks.on_gpu.busy import Samples, sampled_gpu
from benchmarks.on_gpu.telling import last_line, tell
from benchmarks.train import Worker
from chargen.network.network import weight_shapes
from chargen.settings.schema import NetworkConfig

OPERATIONS_A_WEIGHT = 6  # per character: forward, and twice that backward; each is a multiplication and an addition
SECONDS_TO_END = 3.0

Result = TypeVar("Result")


class Turns:
    """An engine, the results of its turns, and the reason if it stopped."""

    def __init__(self, engine: str, worker: Worker) -> None:
        self.engine, self.worker = engine, worker
        self.rates: list[float] = []
        self.busy: list[float] = []
        self.peak_bytes: int | None = None
        self.failed = ""

    def get_ready(self) -> None:
        """Wait until the engine is ready."""
        self._try(self.worker.wait_until_ready)

    def take(self, samples: Samples | None) -> None:
        """Take a turn, which counts if there are samples; a failure is the last turn."""
        began = time.monotonic()
        rate = self._try(self.worker.measure)
        if rate is None or samples is None:
            return
        self.rates.append(rate)
        share = samples.share(began, time.monotonic())
        self.busy += [] if share is None else [share]
        self.peak_bytes = self._try(self.worker.peak_memory)

    def row(self) -> dict[str, Any]:
        """Return the results."""
        if not self.rates:
            return {"engine": self.engine, "failed": self.failed or "no time for a turn"}
        measured = {"median": median(self.rates), "min": min(self.rates), "max": max(self.rates), "rates": self.rates}
        busy = fmean(self.busy) if self.busy else None
        return {"engine": self.engine, **measured, "busy": busy, "peak_bytes": self.peak_bytes}

    def _try(self, work: Callable[[], Result]) -> Result | None:
        """Return the result of a function, or None if it fails or an earlier one has failed."""
        if self.failed:
            return None
        try:
            return work()
        except RuntimeError as error:
            self.failed = last_line(str(error))
            return None


def main(seconds: float, cell: str, size: str, turns: int, seconds_of_a_turn: float, *engines: str) -> None:
    """Measure, and print a row for each engine."""
    ends = time.monotonic() + seconds - SECONDS_TO_END
    shape = parse_size(size)
    facts = {
        "cell": cell,
        "size": size,
        "operations": operations(cell, shape),
        "batch": shape.batch_size * shape.context_length,
    }
    with ExitStack() as stack:
        all_turns = []
        for engine in engines:
            worker = Worker(engine, cell, size, seconds_of_a_turn)
            stack.callback(worker.close)
            all_turns.append(Turns(engine, worker))
        for one in all_turns:
            one.get_ready()
        samples = stack.enter_context(sampled_gpu())
        _take_turns(all_turns, turns, samples, ends)
        for one in all_turns:
            tell(**facts, **one.row())


def _take_turns(all_turns: list[Turns], turns: int, samples: Samples, ends: float) -> None:
    for turn in range(turns + 1):
        began = time.monotonic()
        for one in all_turns:
            one.take(samples if turn else None)
        if time.monotonic() + 1.2 * (time.monotonic() - began) > ends:
            return


def operations(cell: str, size: Size) -> int:
    """Return the floating-point operations of training on one character: those of the matrix products."""
    network = NetworkConfig(cell=cell, num_layers=size.num_layers, hidden_size=size.hidden_size, embedding_size=EMBEDDING_SIZE)
    shapes = weight_shapes(network, VOCAB_SIZE)
    return OPERATIONS_A_WEIGHT * sum(
        rows * columns for name, (rows, *rest) in shapes.items() for columns in rest if "kernel" in name
    )


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), *sys.argv[6:])
