"""Compare other recurrent cells with an LSTM: some after the same time, some after as many optimizer steps.

- minGRU and minLSTM (Feng et al. 2024): the gates depend only on the input, so all products are computed at once and the
  loop is an element-wise sum. They are judged by the time.
- The multiplicative LSTM (Krause et al. 2016): a product of projections of the input and of the state takes the state's place.
- The mogrifier LSTM (Melis et al. 2020): before each step the input and the state scale each other some rounds.

The mogrifier runs in Keras's own loop, the others of the last comparison on the kernels of `chargen.native`, so the loss after
the same steps tells more than the speed. Each network is trained with the same optimizer and schedule, and measured on the same
tail of a text, in blocks of the training's context length from a zero state.
"""

import math
import time
from typing import Any, NamedTuple

from benchmarks.commands import SHARED_TEXTS

Rows = list[dict[str, Any]]

T, B, EMBEDDING, RATE, WARMUP_STEPS = 128, 32, 128, 4e-3, 50
SECONDS, STEPS = 120.0, 1000
ROUNDS = 5  # of a mogrifier: three of the input, two of the state


class Shape(NamedTuple):
    """A cell, its layers and its units."""

    cell: str
    num_layers: int
    hidden_size: int


IN_THE_SAME_TIME = (Shape("lstm", 1, 512), Shape("minGRU", 1, 512), Shape("minGRU", 3, 512), Shape("minLSTM", 3, 512))
AFTER_AS_MANY_STEPS = (Shape("lstm", 1, 256), Shape("mLSTM", 1, 256), Shape("mogrifier LSTM", 1, 256))


def measure(*, scale: float = 1.0) -> Rows:
    """Train for `scale` times two minutes each, not counting compilation; return nats a character on the last tenth."""
    return _measured(IN_THE_SAME_TIME, seconds=SECONDS * scale)


def measure_by_steps(*, scale: float = 1.0) -> Rows:
    """Train for `scale` times a thousand optimizer steps each; return nats a character on the last tenth."""
    return _measured(AFTER_AS_MANY_STEPS, steps=max(1, round(STEPS * scale)))


def _measured(shapes: tuple[Shape, ...], *, seconds: float = math.inf, steps: int = 0) -> Rows:
    import numpy as np

    from chargen.training.devices.backend import load_backend

    load_backend("tensorflow")
    text = (SHARED_TEXTS / "tinyshakespeare.txt").read_text(encoding="utf-8")
    tokens = {character: number for number, character in enumerate(sorted(set(text)))}
    ids = np.array([tokens[character] for character in text], np.int32)
    cut = int(0.9 * len(ids))
    return [_trial(shape, ids[:cut], ids[cut:], len(tokens), seconds=seconds, steps=steps) for shape in shapes]


def _trial(shape: Shape, training: Any, test: Any, vocab_size: int, *, seconds: float, steps: int) -> dict[str, Any]:
    """Train a network for so many seconds, or for so many steps unless they are 0."""
    import keras
    import numpy as np

    from chargen.training.engines.losses import FIGURES_OF_TEXT
    from chargen.training.engines.sharing import Sharing, num_shards
    from chargen.training.engines.tensorflow_engine import TensorFlowEngine

    keras.utils.set_random_seed(1)
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=0.05, beta_2=0.98, global_clipnorm=1.0)
    model, first = _model(shape, vocab_size), _batch(training[: T + 1][None].repeat(B, axis=0))
    engine = TensorFlowEngine(model, optimizer, FIGURES_OF_TEXT, sharing=Sharing(shards=num_shards(B)), largest=first)
    speed = _train(engine, training, seconds=seconds, steps=steps)
    blocks = np.stack([test[place : place + T + 1] for place in range(0, len(test) - T, T)])
    loss = _evaluated(engine, blocks[: len(blocks) // B * B])
    length = f"{steps:,} steps" if steps else f"{seconds:g} s, {speed:,.0f} chars/s"
    what = f"{shape.cell} {shape.num_layers}x{shape.hidden_size}, {length}"
    return {"what": what, "unit": "nats", "median": loss, "min": loss, "max": loss}


def _train(engine: Any, ids: Any, *, seconds: float, steps: int) -> float:
    """Take optimizer steps along a cosine schedule. Return the characters a second."""
    import numpy as np

    rng, rate = np.random.default_rng(1), engine.optimizer.learning_rate

    def batch() -> Any:
        return _batch(ids[rng.integers(0, len(ids) - T - 1, B)[:, None] + np.arange(T + 1)])

    engine.train(batch())  # compiles
    began, taken = time.perf_counter(), 0
    while True:
        elapsed = time.perf_counter() - began
        progress = taken / steps if steps else elapsed / seconds
        if progress >= 1:
            return taken * B * T / elapsed
        rise = min(1.0, (taken + 1) / WARMUP_STEPS)
        rate.assign(RATE * rise * 0.5 * (1 + math.cos(math.pi * progress)))
        engine.train(batch())
        taken += 1


def _evaluated(engine: Any, blocks: Any) -> float:
    engine.reset_figures()
    for first in range(0, len(blocks), B):
        engine.test(_batch(blocks[first : first + B]))
    return engine.figures()["cross_entropy"]


def _batch(windows: Any) -> Any:
    """Return the inputs, targets and weights of one optimizer step, (1, B, T) each, of windows of T + 1 ids."""
    import numpy as np

    from chargen.corpus.windows import Batch

    return Batch(windows[None, :, :-1], windows[None, :, 1:], np.ones((1, B, T), np.float32))


def _model(shape: Shape, vocab_size: int) -> Any:
    import keras
    from keras import layers

    from chargen.training.layers.recurrent import FusedLSTM, FusedMultiplicativeLSTM

    own = {"lstm": FusedLSTM, "mLSTM": FusedMultiplicativeLSTM}
    values = ids = keras.Input((T,), dtype="int32")
    values = layers.Embedding(vocab_size, EMBEDDING)(values)
    for _ in range(shape.num_layers):
        if shape.cell in own:
            values = own[shape.cell](shape.hidden_size, return_sequences=True)(values)
        elif shape in AFTER_AS_MANY_STEPS:
            values = layers.RNN(_mogrifier_cell(shape), return_sequences=True)(values)
        else:
            before = values if values.shape[-1] == shape.hidden_size else layers.Dense(shape.hidden_size)(values)
            values = before + _min_layer(shape)(layers.LayerNormalization()(before))
    return keras.Model(ids, layers.Dense(vocab_size)(values))


def _mogrifier_cell(shape: Shape) -> Any:
    """Return the cell of a mogrifier LSTM."""
    from keras import layers, ops

    class MogrifierCell(layers.LSTMCell):
        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            sizes = [self.units if number % 2 else input_shape[-1] for number in range(ROUNDS)]
            self.scales = [layers.Dense(size, use_bias=False) for size in sizes]
            for number, scale in enumerate(self.scales):
                scale.build((None, input_shape[-1] if number % 2 else self.units))

        def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
            output, carry = states
            for number, scale in enumerate(self.scales):
                if number % 2:
                    output = 2 * ops.sigmoid(scale(inputs)) * output
                else:
                    inputs = 2 * ops.sigmoid(scale(output)) * inputs
            return super().call(inputs, [output, carry], training=training)

    return MogrifierCell(shape.hidden_size)


def _min_layer(shape: Shape) -> Any:
    """Return the layer of a minimal cell: h = f h + i c at every step; f, i and the candidate c depend on the input."""
    from keras import layers, ops

    class MinCell(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.gates = layers.Dense((2 if shape.cell == "minGRU" else 3) * shape.hidden_size)

        def call(self, inputs: Any) -> Any:
            candidate, *gates = ops.split(self.gates(inputs), self.gates.units // shape.hidden_size, axis=-1)
            if shape.cell == "minGRU":
                forget = ops.sigmoid(gates[0])
                given = 1 - forget
            else:
                forget, given = (ops.sigmoid(gate) for gate in gates)
                forget, given = forget / (forget + given), given / (forget + given)
            return _scanned(forget, given * candidate)

    return MinCell()


def _scanned(factors: Any, addends: Any) -> Any:
    """Return all h of h = factor * h + addend, starting from 0, (B, T, H), by a parallel scan (Hillis and Steele 1986)."""
    from keras import ops

    shift = 1
    while shift < T:
        before = ((0, 0), (shift, 0), (0, 0))
        addends = addends + factors * ops.pad(addends[:, :-shift], before)
        factors = factors * ops.pad(factors[:, :-shift], before, constant_values=1)
        shift *= 2
    return addends
