import time
from statistics import median
from typing import Any

import numpy as np

CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,;:!?'-\n()"
CONTEXT_LENGTH, BATCH_SIZE, HIDDEN_SIZE, EMBEDDING_SIZE = 64, 64, 256, 64  # size B of the benchmark `train`
CELLS = ("LSTM", "GRU", "SimpleRNN")


def measure(*, num_batches: int, repetitions: int) -> list[dict[str, Any]]:
    """Measure `fit` of a plain Keras model of two layers, with chargen's and with Keras's own layers in turn.

    One epoch before compiles each model. Returns characters a second, the median of the repetitions.
    """
    import keras

    import chargen.keras

    text = "".join(np.random.default_rng(1).choice(list(CHARACTERS), num_batches * BATCH_SIZE * CONTEXT_LENGTH + 1))
    sizes = {"context_length": CONTEXT_LENGTH, "stride": CONTEXT_LENGTH, "batch_size": BATCH_SIZE}
    data = chargen.keras.windows(text, one_hot=False, targets="all", validation_split=0, **sizes)
    batches = data.training.tf_dataset()
    rows = []
    for cell in CELLS:
        models = [_compiled(getattr(layers, cell), data.vocab_size) for layers in (chargen.keras, keras.layers)]
        speeds: list[list[float]] = [[], []]
        for model in models:
            model.fit(batches, verbose=0, shuffle=False)
        for _ in range(repetitions):
            for model, measured in zip(models, speeds, strict=True):
                began = time.perf_counter()
                model.fit(batches, verbose=0, shuffle=False)
                measured.append(len(text) / (time.perf_counter() - began))
        ours, theirs = speeds
        ratio = {"chargen_is_faster_by": median(ours) / median(theirs)}
        rows.append(_row(f"fit, 2x256, chargen.keras.{cell}", ours) | ratio)
        rows.append(_row(f"fit, 2x256, keras.layers.{cell}", theirs))
    return rows


def _compiled(layer: Any, vocab_size: int) -> Any:
    import keras

    model = keras.Sequential(
        [
            keras.Input((CONTEXT_LENGTH,), dtype="int32"),
            keras.layers.Embedding(vocab_size, EMBEDDING_SIZE),
            layer(HIDDEN_SIZE, return_sequences=True),
            layer(HIDDEN_SIZE, return_sequences=True),
            keras.layers.Dense(vocab_size),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _row(what: str, speeds: list[float]) -> dict[str, Any]:
    return {"what": what, "unit": "chars/s", "median": median(speeds), "min": min(speeds), "max": max(speeds)}
