"""Training on a GPU: chargen on JAX and on PyTorch against torch.nn's layers there, and how good it gets.

Each engine computes in float32 as its framework does by itself, so products may be in TensorFloat-32.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from statistics import median
from typing import Any

import click

from benchmarks.engines import parse_size
from benchmarks.quality import Record, measure_record
from benchmarks.train import rates_in_turns

BACKENDS = ("jax", "torch")
BASELINE = "torch"  # the engine of that name
SIZES = tuple(f"{network}x100x{batch}" for network in ("2x512", "3x1024") for batch in (256, 1024))
WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
PROBE = """
import sys
from chargen.training.devices.backend import gpu_name, load_backend
load_backend(sys.argv[1])
print(gpu_name() or "")
"""

Rows = list[dict[str, Any]]


class CannotMeasureError(click.ClickException):
    """Something that the benchmark needs is not here."""

    exit_code = 2


def prepare(device: str) -> str:
    """Return the name of the GPU that every backend sees, or keep them from it for device "cpu".

    Raises CannotMeasureError if a backend is not installed, or sees none.
    """
    for backend in BACKENDS:
        if find_spec(backend) is None:
            raise CannotMeasureError(f"{backend} is not installed; pip install 'chargen[jax,torch]', and JAX's part for CUDA")
    if device == "cpu":
        os.environ.update(WITHOUT_GPU)
        return "no GPU, a trial"
    names = [_gpu_of(backend) for backend in BACKENDS]
    for backend, name in zip(BACKENDS, names, strict=True):
        if not name:
            raise CannotMeasureError(f"{backend} sees no GPU; to try the script: --device cpu --sizes 1x256x16x256")
    return names[0]


def measure(*, sizes: Sequence[str], cells: Sequence[str], turns: int, seconds: float, minutes: float | None) -> Rows:
    """Measure characters a second, taking turns, and nats a character on tinyshakespeare after so many minutes, if given."""
    rows: Rows = []
    for cell in cells:
        for size in sizes:
            engines = [f"chargen-{backend}" for backend in BACKENDS]
            rates = rates_in_turns([*engines, BASELINE], cell, size, turns=turns, seconds=seconds)
            rows += [_row(engine, cell, size, seen, rates[BASELINE]) for engine, seen in rates.items()]
    if minutes is not None:
        for backend in BACKENDS:
            found = measure_record(Record("tinyshakespeare", "tinyshakespeare", minutes=minutes), "--backend", backend, seeds=1)
            rows += [row | {"what": f"{row['what']}, {backend}"} for row in found]
    return rows


def _gpu_of(backend: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROBE, backend], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _row(engine: str, cell: str, size: str, rates: list[float], baseline: list[float]) -> dict[str, Any]:
    """Ratios are taken turn by turn."""
    shape = parse_size(size)
    what = f"{cell} {shape.num_layers}x{shape.hidden_size}, {shape.batch_size} windows of {shape.context_length}, {engine}"
    row = {"what": what, "unit": "chars/s", "median": median(rates), "min": min(rates), "max": max(rates)}
    if engine == BASELINE:
        return row
    return row | {"chargen_is_faster_by": median(one / other for one, other in zip(rates, baseline, strict=True))}
