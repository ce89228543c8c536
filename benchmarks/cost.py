from statistics import median
from typing import Any

from benchmarks.engines import Size
from benchmarks.train import REPETITIONS, Worker

HIDDEN_SIZES, LAYERS = (64, 128, 256, 512), (1, 2, 3, 4)
CONTEXT_LENGTH, BATCH_SIZE = 64, 64


def measure() -> list[dict[str, Any]]:
    """Measure the time to train on a thousand characters for growing hidden sizes and numbers of layers."""
    widths = [("hidden size", size, Size(1, size, CONTEXT_LENGTH, BATCH_SIZE)) for size in HIDDEN_SIZES]
    depths = [("layers", count, Size(count, 128, CONTEXT_LENGTH, BATCH_SIZE)) for count in LAYERS]
    return [_row(what, value, size) for what, value, size in widths + depths]


def _row(what: str, value: int, size: Size) -> dict[str, Any]:
    worker = Worker("chargen", "lstm", "x".join(map(str, size)))
    try:
        costs = [1e6 / worker.measure() for _ in range(REPETITIONS)]  # ms for 1,000 characters
    finally:
        worker.close()
    return {
        "what": f"training 1,000 characters, LSTM {size.num_layers}x{size.hidden_size}",
        "unit": "ms",
        "varied": what,
        "value": value,
        "median": median(costs),
        "min": min(costs),
        "max": max(costs),
    }
