"""Count predicted labels against true labels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.documents import Document
from chargen.writing.classifier import TextClassifier

MISTAKES_SHOWN = 5


class Confusion(NamedTuple):
    """A confusion matrix: counts, (labels, labels), by true label (rows) and predicted label (columns)."""

    labels: tuple[str, ...]
    counts: npt.NDArray[np.int64]

    @property
    def texts(self) -> int:
        """The number of texts counted."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """The share of texts with the right predicted label."""
        return float(np.trace(self.counts) / self.counts.sum())

    def summary(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "accuracy": self.accuracy,
            "labelled": self.texts,
            "labels": list(self.labels),
            "confusion": self.counts.tolist(),
        }

    def describe_mistakes(self) -> str:
        """Return the most frequent pairs of a true and a wrong predicted label as a line."""
        found = np.argwhere((self.counts > 0) & ~np.eye(len(self.labels), dtype=bool))
        pairs = sorted(found.tolist(), key=lambda pair: -self.counts[*pair])
        named = [f"{self.labels[i]} predicted as {self.labels[j]} {self.counts[i, j]:,}" for i, j in pairs[:MISTAKES_SHOWN]]
        return f"wrong labels: {', '.join(named) or 'none'}{', ...' if len(pairs) > MISTAKES_SHOWN else ''}"


def measure_confusion(model: TextClassifier, documents: Sequence[Document], *, on_unknown: str = "skip") -> Confusion:
    """Classify labelled documents and count the predictions. on_unknown: as `Vocabulary.encode` takes it."""
    encoded = [model.vocabulary.encode(str(document.text), on_unknown=on_unknown) for document in documents]
    predicted = [model.labels[best] for best in model.log_probabilities(encoded).argmax(axis=1).tolist()]
    return count_confusion([document.label for document in documents], predicted, model.labels)


def count_confusion(truth: Sequence[str | None], predicted: Sequence[str], labels: Sequence[str]) -> Confusion:
    """Count pairs of true and predicted labels; skip texts whose true label is not in `labels`.

    >>> count_confusion(["a", "b", "b", None], ["a", "a", "b", "a"], ["a", "b"]).counts.tolist()
    [[1, 0], [1, 1]]
    """
    indices = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(indices), len(indices)), np.int64)
    for true, guess in zip(truth, predicted, strict=True):
        if true in indices:
            counts[indices[true], indices[guess]] += 1
    return Confusion(tuple(labels), counts)
