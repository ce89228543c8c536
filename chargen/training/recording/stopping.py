"""Decide when to end training early, and when to lower the learning rate on a plateau."""

import math
from collections.abc import Mapping
from typing import Any

from chargen.settings.schema import TrainingConfig
from chargen.training.recording.results import EpochResult


class Progress:
    """Follows the losses. stop: whether to end training. rate_factor: the factor of the learning rate on a plateau."""

    def __init__(self, training: TrainingConfig) -> None:
        self._training = training
        self._best = math.inf
        self._epochs_since_best = self._epochs_on_plateau = 0
        self.stop, self.rate_factor = False, 1.0

    def update(self, result: EpochResult) -> bool:
        """Add the result of an epoch and return whether it is the best so far."""
        training = self._training
        best = result.monitored < self._best
        if best:
            self._best = result.monitored
            self._epochs_since_best = self._epochs_on_plateau = 0
        else:
            self._epochs_since_best += 1
            self._epochs_on_plateau += 1
        if training.schedule == "plateau" and self._epochs_on_plateau >= training.decay_epochs:
            self.rate_factor *= training.decay_factor
            self._epochs_on_plateau = 0
        reached = training.until_loss is not None and result.cross_entropy <= training.until_loss
        self.stop = reached or bool(training.patience and self._epochs_since_best >= training.patience)
        return best

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {name: getattr(self, name) for name in _REMEMBERED}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Restore what `facts` returned."""
        for name in _REMEMBERED:
            setattr(self, name, facts[name])


_REMEMBERED = ("_best", "_epochs_since_best", "_epochs_on_plateau", "stop", "rate_factor")
