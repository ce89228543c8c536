"""Hold the results of a classifier's training, by epoch and as a whole."""

from dataclasses import dataclass
from typing import Any

from chargen.training.recording.results import EpochResult, TrainingOutcome, time_left


@dataclass(frozen=True, kw_only=True)
class ClassifierEpoch(EpochResult):
    """Figures of one epoch; cross-entropies are means in nats a text, accuracies shares of texts told right."""

    accuracy: float
    validation_accuracy: float | None

    @property
    def monitored_accuracy(self) -> float:
        """The accuracy that belongs to the cross-entropy by which models are compared."""
        return self.accuracy if self.validation_accuracy is None else self.validation_accuracy

    @property
    def texts_per_second(self) -> float:
        """Texts learnt from a second, validation not counted."""
        return self.num_targets / self.seconds

    def row(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "step": self.step,
            "cross_entropy": self.cross_entropy,
            "validation_cross_entropy": self.validation_cross_entropy,
            "accuracy": self.accuracy,
            "validation_accuracy": self.validation_accuracy,
            "learning_rate": self.learning_rate,
        }

    def line(self, *, epochs: int, seconds_left: float, at_most: bool = False) -> str:
        """Return the line that a person sees of it; at_most: whether training may end earlier."""
        parts = [f"epoch {self.epoch:>{len(str(epochs))}}/{epochs}", f"loss {self.cross_entropy:.3f} nats"]
        parts.append(f"accuracy {self.accuracy:.3f}")
        if self.validation_cross_entropy is not None and self.validation_accuracy is not None:
            parts.append(f"validation {self.validation_cross_entropy:.3f} nats  accuracy {self.validation_accuracy:.3f}")
        parts += [f"{self.texts_per_second:,.0f} texts/s", time_left(seconds_left, at_most=at_most)]
        return "  ".join(parts)


@dataclass(frozen=True, kw_only=True)
class ClassifierOutcome(TrainingOutcome):
    """What each finished epoch brought, and the number of the signal that ended training, if one did."""

    results: tuple[ClassifierEpoch, ...]

    @property
    def best(self) -> ClassifierEpoch | None:
        return min(self.results, key=lambda result: result.monitored, default=None)

    def summary(self) -> dict[str, Any]:
        best = self.best
        return {
            "epochs": len(self.results),
            "best_epoch": best and best.epoch,
            "cross_entropy": best and best.monitored,
            "accuracy": best and best.monitored_accuracy,
            "interrupted": self.interrupted_by is not None,
        }

    def describe(self) -> str:
        best = self.best
        found = f"best cross-entropy {best.monitored:.3f} nats a text at epoch {best.epoch}" if best else "no epoch finished"
        return f"interrupted, everything is saved; {found}" if self.interrupted_by else found
