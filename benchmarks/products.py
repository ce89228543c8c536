"""Measure how fast this machine multiplies matrices, which bounds how fast it can train and write."""

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

from benchmarks.engines import VOCAB_SIZE, Size
from chargen.cores import num_cores
from chargen.native.library import kernels_or_none
from chargen.network.dense import PackedDense

ROWS, WIDTH = 56, 1024  # of a product whose weights stay in the cache, as those of a recurrent layer do at best
REPETITIONS = 5
SECONDS = 0.2


def flops_per_character(gates: int, size: Size) -> float:
    """Return the operations of a training's products, forward and twice as many backward; the first layer reads a table."""
    H = size.hidden_size
    weights = gates * H * H * (2 * size.num_layers - 1) + H * VOCAB_SIZE
    return 6.0 * weights


def sgemm_rate() -> float:
    """Return the float32 operations a second of NumPy's products, on all cores that it uses."""
    left, right = np.ones((1024, 1024), np.float32), np.ones((1024, 1024), np.float32)
    return _rate(lambda: left @ right, 2 * 1024**3)


def kernel_rate(products: str) -> float | None:
    """Return the operations a second of the kernels' products on all cores, or None if there are no kernels."""
    kernels = kernels_or_none("bfloat16" if products == "bfloat16" else "float32")
    if kernels is None:
        return None
    cores = num_cores()
    inputs = np.ones((cores, ROWS, WIDTH), np.float32)
    dense = PackedDense(kernels, np.ones((WIDTH, WIDTH), np.float32), np.zeros(WIDTH, np.float32))

    def run(core: int) -> None:
        dense(inputs[core], relu=False)

    with ThreadPoolExecutor(cores) as pool:
        return _rate(lambda: list(pool.map(run, range(cores))), 2 * cores * ROWS * WIDTH**2)


def _rate(work: object, operations: float) -> float:
    """Return the median of some measurements of the operations a second."""
    rates = []
    for _ in range(REPETITIONS):
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            work()
            count += 1
        rates.append(count * operations / (time.perf_counter() - began))
    return median(rates)
