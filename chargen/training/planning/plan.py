"""Define a plan: what the loop, the recorder and the user need to know of a training, whatever its task is."""

from typing import Any, Protocol

from chargen.corpus.corpus import Corpus
from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.windows import BatchPlan
from chargen.settings.schema import Settings
from chargen.training.planning.pace import Deadline
from chargen.training.planning.validation import Validation


class Plan(Protocol):
    """Everything that training needs to know, before any heavy package is loaded."""

    @property
    def settings(self) -> Settings:
        """All settings, each with a value."""

    @property
    def corpus(self) -> Corpus:
        """The text to learn."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the ids."""

    @property
    def training(self) -> BatchPlan:
        """The batches of an epoch."""

    @property
    def validation(self) -> Validation | None:
        """How held-out text is measured after each epoch; None if nothing is held out."""

    @property
    def whole_validation(self) -> Validation | None:
        """How all held-out text is measured after training; None if each epoch measures all of it."""

    @property
    def num_parameters(self) -> int:
        """Number of weights to train."""

    @property
    def deadline(self) -> Deadline | None:
        """When training must end, None if it may take as long as it needs."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Lines with the reasons for the chosen settings."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines about problems of the plan, such as too few steps."""

    def steps_per_execution(self, *, gpu: bool) -> int:
        """Return how many optimizer steps to take without returning to Python, on a GPU or a CPU."""

    def describe(self) -> list[str]:
        """Return lines for the user: the network and the text."""

    def summary(self) -> dict[str, Any]:
        """Return the figures that `chargen train --dry-run` prints."""

    def speed(self, seconds_per_step: float) -> dict[str, int]:
        """Return the speed of learning for a time of an optimizer step, such as "characters_per_second"."""
