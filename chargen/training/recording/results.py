"""Hold the results of a training, by epoch and as a whole."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chargen.training.planning.plan import CharacterRate


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """Figures of one epoch; cross-entropies are means in nats a token, the end of a line or document counted as one.

    validation_share: of the held-out tokens, those that were measured. drift: nats a token by which held-out text costs more
    with the state carried to it than from the zero state; None where that is not known.
    """

    epoch: int  # counted from 1
    step: int  # optimizer steps since the start
    cross_entropy: float
    validation_cross_entropy: float | None
    learning_rate: float
    seconds: float
    num_targets: int  # tokens predicted in training
    rate: CharacterRate
    validation_share: float = 1.0
    drift: float | None = None

    @property
    def monitored(self) -> float:
        """Cross-entropy by which models are compared: validation's where there is one."""
        return self.cross_entropy if self.validation_cross_entropy is None else self.validation_cross_entropy

    @property
    def bits_per_character(self) -> float:
        """The monitored cross-entropy in bits a character, whatever the tokens are."""
        return self.rate.bits_per_character(self.monitored)

    @property
    def drift_bits(self) -> float:
        """The drift in bits a character, 0 where it is not known or carrying the state makes the text cheaper."""
        return max(self.drift or 0.0, 0.0) / self.rate.characters_per_token / math.log(2)

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
    """What each finished epoch brought, and the number of the signal that ended training, if one did.

    whole: bits a character of the best model on all of the held-out text, where each epoch measured a part of it.
    """

    results: tuple[EpochResult, ...]
    interrupted_by: int | None = None
    whole: float | None = None

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
            "bits_per_character": best and (self.whole or best.bits_per_character),
            "interrupted": self.interrupted_by is not None,
        }

    def describe(self) -> str:
        """Return it in words."""
        best = self.best
        found = f"best {best.bits_per_character:.3f} bits/char at epoch {best.epoch}" if best else "no epoch finished"
        if best and best.validation_share < 1:
            found += f" on {best.validation_share:.0%} of the held-out text"
            found += f", {self.whole:.3f} on all of it" if self.whole else "; chargen evaluate measures all of it"
        return f"interrupted, everything is saved; {found}" if self.interrupted_by else found
