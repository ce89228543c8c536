"""Compute the learning rate of an optimizer step, with any array library that has NumPy's names."""

import math
from types import ModuleType
from typing import Any

from chargen.settings.schema import TrainingConfig


def scheduled_learning_rate(step: Any, training: TrainingConfig, *, steps_per_epoch: int, xp: ModuleType) -> Any:
    """Return the learning rate of a step, counted from 0: a linear warm-up, then the schedule.

    "cosine" falls to 0 at the end of the last epoch, or of the last of its parts (Loshchilov and Hutter 2017). "plateau"
    is constant here, because it depends on losses that are not known yet. xp: numpy, or a module with the same functions.
    """
    rise = round(training.warmup_epochs * steps_per_epoch)
    rate = training.learning_rate * xp.minimum(1.0, (step + 1) / max(1, rise))
    if training.schedule == "cosine":
        parts = training.schedule_steps
        total = len(parts) * parts[0] if parts else training.epochs * steps_per_epoch
        progress = xp.clip((step - rise) / max(1, total - rise), 0.0, 1.0)
        rate = rate * 0.5 * (1 + xp.cos(math.pi * progress))
    if training.schedule == "step":
        rate = rate * training.decay_factor ** xp.floor(step / (training.decay_epochs * steps_per_epoch))
    return rate
