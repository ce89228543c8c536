"""Count predicted labels against known ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Confusion(NamedTuple):
    """How often texts of each true label (rows) were told each label (columns): counts is (labels, labels)."""

    labels: tuple[str, ...]
    counts: npt.NDArray[np.int64]

    @property
    def texts(self) -> int:
        """Texts that were counted."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share of the texts whose label was told right."""
        return float(np.trace(self.counts) / self.counts.sum())

    def summary(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "accuracy": self.accuracy,
            "labelled": self.texts,
            "labels": list(self.labels),
            "confusion": self.counts.tolist(),
        }


def count_confusion(truth: Sequence[str | None], told: Sequence[str], labels: Sequence[str]) -> Confusion:
    """Count pairs of a true label and the one that was told; texts whose true label is none of `labels` are left out.

    >>> count_confusion(["a", "b", "b", None], ["a", "a", "b", "a"], ["a", "b"]).counts.tolist()
    [[1, 0], [1, 1]]
    """
    places = {label: place for place, label in enumerate(labels)}
    counts = np.zeros((len(places), len(places)), np.int64)
    for true, guess in zip(truth, told, strict=True):
        if true in places:
            counts[places[true], places[guess]] += 1
    return Confusion(tuple(labels), counts)
