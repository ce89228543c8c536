"""Define what a trainer does: it holds a network and takes its optimizer steps."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from chargen.corpus.vocabulary import Vocabulary
from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.runs.checkpoints import Arrays
from chargen.settings.schema import TrainingConfig
from chargen.training.planning.validation import Validation
from chargen.training.planning.word_vectors import WordVectors
from chargen.training.recording.display import Display
from chargen.training.recording.results import Figures
from chargen.training.signals import RequestedSignal

RESET_SHARE = 0.15  # of the steps


class Trainer(Protocol):
    """A network of a plan, with initial weights, and the optimizer that trains it."""

    def network(self) -> Network:
        """Return the network as it is now, its weights copied."""

    def set_weights(self, weights: Mapping[str, Floats]) -> None:
        """Replace some weights, named as `weight_shapes` names them."""

    def prepare(self) -> None:
        """Compile the steps of training and measuring. Weights, optimizer and carried states do not change."""

    def begin_epoch(self) -> None:
        """Reset the losses and the carried state."""

    def train(self, epoch: int, first: int) -> int:
        """Take the optimizer steps of one execution, from step `first` of the epoch, and return their number."""

    def move_schedule(self, steps: int) -> None:
        """Move the schedule of the learning rate on, or back, by so many steps."""

    def figures(self) -> Figures:
        """Return the means since the epoch began: "cross_entropy", in nats a token or text, and others."""

    def measure(self, validation: Validation, requested: RequestedSignal) -> Figures:
        """Return the same figures of held-out text, and look for a signal between steps. Training is not changed."""

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""

    def set_learning_rate(self, learning_rate: float) -> None:
        """Change the learning rate."""

    def state(self) -> Arrays:
        """Return a copy of everything that is carried from step to step."""

    def restore(self, state: Arrays) -> None:
        """Restore what `state` returned."""


def start_embedding(trainer: Trainer, vectors: WordVectors | None, vocabulary: Vocabulary, display: Display) -> None:
    """Let the embedding of a trainer start from word vectors, if there are any."""
    if vectors is not None:
        trainer.set_weights({"embedding": vectors.placed(trainer.network().weights["embedding"])})
        display.note(vectors.describe(vocabulary))


def resets_state(training: TrainingConfig, epoch: int, first: int, steps: int) -> bool:
    """Tell whether to reset the carried state to zero before an execution of so many steps, from step `first` on.

    Only for streams with training.jitter, and for `RESET_SHARE` of the steps, drawn from the random seed: a network whose state
    is always carried does not learn to begin in the middle of a text.
    """
    if not training.jitter:
        return False
    drawn = np.random.default_rng([training.seed_of_network, epoch, first]).random()
    return bool(drawn < 1 - (1 - RESET_SHARE) ** steps)
