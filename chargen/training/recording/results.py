"""What an epoch brought, and what a training did."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chargen.training.planning.plan import CharacterRate


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """Figures of one epoch; cross-entropies are means in nats a token, the end of a line or document counted as one."""

    epoch: int  # counted from 1
    step: int  # optimizer steps since the start
    cross_entropy: float
    validation_cross_entropy: float | None
    learning_rate: float
    seconds: float
    num_targets: int  # tokens predicted in training
    rate: CharacterRate

    @property
    def monitored(self) -> float:
        """Cross-entropy by which models are compared: validation's where there is one."""
        return self.cross_entropy if self.validation_cross_entropy is None else self.validation_cross_entropy

    @property
    def bits_per_character(self) -> float:
        """The monitored cross-entropy in bits a character, whatever the tokens are."""
        return self.rate.bits_per_character(self.monitored)

    @property
    def characters_per_second(self) -> float:
        """Characters predicted in training a second, validation and sample texts not counted."""
        return self.num_targets * self.rate.characters_per_token / self.seconds

    def row(self) -> dict[str, Any]:
        """Return a row of metrics.csv: nothing in it depends on the machine's speed."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "cross_entropy": self.cross_entropy,
            "validation_cross_entropy": self.validation_cross_entropy,
            "characters_per_token": self.rate.characters_per_token,
            "bits_per_character": self.bits_per_character,
            "learning_rate": self.learning_rate,
        }


def time_left(seconds: float, *, at_most: bool) -> str:
    """Return how long training goes on, for the line of an epoch; at_most: whether it may end earlier."""
    return f"{'at most ' if at_most else ''}{timedelta(seconds=round(seconds))} left"


EXIT_SIGNAL = 128  # plus the signal's number, as shells report it


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """What each finished epoch brought, and the number of the signal that ended training, if one did."""

    results: tuple[EpochResult, ...]
    interrupted_by: int | None = None

    @property
    def best(self) -> EpochResult | None:
        """The epoch whose model was kept as the best."""
        return min(self.results, key=lambda result: result.monitored, default=None)

    @property
    def exit_code(self) -> int:
        """The process's exit code: 130 after Ctrl-C, 143 after SIGTERM."""
        return EXIT_SIGNAL + self.interrupted_by if self.interrupted_by else 0

    def summary(self) -> dict[str, Any]:
        """Return what `chargen train --json` prints of it."""
        best = self.best
        return {
            "epochs": len(self.results),
            "best_epoch": best and best.epoch,
            "bits_per_character": best and best.bits_per_character,
            "interrupted": self.interrupted_by is not None,
        }

    def describe(self) -> str:
        """Return it in words."""
        best = self.best
        found = f"best {best.bits_per_character:.3f} bits/char at epoch {best.epoch}" if best else "no epoch finished"
        return f"interrupted, everything is saved; {found}" if self.interrupted_by else found
