"""Evaluate a network that goes on learning from the text that it is measured on (Krause et al. 2018).

Each segment of the text is predicted first, and only then learnt from. So every prediction is honest, but it is another model
that is measured: one that was trained on the beginning of the held-out part too. Its figure never stands for the static one.

With w a weight, w0 what training made of it, g its gradient by the mean cross-entropy of a segment, m the root of the mean of
its squared gradients on the training part, and mean(m) over all weights:

    w = w - n g / (m + e mean(m)) + min(1, d m / mean(m)) (w0 - w)

Weights that training had to change often may go far and are drawn back fast. The recipe is the paper's ("RMS, decay global");
e is told relative to mean(m) here, so that no setting depends on the size of a network's gradients.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.windows import SlidingWindows, TokenStream
from chargen.errors import ConfigError
from chargen.insight.evaluation import Passage, Quality, Report, ignore
from chargen.network.cells import Floats
from chargen.network.model_file import TextModel
from chargen.scratch.loss import cross_entropy_and_gradient
from chargen.scratch.network import NetworkPass, ScratchNetwork, refused
from chargen.settings.schema import NetworkConfig

SEGMENT = 20  # tokens between two updates
RATE = 3e-5  # n, chosen with d and e on another text than any that we report on
DECAY = 0.0005  # d
SMALL = 0.1  # e
STATISTICS_BATCHES, STATISTICS_ROWS, STATISTICS_STEPS = 100, 16, 64

TokenIds = npt.NDArray[np.int32]


class Segment(NamedTuple):
    """What is read between two updates. ids, targets, weights: (1, S). begins: whether it starts from the zero state."""

    ids: TokenIds
    targets: TokenIds
    weights: Floats
    begins: bool


def check_dynamic(model: TextModel) -> None:
    """Raise ConfigError for a network that reads windows, and for one that the hand-written backpropagation cannot train."""
    if not model.carried:
        raise ConfigError(
            f"--dynamic carries the state, this network reads windows of {model.context_length} tokens",
            hint="add --carry, or leave out --dynamic",
        )
    for name in refused(_as_read(model)):
        raise ConfigError(
            f"--dynamic learns by hand-written backpropagation, which has no network.{name}", hint="leave out --dynamic"
        )


def evaluate_dynamic(
    model: TextModel, passage: Passage, training: TokenStream, *, rate: float = RATE, report: Report = ignore
) -> Quality:
    """Read a passage as a stream, or line by line, and learn from each segment of it once it was predicted.

    training: what the model was trained on. The model stays as it is. Raises what `check_dynamic` raises.
    """
    check_dynamic(model)
    learner = _Learner(model, training, rate)
    lines = model.reading == "line"
    nats = 0.0
    for segment in line_segments(model, passage.stream) if lines else stream_segments(passage.stream):
        nats += learner.read(segment)
        report(int(segment.weights.sum()))
    return passage.quality(nats)


def stream_segments(stream: TokenStream) -> Iterator[Segment]:
    """Cut a stream into segments, the state carried from the first to the last."""
    for first in range(0, stream.span, SEGMENT):
        ids = stream.ids[first : first + SEGMENT + 1].astype(np.int32)[None]
        predicted = stream.predicts(first + np.arange(1, ids.size))[None]
        yield Segment(ids[:, :-1], stream.as_targets(ids[:, 1:]), predicted.astype(np.float32), first == 0)


def line_segments(model: TextModel, stream: TokenStream) -> Iterator[Segment]:
    """Return each line in one segment of its own, from what generation begins a line with."""
    unpredicted = len(model.primer) - 1
    for start, length in zip(stream.starts.tolist(), stream.lengths.tolist(), strict=False):
        line = stream.ids[start : start + length + 1].astype(np.int32)
        ids = np.concatenate([np.repeat(line[:1], unpredicted), line])[None]
        weights = np.ones((1, ids.size - 1), np.float32)
        weights[:, :unpredicted] = 0
        yield Segment(ids[:, :-1], stream.as_targets(ids[:, 1:]), weights, begins=True)


class _Learner:
    """A copy of a network that learns from what it has read."""

    def __init__(self, model: TextModel, training: TokenStream, rate: float) -> None:
        config = _as_read(model)
        self._trained = model.network.weights
        self._weights = {name: weight.copy() for name, weight in self._trained.items()}
        self._network = ScratchNetwork(config, model.network.vocab_size, self._weights)
        self._zero = self._state = self._network.zero_state(1)
        sizes = gradient_sizes(self._network, training)
        mean = sum(float(size.sum(dtype=np.float64)) for size in sizes.values()) / model.network.num_parameters
        mean = mean or 1.0  # where no gradient ever came, nothing moves
        self._rates = {name: np.float32(rate) / (size + np.float32(SMALL * mean)) for name, size in sizes.items()}
        self._decays = {name: np.minimum(np.float32(DECAY / mean) * size, 1) for name, size in sizes.items()}

    def read(self, segment: Segment) -> float:
        """Return what a segment costs, in nats, and learn from it."""
        run = NetworkPass(self._network, segment.ids, self._zero if segment.begins else self._state)
        nats, d_logits = cross_entropy_and_gradient(run.logits, segment.targets.T, segment.weights.T)
        self._state = run.state
        for name, gradient in run.backward(d_logits).items():
            weight = self._weights[name]
            drawn_back = self._trained[name] - weight
            drawn_back *= self._decays[name]
            gradient *= self._rates[name]
            drawn_back -= gradient
            weight += drawn_back
        return nats


def gradient_sizes(network: ScratchNetwork, training: TokenStream) -> dict[str, Floats]:
    """Return, for each weight, the root of the mean of its squared gradients over random batches of a text."""
    batches = SlidingWindows(
        training, context_length=STATISTICS_STEPS, stride=STATISTICS_STEPS, batch_size=STATISTICS_ROWS, last=False, seed=0
    )
    squares = {name: np.zeros_like(weight) for name, weight in network.weights.items()}
    count = min(STATISTICS_BATCHES, batches.num_steps)
    state = network.zero_state(STATISTICS_ROWS)
    for step in range(count):
        batch = batches.batch(0, step)
        run = NetworkPass(network, batch.inputs, state)
        _, d_logits = cross_entropy_and_gradient(run.logits, batch.targets.T, batch.weights.T)
        for name, gradient in run.backward(d_logits).items():
            squares[name] += gradient * gradient
    return {name: np.sqrt(square / count) for name, square in squares.items()}


def _as_read(model: TextModel) -> NetworkConfig:
    """Return the configuration of a network as it reads: nothing is dropped, and every position predicts."""
    return replace(model.network.config.undropped(), targets="all")
