"""Hold the figures of each epoch and the outcome of a training."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Any, Generic, TypeVar

from chargen.network.model_file import LEAST_DRIFT
from chargen.training.planning.text_plan import CharacterConversion
from chargen.training.recording.extrapolation import extrapolate

LONGER = 2.0  # times as long as a training was, for the estimate of what more time would bring
EXIT_SIGNAL = 128  # plus the signal's number, as shells report it

Figures = Mapping[str, float]  # "cross_entropy" in nats a token or text, and what else was measured


@dataclass(frozen=True, kw_only=True)
class EpochResult(ABC):
    """Figures of one epoch, of any task; cross-entropies are means in nats, those of validation None without held-out text."""

    epoch: int  # counted from 1
    step: int  # optimizer steps since the start
    cross_entropy: float
    validation_cross_entropy: float | None
    learning_rate: float
    seconds: float
    num_targets: int  # tokens or texts predicted in training

    @property
    def monitored(self) -> float:
        """Cross-entropy by which models are compared: that of validation if there is one."""
        return self.cross_entropy if self.validation_cross_entropy is None else self.validation_cross_entropy

    @property
    @abstractmethod
    def quality(self) -> float:
        """The figure to compare with baselines: bits a character, or an accuracy."""

    @abstractmethod
    def row(self) -> dict[str, Any]:
        """Return a row of metrics.csv: nothing in it depends on the machine's speed."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Return the figures that a model file of this epoch stores."""

    @abstractmethod
    def line(self, *, epochs: int, seconds_left: float, at_most: bool = False) -> str:
        """Return the line that the user sees; at_most: whether training may end earlier."""

    def facts(self) -> dict[str, Any]:
        """Return the fields that a checkpoint stores."""
        return asdict(self)


ResultT_co = TypeVar("ResultT_co", bound=EpochResult, covariant=True)


@dataclass(frozen=True, kw_only=True)
class TextEpoch(EpochResult):
    """Figures of one epoch of a network that writes text; the end of a line or document counts as a token.

    conversion: from tokens to characters. validation_share: the share of the held-out tokens that was measured. drift: nats a
    token by which held-out text costs more with the carried state than from the zero state; None if it was not measured.
    """

    conversion: CharacterConversion
    validation_share: float = 1.0
    drift: float | None = None

    @property
    def quality(self) -> float:
        return self.bits_per_character

    @property
    def bits_per_character(self) -> float:
        """The monitored cross-entropy in bits a character, whatever the tokens are."""
        return self.conversion.bits_per_character(self.monitored)

    @property
    def drift_bits(self) -> float:
        """The drift in bits a character; 0 if it was not measured, or if the carried state makes the text cheaper."""
        return max(self.drift or 0.0, 0.0) / self.conversion.characters_per_token / math.log(2)

    @property
    def characters_per_second(self) -> float:
        """Characters predicted in training a second, validation and sample texts not counted."""
        return self.num_targets * self.conversion.characters_per_token / self.seconds

    def row(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "step": self.step,
            "cross_entropy": self.cross_entropy,
            "validation_cross_entropy": self.validation_cross_entropy,
            "characters_per_token": self.conversion.characters_per_token,
            "bits_per_character": self.bits_per_character,
            "learning_rate": self.learning_rate,
        }

    def provenance(self) -> dict[str, Any]:
        known: dict[str, Any] = {"epochs": self.epoch, "bits_per_character": self.bits_per_character}
        if self.validation_share < 1:
            known["validation_share"] = self.validation_share
        if self.drift_bits > LEAST_DRIFT:
            known["drift"] = self.drift_bits
        return known

    def line(self, *, epochs: int, seconds_left: float, at_most: bool = False) -> str:
        part = f" on {self.validation_share:.0%}" if self.validation_share < 1 else ""
        validation = self.validation_cross_entropy
        parts = [
            numbered(self.epoch, epochs),
            f"loss {self.cross_entropy:.3f}",
            *([f"validation {validation:.3f}{part}"] if validation is not None else []),
            f"{self.bits_per_character:.3f} bits/char",
            f"{self.characters_per_second:,.0f} chars/s",
            time_left(seconds_left, at_most=at_most),
        ]
        return "  ".join(parts)

    def facts(self) -> dict[str, Any]:
        return {name: value for name, value in super().facts().items() if name != "conversion"}


def numbered(epoch: int, epochs: int) -> str:
    """Return the beginning of an epoch's line, such as "epoch  3/20"."""
    epochs = max(epoch, epochs)
    return f"epoch {epoch:>{len(str(epochs))}}/{epochs}"


def time_left(seconds: float, *, at_most: bool) -> str:
    """Return how long training goes on, for the line of an epoch; at_most: whether it may end earlier."""
    return f"{'at most ' if at_most else ''}{timedelta(seconds=round(max(seconds, 0)))} left"


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome(ABC, Generic[ResultT_co]):
    """The results of all finished epochs, and the number of the signal that ended training, if one did."""

    results: tuple[ResultT_co, ...]
    interrupted_by: int | None = None

    @property
    def best(self) -> ResultT_co | None:
        """The epoch whose model is model.safetensors."""
        return min(self.results, key=attrgetter("monitored"), default=None)

    @property
    def quality(self) -> float | None:
        """The quality of the model, by which it is compared with baselines; None where no epoch finished."""
        return self.best.quality if self.best else None

    @property
    def exit_code(self) -> int:
        """The process's exit code: 130 after Ctrl-C, 143 after SIGTERM."""
        return EXIT_SIGNAL + self.interrupted_by if self.interrupted_by else 0

    def summary(self) -> dict[str, Any]:
        """Return the figures that `chargen train --json` prints."""
        best = self.best
        return {
            "epochs": len(self.results),
            "best_epoch": best and best.epoch,
            **self.best_figures(),
            "interrupted": self.interrupted_by is not None,
        }

    def describe(self) -> str:
        """Return the outcome as a sentence."""
        found = self.best_in_words() if self.best else "no epoch finished"
        return f"interrupted, everything is saved; {found}" if self.interrupted_by else found

    def outlook(self) -> str | None:
        """Return what a longer training would reach, as a sentence; None if the epochs do not tell."""
        return None

    @abstractmethod
    def best_figures(self) -> dict[str, float | None]:
        """Return the figures of the best epoch, None where no epoch finished."""

    @abstractmethod
    def best_in_words(self) -> str:
        """Return the figures of the best epoch in words, if there is one."""


@dataclass(frozen=True, kw_only=True)
class TextOutcome(TrainingOutcome[TextEpoch]):
    """The outcome of training a network that writes text.

    whole: bits a character of the best model on all held-out text, if each epoch measured a part of it, or if the model was
    calibrated after them.
    """

    whole: float | None = None

    @property
    def quality(self) -> float | None:
        return self.whole or super().quality

    def best_figures(self) -> dict[str, float | None]:
        return {"bits_per_character": self.whole or self.best.bits_per_character if self.best else None}

    def outlook(self) -> str | None:
        if self.interrupted_by or not self.results or self.results[-1].validation_cross_entropy is None:
            return None
        bits = [one.bits_per_character for one in self.results]
        expected = extrapolate(bits, [one.learning_rate for one in self.results], LONGER)
        if expected is None or bits[-1] - expected.value <= expected.error:
            return None
        return (
            f"twice as long (--minutes or --epochs), it would reach about {expected.value:.2f} bits/char, "
            f"give or take {max(expected.error, 0.01):.2f}, by the curve of its epochs"
        )

    def best_in_words(self) -> str:
        best = self.best
        assert best is not None
        found = f"best {best.bits_per_character:.3f} bits/char at epoch {best.epoch}"
        if best.validation_share < 1:
            found += f" on {best.validation_share:.0%} of the held-out text"
            found += f", {self.whole:.3f} on all of it" if self.whole else "; chargen evaluate measures all of it"
        elif self.whole:
            found += f", {self.whole:.3f} calibrated"
        return found


@dataclass(frozen=True, kw_only=True)
class MembersOutcome(TextOutcome):
    """The outcome of training several networks, with the epochs of all, one network after the other.

    members: how many were begun. whole: bits a character of their average. share: of the held-out text that was measured.
    """

    members: int
    share: float = 1.0

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"networks": self.members}

    def best_in_words(self) -> str:
        alone = f"the best of them alone {self.best.bits_per_character:.3f}" if self.best else ""
        if self.whole is None:
            return f"{self.members} networks, {alone}"
        part = f" on {self.share:.0%} of the held-out text; chargen evaluate measures all of it" if self.share < 1 else ""
        return f"{self.members} networks together {self.whole:.3f} bits/char{part}, {alone}"
