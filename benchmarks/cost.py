from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.engines import Size
from benchmarks.train import BFLOAT16, Worker
from chargen.cores import num_cores
from chargen.native.library import kernels_or_none

HIDDEN_SIZES, LAYERS, CONTEXT_LENGTHS = (64, 128, 256, 512), (1, 2, 3, 4), (16, 64, 256)
USUAL = Size(num_layers=1, hidden_size=128, context_length=64, batch_size=64)
REPETITIONS = 3
SECONDS = 1.0  # of a repetition


class Point(NamedTuple):
    """What is varied, its value, and the training in which it has it."""

    varied: str
    value: int
    size: Size
    cores: int | None = None


def measure() -> list[dict[str, Any]]:
    """Measure the time to train on a thousand characters against hidden size, layers, context length and cores."""
    engines = ["chargen", *([BFLOAT16] if kernels_or_none("bfloat16") else [])]
    return [_row(point, engine) for engine in engines for point in _points()]


def _points() -> Sequence[Point]:
    wide = USUAL._replace(hidden_size=256)
    return [
        *(Point("hidden size", size, USUAL._replace(hidden_size=size)) for size in HIDDEN_SIZES),
        *(Point("layers", count, USUAL._replace(num_layers=count)) for count in LAYERS),
        *(Point("context length", length, USUAL._replace(context_length=length)) for length in CONTEXT_LENGTHS),
        *(Point("cores", count, wide, cores=count) for count in range(1, num_cores() + 1)),
    ]


def _row(point: Point, engine: str) -> dict[str, Any]:
    size = point.size
    worker = Worker(engine, "lstm", "x".join(map(str, size)), SECONDS, cores=point.cores)
    try:
        worker.wait_until_ready()
        costs = [1e6 / worker.measure() for _ in range(REPETITIONS)]  # ms for 1,000 characters
    finally:
        worker.close()
    parts = [f"LSTM {size.num_layers}x{size.hidden_size}", f"windows of {size.context_length}"]
    parts += [f"{point.cores} core{'s' * (point.cores > 1)}"] if point.cores else []
    return {
        "what": ", ".join(["1,000 characters", *parts, engine]),
        "unit": "ms",
        "engine": engine,
        "varied": point.varied,
        "value": point.value,
        "median": median(costs),
        "min": min(costs),
        "max": max(costs),
    }
