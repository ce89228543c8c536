"""Measure characters a second in writing and, for many texts, the share of the machine's products."""

import time
from statistics import median
from typing import Any

import numpy as np

from benchmarks.engines import Size
from benchmarks.models import random_model
from benchmarks.products import flops_per_character, kernel_rate
from benchmarks.train import GATES
from chargen.native.library import kernels_or_none
from chargen.network.model_file import TextModel
from chargen.training.speed import FORWARD_SHARE
from chargen.writing.generation import sample_texts
from chargen.writing.sampling import Sampler

REPETITIONS = 5
SIZES = ((1, 128), (2, 256), (2, 512))
SINGLE, BATCH = (1, 2000), (512, 100)  # texts, characters of each


def measure() -> list[dict[str, Any]]:
    """Measure characters a second, for one text at a time and for many in a batch."""
    kernels_or_none()  # sampling uses them only if they are already built
    rows = []
    for num_layers, hidden_size in SIZES:
        model = random_model(num_layers=num_layers, hidden_size=hidden_size)
        for count, length in (SINGLE, BATCH):
            rates = [_rate(model, count, length) for _ in range(REPETITIONS)]
            rows.append(
                {
                    "what": f"sampling, LSTM {num_layers}x{hidden_size}, {count} at a time",
                    "unit": "chars/s",
                    "median": median(rates),
                    "min": min(rates),
                    "max": max(rates),
                    **_share(model, count, median(rates)),
                }
            )
    return rows


def _share(model: TextModel, count: int, rate: float) -> dict[str, float]:
    """Return the share of the machine's products; a single text is limited by reading the weights instead."""
    products = None if count == 1 else kernel_rate("float32")
    if products is None:
        return {}
    config = model.network.config
    size = Size(config.num_layers, config.hidden_size, context_length=1, batch_size=count)
    return {"share_of_products": flops_per_character(GATES["lstm"], size) / FORWARD_SHARE * rate / products}


def _rate(model: TextModel, count: int, length: int) -> float:
    rng = np.random.default_rng(1)
    began = time.perf_counter()
    sample_texts(model, model.vocabulary.encode("HAR"), count=count, length=length, sampler=Sampler(), rng=rng)
    return count * length / (time.perf_counter() - began)
