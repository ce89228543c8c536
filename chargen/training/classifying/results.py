"""Hold the figures of a classifier's epochs and the outcome of its training."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from chargen.training.recording.results import EpochResult, TrainingOutcome, numbered, time_left


@dataclass(frozen=True, kw_only=True)
class ClassifierEpoch(EpochResult):
    """Figures of one epoch; cross-entropies are means in nats a text, accuracies the share of texts with the right label."""

    accuracy: float
    validation_accuracy: float | None

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "ClassifierEpoch":
        """Return the result that a checkpoint stores; those of older versions store other fields too."""
        return cls(**{field.name: stored[field.name] for field in fields(cls)})

    @property
    def quality(self) -> float:
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

    def provenance(self) -> dict[str, Any]:
        return {"epochs": self.epoch, "accuracy": self.quality}

    def line(self, *, epochs: int, seconds_left: float, at_most: bool = False) -> str:
        parts = [numbered(self.epoch, epochs), f"loss {self.cross_entropy:.3f} nats", f"accuracy {self.accuracy:.3f}"]
        if self.validation_cross_entropy is not None and self.validation_accuracy is not None:
            parts.append(f"validation {self.validation_cross_entropy:.3f} nats  accuracy {self.validation_accuracy:.3f}")
        parts += [f"{self.texts_per_second:,.0f} texts/s", time_left(seconds_left, at_most=at_most)]
        return "  ".join(parts)


@dataclass(frozen=True, kw_only=True)
class ClassifierOutcome(TrainingOutcome[ClassifierEpoch]):
    """The outcome of training a classifier."""

    def best_figures(self) -> dict[str, float | None]:
        best = self.best
        return {"cross_entropy": best.monitored if best else None, "accuracy": best.quality if best else None}

    def best_in_words(self) -> str:
        best = self.best
        assert best is not None
        return f"best cross-entropy {best.monitored:.3f} nats a text at epoch {best.epoch}"
