import time
from statistics import median
from typing import Any

import numpy as np

from benchmarks.models import random_model
from chargen.network.model_file import TextModel
from chargen.writing.generation import sample_texts
from chargen.writing.sampling import Sampler

REPETITIONS = 5
SIZES = ((1, 128), (2, 256), (2, 512))
SINGLE, BATCH = (1, 2000), (512, 100)  # texts, characters of each


def measure() -> list[dict[str, Any]]:
    """Measure characters a second, for one text at a time and for many in a batch."""
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
                }
            )
    return rows


def _rate(model: TextModel, count: int, length: int) -> float:
    rng = np.random.default_rng(1)
    began = time.perf_counter()
    sample_texts(model, model.vocabulary.encode("HAR"), count=count, length=length, sampler=Sampler(), rng=rng)
    return count * length / (time.perf_counter() - began)
