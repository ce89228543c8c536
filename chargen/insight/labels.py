"""Measure the accuracy of simple baselines for a classifier."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.insight.baseline import NgramModel

ORDER = 5
MAX_CHARACTERS = 2_000_000  # of all labels together, from which n-grams are counted
TEXTS_AT_ONCE = 1000  # scored at a time; each character takes about a hundred bytes meanwhile


def baseline_accuracies(training: Sequence[Document], held_out: Sequence[Document]) -> dict[str, float]:
    """Return the share of held-out texts that two baselines, fitted on the training texts, classify correctly.

    majority: always the most frequent label. ngram: Bayes' rule with one character n-gram model per label and the training
    frequencies as prior; of large texts the first `MAX_CHARACTERS` are counted. All documents need a label.
    """
    truth = [document.label for document in held_out]
    frequent = Counter(document.label for document in training).most_common(1)[0][0]
    guesses = _ngram_labels(training, [str(document.text) for document in held_out])
    return {
        "majority": truth.count(frequent) / len(truth),
        "ngram": sum(guess == label for guess, label in zip(guesses, truth, strict=True)) / len(truth),
    }


def _ngram_labels(training: Sequence[Document], texts: Sequence[str]) -> list[str]:
    """Return for each text the label with the highest joint probability of text and label."""
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
    """Return the first texts with at most `count` characters together, but at least one text."""
    ends = np.cumsum([len(text) for text in texts])
    return list(texts[: max(1, int((ends <= count).sum()))])
