"""Classify texts, with a network trained for it or with one trained to write texts of each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.corpus.examples import fixed_rows
from chargen.corpus.vocabulary import Ids, Vocabulary
from chargen.errors import ConfigError, ModelFileError, UnknownTokenError
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel, load_model, read_metadata, read_model_file, write_model_file
from chargen.network.network import Network
from chargen.writing.classification import log_likelihoods, log_posterior, make_prior
from chargen.writing.sampling import Doubles

BATCH_ROWS = 256  # texts read side by side


@dataclass(frozen=True, kw_only=True)
class TextClassifier:
    """A network with its vocabulary and its labels, in the order of its outputs.

    With two labels there is one output, the logit of the second. context_length: tokens that a text is cut or filled up to.
    provenance: as a TextModel's.
    """

    network: Network
    vocabulary: Vocabulary
    labels: tuple[str, ...]
    context_length: int
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def log_probabilities(self, documents: Sequence[Ids]) -> Doubles:
        """Return the natural logarithms of each label's probability, (documents, labels), for texts given by their ids."""
        rows = fixed_rows(documents, self.context_length, self.vocabulary.dtype)
        logits = [self._logits(rows[first : first + BATCH_ROWS]) for first in range(0, len(rows), BATCH_ROWS)]
        return log_softmax(np.concatenate(logits)) if logits else np.zeros((0, len(self.labels)))

    def _logits(self, rows: npt.NDArray[np.integer]) -> Doubles:
        """Return the logit of each label, (B, labels), of rows, (B, T)."""
        state = self.network.zero_state(len(rows))
        for column in rows.T:
            output, state = self.network.advance(column, state)
        logits = self.network.head(output).astype(np.float64)
        return np.hstack([np.zeros_like(logits), logits]) if len(self.labels) == 2 else logits


def label_probabilities(
    model: TextModel | TextClassifier,
    texts: Sequence[str],
    *,
    prior: Mapping[str, float] | None = None,
    on_unknown: str = "error",
) -> list[dict[str, float]]:
    """Return the probability of each label for each text, the most probable label first.

    prior: probabilities of labels before the text is seen, see `make_prior`; a classifier has learned them from its texts.
    on_unknown: as `Vocabulary.encode` takes it. Raises ConfigError for an invalid prior, and UnknownTokenError for a text
    without known tokens.
    """
    documents = [_encode(model.vocabulary, text, on_unknown) for text in texts]
    if isinstance(model, TextClassifier):
        if prior:
            raise ConfigError(
                "--prior is for runs that write text; a classifier has learned it from its texts", hint="leave it out"
            )
        labels, logs = model.labels, model.log_probabilities(documents)
    else:
        labels = model.vocabulary.labels
        log_prior = make_prior(labels, prior or {})
        logs = log_posterior(log_likelihoods(model, documents), log_prior)
    return [_ranked(labels, row) for row in np.exp(logs).tolist()]


def _encode(vocabulary: Vocabulary, text: str, on_unknown: str) -> Ids:
    ids = vocabulary.encode(text, on_unknown=on_unknown)
    if not len(ids):
        raise UnknownTokenError(f"the model knows no token of {text!r:.60}", hint="give a longer text")
    return ids


def _ranked(labels: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    pairs = zip(labels, probabilities, strict=True)
    return dict(sorted(pairs, key=lambda pair: -pair[1]))


def load_labelled(path: Path) -> TextModel | TextClassifier:
    """Read a model file that knows labels. Raises ModelFileError for any other."""
    if read_metadata(path)["task"] == "classify":
        return load_classifier(path)
    model = load_model(path)
    if not model.vocabulary.labels:
        raise ModelFileError(
            f"{path} was trained without labels",
            hint="train with --label-by file or --task classify, or choose another run with --run",
        )
    return model


def save_classifier(path: Path, model: TextClassifier) -> None:
    """Write a model file atomically; equal models give equal bytes. Raises OSError."""
    metadata = {
        "task": "classify",
        "labels": list(model.labels),
        "context_length": model.context_length,
        "provenance": dict(model.provenance),
    }
    write_model_file(path, model.network, model.vocabulary, metadata)


def load_classifier(path: Path) -> TextClassifier:
    """Read a model file, or an exported `.keras` file, that classifies. Raises ModelFileError as `read_model_file` does."""
    return TextClassifier(**read_model_file(path, "classify"))
