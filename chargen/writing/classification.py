"""Classify a text by Bayes' rule with a network that was trained to write texts of each label.

L is the number of labels. Log-probabilities are natural logarithms in float64.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from chargen.corpus.vocabulary import Ids
from chargen.corpus.windows import join_documents
from chargen.errors import ConfigError
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.writing.reading import expectations
from chargen.writing.sampling import Doubles

SUM_TOLERANCE = 1e-6  # how far given probabilities may be from 1


def log_posterior(log_likelihoods: Doubles, log_prior: Doubles) -> Doubles:
    """Return log p(label | text), (texts, L), of log p(text | label), (texts, L), and log p(label), (L,): Bayes' rule.

    >>> np.exp(log_posterior(np.log([[0.1, 0.3]]), np.log([0.5, 0.5]))).round(2).tolist()
    [[0.25, 0.75]]
    """
    return log_softmax(log_likelihoods + log_prior)


def log_likelihoods(model: TextModel, documents: Sequence[Ids]) -> Doubles:
    """Return log p(text | label) of texts given by their ids, (texts, L).

    It is the probability that the network, given the label, writes this text and, if it can end a text, ends there. An n-gram
    memory is left out: most of its n-grams do not contain the label.
    """
    model = model.with_memory(0)
    found = [_likelihoods(model.with_label(label), documents) for label in model.vocabulary.labels]
    return np.stack(found, axis=1) if found else np.zeros((len(documents), 0))


def _likelihoods(model: TextModel, documents: Sequence[Ids]) -> Doubles:
    """Return log p(text), (texts,), as a model writes documents of its label."""
    stream = join_documents(documents, model.start_id, model.vocabulary)
    nats = np.zeros(stream.span)
    for expected in expectations(model, stream, apart=True):
        nats[expected.places] = expected.nats
    if not model.ends:
        nats[stream.starts[1:] - 1] = 0.0
    return -np.add.reduceat(nats, stream.starts[:-1]) if len(documents) else np.zeros(0)


def make_prior(labels: Sequence[str], given: Mapping[str, float]) -> Doubles:
    """Return log p(label), (L,): the given probabilities; the other labels share the rest equally.

    Raises ConfigError for an unknown label, and for probabilities that do not add up to 1.

    >>> np.exp(make_prior(["a", "b", "c"], {"b": 0.5})).round(2).tolist()
    [0.25, 0.5, 0.25]
    """
    for label, probability in given.items():
        if label not in labels:
            raise ConfigError(f"--prior: no label {label!r}", hint=f"labels: {', '.join(labels)}")
        if not 0 < probability < 1:
            raise ConfigError(f"--prior {label} is {probability:g}, expected a probability between 0 and 1")
    left, others = 1 - sum(given.values()), len(labels) - len(given)
    if (left <= 0) if others else (abs(left) > SUM_TOLERANCE):
        expected = "less than 1, since there are other labels" if others else "1"
        raise ConfigError(f"--prior adds up to {sum(given.values()):g}, expected {expected}")
    return np.log([given.get(label, left / max(1, others)) for label in labels])
