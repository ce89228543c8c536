"""Programs that train the same network on the same text, each in its own process.

`python -m benchmarks.engines ENGINE CELL SIZE SECONDS` (SIZE: A, B, C, or for example 1x128x40x128) builds a network and trains
until everything is compiled. For every line on stdin it trains for about the given time and answers with the characters a
second; for the line "memory" it answers with the peak memory on the GPU in bytes. Each program uses the GPU if there is one,
and waits until all of its work there is done before it answers.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.on_gpu.backends import peak_memory

VOCAB_SIZE, EMBEDDING_SIZE = 66, 64  # the 65 characters of tinyshakespeare and the boundary
LEARNING_RATE = 0.001
TEXT = Path(__file__).parents[2] / "shared" / "data" / "tinyshakespeare.txt"


class Size(NamedTuple):
    """Layers, units, characters in a window, windows in a batch."""

    num_layers: int
    hidden_size: int
    context_length: int
    batch_size: int


SIZES = {"A": Size(1, 128, 40, 128), "B": Size(2, 256, 64, 64), "C": Size(2, 512, 100, 50)}


def parse_size(text: str) -> Size:
    """Return the size of a name, or of numbers such as 1x128x40x128. Raises ValueError, or TypeError for too few numbers."""
    return SIZES.get(text) or Size(*map(int, text.split("x")))


Trainer = Callable[[int], int]  # takes at least this number of optimizer steps and returns the number taken


def read_ids() -> np.ndarray:
    """Return the ids of tinyshakespeare, or noise of the same size if it is missing: the time is the same."""
    if not TEXT.is_file():
        return np.random.default_rng(0).integers(1, VOCAB_SIZE, 1_000_000).astype(np.uint8)
    _, ids = np.unique(np.frombuffer(TEXT.read_bytes(), np.uint8), return_inverse=True)
    return (ids + 1).astype(np.uint8)


def chargen_trainer(
    cell: str, size: Size, *, backend: str = "tensorflow", precision: str = "float32", native: str | None = None
) -> Trainer:
    """Build chargen's layers, data path and training loop. `native`: the value of $CHARGEN_NATIVE."""
    if native is not None:
        os.environ["CHARGEN_NATIVE"] = native
    from chargen.training.devices.backend import load_backend

    load_backend(backend)
    from chargen.corpus.windows import SlidingWindows, TokenStream
    from chargen.settings.schema import NetworkConfig, TrainingConfig
    from chargen.training.devices.backend import accelerated
    from chargen.training.engines.dataset import Executions
    from chargen.training.engines.losses import FIGURES_OF_TEXT
    from chargen.training.engines.sharing import choose_sharing
    from chargen.training.keras_trainer import engine_type
    from chargen.training.model import build_model, make_optimizer, runs_on_kernels
    from chargen.training.planning.memory import choose_steps_per_execution

    ids = read_ids()
    plan = SlidingWindows(
        TokenStream(ids, np.array([0, len(ids) - 1]), first_label=VOCAB_SIZE, unended=np.array([], int)),
        context_length=size.context_length,
        stride=size.context_length,
        batch_size=size.batch_size,
        last=False,
        seed=1,
    )
    network = NetworkConfig(cell=cell, num_layers=size.num_layers, hidden_size=size.hidden_size, embedding_size=EMBEDDING_SIZE)
    model = build_model(network, vocab_size=VOCAB_SIZE, context_length=size.context_length, precision=precision)
    optimizer = make_optimizer(TrainingConfig(learning_rate=LEARNING_RATE, clip_norm=0.0))
    tokens = size.batch_size * size.context_length
    together = min(choose_steps_per_execution(model.count_params(), tokens, gpu=accelerated()), plan.num_steps)
    executions, step = Executions(plan, steps=together), 0
    on_kernels = runs_on_kernels(network, precision)
    sharing = choose_sharing(network, size.batch_size, size.context_length, on_kernels=on_kernels)
    engine = engine_type()(model, optimizer, FIGURES_OF_TEXT, sharing=sharing, largest=plan.batches(0, 0, together))

    def train(steps: int) -> int:
        nonlocal step
        taken = 0
        while taken < steps:
            batches = executions.take(step // plan.num_steps, step % plan.num_steps)
            engine.train(batches)
            step += len(batches.inputs)
            taken += len(batches.inputs)
        engine.figures()  # they are available after all steps
        return taken

    return train


def keras_trainer(cell: str, size: Size) -> Trainer:
    """Build Keras's own layers with defaults, and a data set without autotuning, which delays `fit` by ten seconds."""
    from chargen.training.devices.backend import load_backend

    load_backend()
    import keras
    import tensorflow as tf

    kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simplernn": keras.layers.SimpleRNN}[cell]
    inputs = keras.Input((size.context_length,), dtype="int32")
    values = keras.layers.Embedding(VOCAB_SIZE, EMBEDDING_SIZE)(inputs)
    for _ in range(size.num_layers):
        values = kind(size.hidden_size, return_sequences=True)(values)
    model = keras.Model(inputs, keras.layers.Dense(VOCAB_SIZE)(values))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss)
    windows = _windows(size)
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices((windows[:, :-1], windows[:, 1:])).shuffle(len(windows), seed=1)
    dataset = dataset.repeat().batch(size.batch_size, drop_remainder=True).prefetch(2).with_options(options)

    def train(steps: int) -> int:
        model.fit(dataset, steps_per_epoch=steps, verbose=0)
        return steps

    return train


def torch_trainer(cell: str, size: Size, *, precision: str = "float32") -> Trainer:
    """Build PyTorch's own layers with fused Adam, and the whole text in memory, on the GPU if there is one.

    A precision other than float32 is autocast's; weights and optimizer stay in float32.
    """
    import torch
    from torch import nn

    kind = {"lstm": nn.LSTM, "gru": nn.GRU, "simplernn": nn.RNN}[cell]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    embedding = nn.Embedding(VOCAB_SIZE, EMBEDDING_SIZE).to(device)
    recurrent = kind(EMBEDDING_SIZE, size.hidden_size, size.num_layers).to(device)
    output = nn.Linear(size.hidden_size, VOCAB_SIZE).to(device)
    weights = [*embedding.parameters(), *recurrent.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(weights, LEARNING_RATE, fused=True)
    windows = torch.from_numpy(_windows(size)).to(device)
    generator = torch.Generator(device).manual_seed(1)

    def train(steps: int) -> int:
        for _ in range(steps):
            chosen = torch.randint(len(windows), (size.batch_size,), generator=generator, device=device)
            ids = windows[chosen].long().T  # (T + 1, B)
            with torch.autocast(device, getattr(torch, precision), enabled=precision != "float32"):
                hidden, _ = recurrent(embedding(ids[:-1]))
                loss = nn.functional.cross_entropy(output(hidden).flatten(0, 1), ids[1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return steps

    return train


def _windows(size: Size) -> np.ndarray:
    ids, width = read_ids(), size.context_length + 1
    return ids[: len(ids) // width * width].reshape(-1, width).astype(np.int32)


ENGINES: dict[str, Callable[[str, Size], Trainer]] = {
    "chargen": chargen_trainer,
    "chargen-xla": partial(chargen_trainer, native="0"),
    "chargen-avx2": partial(chargen_trainer, native="avx2"),
    "chargen-jax": partial(chargen_trainer, backend="jax"),
    "chargen-torch": partial(chargen_trainer, backend="torch"),
    "chargen-bfloat16-products": partial(chargen_trainer, precision="bfloat16_products"),
    "chargen-bfloat16": partial(chargen_trainer, precision="mixed_bfloat16"),
    "chargen-jax-bfloat16": partial(chargen_trainer, backend="jax", precision="mixed_bfloat16"),
    "chargen-torch-bfloat16": partial(chargen_trainer, backend="torch", precision="mixed_bfloat16"),
    "torch": torch_trainer,
    "torch-bfloat16": partial(torch_trainer, precision="bfloat16"),
    "keras": keras_trainer,
}


def serve(engine: str, cell: str, size: Size, seconds: float) -> None:
    """Get ready, report it, and measure once for each line on stdin, for as many steps as fit into the time."""
    train = ENGINES[engine](cell, size)
    train(3)
    rate = _steps_a_second(train, 3)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(peak_memory() or "none", flush=True)
            continue
        rate = _steps_a_second(train, max(2, round(seconds * rate)))
        print(rate * size.batch_size * size.context_length, flush=True)


def _steps_a_second(train: Trainer, steps: int) -> float:
    began = time.perf_counter()
    taken = train(steps)
    return taken / (time.perf_counter() - began)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    arguments: Any = sys.argv[1:]
    serve(arguments[0], arguments[1], parse_size(arguments[2]), float(arguments[3]))
