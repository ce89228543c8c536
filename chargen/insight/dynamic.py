"""Evaluate networks that continue to learn from the text they are measured on (Krause et al. 2018).

Each segment of the text is predicted first, and learnt from afterwards. So every prediction is honest, but the measured model
is another one: it was also trained on the beginning of the held-out text. Its figure never replaces the static one.

With w a weight, w0 its trained value, g its gradient of the mean cross-entropy of a segment, m the root mean square of its
gradients on the training text, and mean(m) over all weights:

    w = w - n g / (m + e mean(m)) + min(1, d m / mean(m)) (w0 - w)

Weights that changed often in training may change far and decay back fast. The recipe is the paper's ("RMS, decay global"); e is
relative to mean(m) here, so that no setting depends on the scale of a network's gradients.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.windows import SlidingWindows, TokenStream
from chargen.errors import ConfigError
from chargen.insight.evaluation import EncodedText, Quality, Report, ignore
from chargen.network.average import average_logits
from chargen.network.cells import Floats
from chargen.network.model_file import TextModel
from chargen.network.network import Network
from chargen.scratch.loss import cross_entropy, cross_entropy_and_gradient
from chargen.scratch.network import NetworkPass, ScratchNetwork, refused
from chargen.settings.schema import NetworkConfig

SEGMENT = 20  # tokens between two updates
RATE = 3e-5  # n, chosen with d and e on a text that is not in our reports
DECAY = 0.0005  # d
SMALL = 0.1  # e
STATISTICS_BATCHES, STATISTICS_ROWS, STATISTICS_STEPS = 100, 16, 64

SegmentIds = npt.NDArray[np.int32]


class Segment(NamedTuple):
    """The tokens between two updates.

    ids, targets, weights: (1, S). begins: whether it starts from a zero state.
    """

    ids: SegmentIds
    targets: SegmentIds
    weights: Floats
    begins: bool


def check_dynamic(model: TextModel) -> None:
    """Raise ConfigError for a network that reads windows or that hand-written backpropagation does not support."""
    if not model.carried:
        raise ConfigError(
            f"--dynamic carries the state, this network reads windows of {model.context_length} tokens",
            hint="add --carry, or leave out --dynamic",
        )
    for name in (name for network in model.network.members for name in refused(_as_read(network))):
        raise ConfigError(f"--dynamic does not support network.{name}", hint="leave out --dynamic")


def evaluate_dynamic(
    model: TextModel, encoded: EncodedText, training: TokenStream, *, rate: float = RATE, report: Report = ignore
) -> Quality:
    """Read a text as a stream, or line by line, and learn from each segment after predicting it.

    Several networks are averaged; each learns from its own prediction. training: the training text. The model is not changed.
    Raises the errors of `check_dynamic`.
    """
    check_dynamic(model)
    learners = [_Learner(network, training, rate) for network in model.network.members]
    lines = model.reading == "line"
    nats = 0.0
    for segment in line_segments(model, encoded.stream) if lines else stream_segments(encoded.stream):
        logits = average_logits([learner.read(segment) for learner in learners])
        nats += cross_entropy(logits, segment.targets.T, segment.weights.T)
        report(int(segment.weights.sum()))
    return encoded.quality(nats)


def stream_segments(stream: TokenStream) -> Iterator[Segment]:
    """Cut a stream into segments; the state is carried through all of them."""
    for first in range(0, stream.span, SEGMENT):
        ids = stream.ids[first : first + SEGMENT + 1].astype(np.int32)[None]
        predicted = stream.predicts(first + np.arange(1, ids.size))[None]
        yield Segment(ids[:, :-1], stream.as_targets(ids[:, 1:]), predicted.astype(np.float32), first == 0)


def line_segments(model: TextModel, stream: TokenStream) -> Iterator[Segment]:
    """Yield each line as one segment that begins with the model's start token."""
    unpredicted = len(model.primer) - 1
    for start, length in zip(stream.starts.tolist(), stream.lengths.tolist(), strict=False):
        line = stream.ids[start : start + length + 1].astype(np.int32)
        ids = np.concatenate([np.repeat(line[:1], unpredicted), line])[None]
        weights = np.ones((1, ids.size - 1), np.float32)
        weights[:, :unpredicted] = 0
        yield Segment(ids[:, :-1], stream.as_targets(ids[:, 1:]), weights, begins=True)


class _Learner:
    """A copy of a network that learns from what it reads."""

    def __init__(self, network: Network, training: TokenStream, rate: float) -> None:
        self._trained = network.weights
        self._weights = {name: weight.copy() for name, weight in self._trained.items()}
        self._network = ScratchNetwork(_as_read(network), network.vocab_size, self._weights)
        self._zero = self._state = self._network.zero_state(1)
        sizes = gradient_sizes(self._network, training)
        mean = sum(float(size.sum(dtype=np.float64)) for size in sizes.values()) / network.num_parameters
        mean = mean or 1.0  # weights without gradients do not change
        self._rates = {name: np.float32(rate) / (size + np.float32(SMALL * mean)) for name, size in sizes.items()}
        self._decays = {name: np.minimum(np.float32(DECAY / mean) * size, 1) for name, size in sizes.items()}

    def read(self, segment: Segment) -> Floats:
        """Return the logits before each token of a segment, (S, 1, V), and learn from the segment."""
        run = NetworkPass(self._network, segment.ids, self._zero if segment.begins else self._state)
        _, d_logits = cross_entropy_and_gradient(run.logits, segment.targets.T, segment.weights.T)
        self._state = run.state
        for name, gradient in run.backward(d_logits).items():
            weight = self._weights[name]
            drawn_back = self._trained[name] - weight
            drawn_back *= self._decays[name]
            gradient *= self._rates[name]
            drawn_back -= gradient
            weight += drawn_back
        return run.logits


def gradient_sizes(network: ScratchNetwork, training: TokenStream) -> dict[str, Floats]:
    """Return the root mean square of each weight's gradients over random batches of a text."""
    batches = SlidingWindows(
        training, context_length=STATISTICS_STEPS, stride=STATISTICS_STEPS, batch_size=STATISTICS_ROWS, last=False, seed=0
    )
    squares = {name: np.zeros_like(weight) for name, weight in network.weights.items()}
    count = min(STATISTICS_BATCHES, batches.num_steps)
    state = network.zero_state(STATISTICS_ROWS)
    for step in range(count):
        batch = batches.batch(0, step)
        run = NetworkPass(network, batch.inputs, state)
        _, d_logits = cross_entropy_and_gradient(run.logits, batch.targets.T, batch.sample_weights.T)
        for name, gradient in run.backward(d_logits).items():
            squares[name] += gradient * gradient
    return {name: np.sqrt(square / count) for name, square in squares.items()}


def _as_read(network: Network) -> NetworkConfig:
    """Return the network's configuration for evaluation: no dropout, and every position predicts."""
    return replace(network.config.undropped(), targets="all")
