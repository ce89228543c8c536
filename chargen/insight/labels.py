"""Measure how well labels can be told without a network, as the baseline of a classifier."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.insight.baseline import NgramModel

ORDER = 5
MAX_CHARACTERS = 2_000_000  # that the n-grams of all labels are counted from
TEXTS_AT_ONCE = 1000  # that are scored; each of their characters takes some hundred bytes meanwhile


def baseline_accuracies(training: Sequence[Document], held_out: Sequence[Document]) -> dict[str, float]:
    """Return the share of held-out texts that two baselines tell right, both having seen the training texts only.

    majority: always the most frequent label. ngram: Bayes' rule over one character n-gram model a label, labels as probable
    beforehand as in training; of large texts the first `MAX_CHARACTERS` are counted. All documents need a label.
    """
    truth = [document.label for document in held_out]
    frequent = Counter(document.label for document in training).most_common(1)[0][0]
    guesses = _ngram_labels(training, [str(document.text) for document in held_out])
    return {
        "majority": truth.count(frequent) / len(truth),
        "ngram": sum(guess == label for guess, label in zip(guesses, truth, strict=True)) / len(truth),
    }


def _ngram_labels(training: Sequence[Document], texts: Sequence[str]) -> list[str]:
    """Return the label of each text under which the text and the label are the most probable together."""
    labels = sorted({str(document.label) for document in training})
    batches = [texts[first : first + TEXTS_AT_ONCE] for first in range(0, len(texts), TEXTS_AT_ONCE)]
    vocabulary = CharacterVocabulary.of([*texts, *(document.text for document in training)])
    scores = []
    for label in labels:
        own = [str(document.text) for document in training if document.label == label]
        counted = _first_characters(own, MAX_CHARACTERS // len(labels))
        model = NgramModel.fit(counted, order=ORDER, vocabulary=vocabulary)
        likelihoods = np.concatenate([model.log_probabilities(batch) for batch in batches])
        scores.append(likelihoods + np.log(len(own) / len(training)))
    return [labels[best] for best in np.argmax(scores, axis=0)]


def _first_characters(texts: Sequence[str], count: int) -> list[str]:
    """Return as many texts as have `count` characters together, and one at least."""
    ends = np.cumsum([len(text) for text in texts])
    return list(texts[: max(1, int((ends <= count).sum()))])
