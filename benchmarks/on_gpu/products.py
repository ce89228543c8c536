"""Measure the speed of large matrix products: `python -m benchmarks.on_gpu.products SECONDS BACKEND SIZE`.

Rows: TFLOP/s of square products in float32, in float32 with TF32, and in bfloat16. The speed of training on the same card is
compared with them.
"""

import sys
import time
from statistics import median
from typing import Any

import numpy as np

from benchmarks.on_gpu.backends import tensor_float_32
from benchmarks.on_gpu.telling import tell
from chargen.training.devices.backend import load_backend

REPETITIONS, PRODUCTS = 5, 10

# TFLOP/s of dense products as published by NVIDIA: float32 without and with TF32, bfloat16.
PUBLISHED = {
    "H100 80GB HBM3": {"float32": 67.0, "tf32": 494.7, "bfloat16": 989.4},
    "H200": {"float32": 67.0, "tf32": 494.7, "bfloat16": 989.4},
    "A100": {"float32": 19.5, "tf32": 156.0, "bfloat16": 312.0},
}


def main(backend: str, size: int) -> None:
    """Measure the three kinds."""
    load_backend(backend)
    from keras import ops

    from chargen.training.devices.backend import gpu_name

    published = next((rates for name, rates in PUBLISHED.items() if name in (gpu_name() or "")), {})
    rng = np.random.default_rng(0)
    left, right = (ops.convert_to_tensor(rng.standard_normal((size, size), np.float32)) for _ in range(2))
    for kind in ("float32", "tf32", "bfloat16"):
        dtype = "bfloat16" if kind == "bfloat16" else "float32"
        with tensor_float_32(backend, kind != "float32"):
            rates = _rates(ops.cast(left, dtype), ops.cast(right, dtype))
        tell(kind=kind, size=size, backend=backend, tflops=median(rates), rates=rates, published=published.get(kind))


def _rates(left: Any, right: Any) -> list[float]:
    """Return TFLOP/s of several consecutive products."""
    _multiplied(left, right, 2)
    rates = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        _multiplied(left, right, PRODUCTS)
        rates.append(PRODUCTS * 2 * left.shape[0] ** 3 / (time.perf_counter() - began) / 1e12)
    return rates


def _multiplied(left: Any, right: Any, count: int) -> None:
    """Multiply `count` times, and wait until a value of the last product has arrived."""
    from keras import ops

    for _ in range(count):
        product = ops.matmul(left, right)
    ops.convert_to_numpy(ops.cast(product[0, 0], "float32"))


if __name__ == "__main__":
    main(sys.argv[2], int(sys.argv[3]))
