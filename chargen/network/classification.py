"""Which label a text has, by Bayes' rule over a network that learnt to write texts of each label.

L is the number of labels. Log-probabilities are natural logarithms in float64.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, Ids
from chargen.errors import ConfigError
from chargen.network.model_file import TextModel
from chargen.network.network import NetworkState

Doubles = npt.NDArray[np.float64]

BATCH_ROWS = 512  # texts times labels that are read side by side
SUM_TOLERANCE = 1e-6  # how far given probabilities may be from 1


def log_softmax(logits: npt.NDArray[np.floating]) -> Doubles:
    """Return the log-probabilities, (..., V), of unnormalised scores, (..., V)."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_posterior(log_likelihoods: Doubles, log_prior: Doubles) -> Doubles:
    """Return log p(label | text), (texts, L), of log p(text | label), (texts, L), and log p(label), (L,): Bayes' rule.

    >>> np.exp(log_posterior(np.log([[0.1, 0.3]]), np.log([0.5, 0.5]))).round(2).tolist()
    [[0.25, 0.75]]
    """
    return log_softmax(log_likelihoods + log_prior)


def log_likelihoods(model: TextModel, documents: Sequence[Ids]) -> Doubles:
    """Return log p(text | label) of texts given by their ids, (texts, L).

    It is the probability that the model, told to write a document of the label, writes this text and, where it can end one,
    ends there. Texts of like length are read side by side, each once for each label.
    """
    labels = model.vocabulary.labels
    found = np.zeros((len(documents), len(labels)))
    order = sorted(range(len(documents)), key=lambda place: len(documents[place]))
    texts_at_once = max(1, BATCH_ROWS // max(1, len(labels)))
    started = _begin(model)
    for first in range(0, len(order), texts_at_once):
        chosen = order[first : first + texts_at_once]
        found[chosen] = _batch_likelihoods(model, [documents[place] for place in chosen], *started)
    return found


def _begin(model: TextModel) -> tuple[Doubles, NetworkState]:
    """Read what stands before a document of each label; return the first token's log-probabilities, (L, V), and the state."""
    primers = np.array([model.with_label(label).primer for label in model.vocabulary.labels], np.intp)  # (L, P)
    logits, state = model.network.logits(primers, model.network.zero_state(len(primers)))
    return log_softmax(logits[:, -1]), state


def _batch_likelihoods(model: TextModel, documents: Sequence[Ids], log_first: Doubles, state: NetworkState) -> Doubles:
    """Return log p(text | label), (B, L), going on from what `_begin` returned."""
    num_labels = len(log_first)
    targets, weighs = _targets(documents, ends=model.ends)  # (B, S) each
    total = np.where(weighs[:, :1], log_first[:, targets[:, 0]].T, 0.0)  # (B, L)
    stepper = model.network.stepper(_tiled(state, len(documents)))
    for before, target, weigh in zip(targets.T, targets.T[1:], weighs.T[1:], strict=False):
        logs = log_softmax(stepper.step(np.repeat(before, num_labels)))  # (B L, V), the labels of a text side by side
        chosen = logs[np.arange(len(logs)), np.repeat(target, num_labels)].reshape(-1, num_labels)
        total += np.where(weigh[:, None], chosen, 0.0)
    return total


def _targets(documents: Sequence[Ids], *, ends: bool) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the ids of documents and, where they end, the boundary token, and which places count: (B, S) both."""
    lengths = np.array([len(document) + ends for document in documents])
    targets = np.full((len(documents), max(1, lengths.max())), BOUNDARY, np.intp)
    for row, document in zip(targets, documents, strict=True):
        row[: len(document)] = document
    return targets, np.arange(targets.shape[1]) < lengths[:, None]


def _tiled(state: NetworkState, count: int) -> NetworkState:
    """Repeat the rows of a state, one for each label, for each of `count` texts."""
    layers: list[Any] = [type(layer)(*[np.tile(array, (count, 1)) for array in layer]) for layer in state]
    return tuple(layers)


def make_prior(labels: Sequence[str], given: Mapping[str, float]) -> Doubles:
    """Return log p(label), (L,): what is given, and what that leaves shared alike by the other labels.

    Raises ConfigError for a label that there is not, and for probabilities that do not add up to 1.

    >>> np.exp(make_prior(["a", "b", "c"], {"b": 0.5})).round(2).tolist()
    [0.25, 0.5, 0.25]
    """
    for label, probability in given.items():
        if label not in labels:
            raise ConfigError(f"--prior names the label {label!r}, which there is not", hint=f"labels: {', '.join(labels)}")
        if not 0 < probability < 1:
            raise ConfigError(f"--prior {label} is {probability:g}, expected a probability between 0 and 1")
    left, others = 1 - sum(given.values()), len(labels) - len(given)
    if (left <= 0) if others else (abs(left) > SUM_TOLERANCE):
        expected = "less than 1, with something left for the other labels" if others else "1"
        raise ConfigError(f"--prior adds up to {sum(given.values()):g}, expected {expected}")
    return np.log([given.get(label, left / max(1, others)) for label in labels])
