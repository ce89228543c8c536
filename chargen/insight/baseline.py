"""Fit character n-gram models, the baseline for predicting text and for classifying it.

Kneser-Ney smoothing, interpolated, with one discount for each length (Kneser and Ney 1995; Chen and Goodman 1998, section
4.1.6). Below the unigrams lies the uniform distribution, so that no token of the vocabulary has probability 0.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary
from chargen.memory.counting import Floats, Integers, Level, contexts_of, count_grams, find_grams


class NgramModel:
    """A distribution over the next character given up to `order` - 1 characters before it, and over whole documents.

    >>> model = NgramModel.fit(["Ada", "Ava", "Ida"], order=3)
    >>> model.log_probabilities(["Ada", "dAa"]).round(1).tolist()
    [-1.7, -8.5]
    """

    def __init__(self, vocabulary: CharacterVocabulary, levels: tuple[Level, ...]) -> None:
        self.vocabulary = vocabulary
        self._levels = levels

    @classmethod
    def fit(
        cls, documents: Iterable[str | Document], *, order: int, vocabulary: CharacterVocabulary | None = None
    ) -> "NgramModel":
        """Count the n-grams of documents, n = `order`; the default vocabulary is that of the documents.

        Models to compare need the same vocabulary. Raises ValueError for an order below 1 or no document, and UnknownTokenError
        for a character that is not in the given vocabulary.
        """
        documents = _as_documents(documents)
        if order < 1 or not documents:
            raise ValueError(f"order is {order} and documents are {len(documents)}, expected 1 or more of both")
        vocabulary = vocabulary or CharacterVocabulary.of(document.text for document in documents)
        tokens, starts = _stream(documents, vocabulary)
        return cls(vocabulary, count_grams(tokens, starts, order=order, vocab_size=len(vocabulary)))

    @property
    def order(self) -> int:
        """The length of the longest grams; smaller than requested if every document is shorter."""
        return len(self._levels)

    def next_probabilities(self, context: str) -> Floats:
        """Return the probability of each token after the given beginning of a document, (V,), the boundary's first.

        Raises UnknownTokenError for a character that is not in the vocabulary.
        """
        before = np.concatenate([[BOUNDARY], self.vocabulary.encode(context)])
        vocab_size = len(self.vocabulary)
        tokens = np.column_stack([np.tile(before, (vocab_size, 1)), np.arange(vocab_size)])  # (V, context + 2)
        starts = np.repeat(np.arange(vocab_size) * tokens.shape[1], tokens.shape[1])
        *_, longest = self._probabilities(tokens.ravel().astype(np.int64), starts)
        return longest.reshape(tokens.shape)[:, -1]

    def log_probabilities(self, documents: Iterable[str | Document]) -> Floats:
        """Return the natural logarithm of each document's probability, including its end; shape (documents,).

        Raises UnknownTokenError for a character that is not in the vocabulary.
        """
        documents = _as_documents(documents)
        if not documents:
            return np.zeros(0)
        tokens, starts = _stream(documents, self.vocabulary)
        *_, longest = self._probabilities(tokens, starts)
        logs, firsts = np.log(longest), np.unique(starts)
        logs[firsts] = 0.0  # a document begins with probability 1
        return np.add.reduceat(logs, firsts)

    def cross_entropy(self, documents: Iterable[str | Document]) -> float:
        """Return the mean cross-entropy in nats a character; the end of each document counts as one.

        Raises ValueError if there is no document, and UnknownTokenError for a character that is not in the vocabulary.
        """
        return self.cross_entropies(documents)[-1]

    def cross_entropies(self, documents: Iterable[str | Document]) -> list[float]:
        """Return `cross_entropy` for the models of all orders from 1 to this one's, each as if fitted separately."""
        documents = _as_documents(documents)
        if not documents:
            raise ValueError("the cross-entropy of no documents is not defined")
        tokens, starts = _stream(documents, self.vocabulary)
        predicted = np.arange(len(tokens)) > starts
        return [-float(np.log(one[predicted]).mean()) for one in self._probabilities(tokens, starts)]

    def _probabilities(self, tokens: Integers, starts: Integers) -> Iterator[Floats]:
        """Yield, for every order from 1 on, each token's probability given those before it in its document.

        The value for a document's first boundary is meaningless.
        """
        vocab_size = len(self.vocabulary)
        lower = np.full(len(tokens), 1 / vocab_size)
        grams = np.zeros(len(tokens), np.int64)  # the empty context
        for length, level in enumerate(self._levels, start=1):
            contexts = contexts_of(grams, starts, length)
            grams = find_grams(level.keys, contexts, tokens, vocab_size)
            yield level.longest.interpolate(contexts, grams, lower)
            if level.below:
                lower = level.below.interpolate(contexts, grams, lower)


def _as_documents(documents: Iterable[str | Document]) -> list[Document]:
    return [Document(document) if isinstance(document, str) else document for document in documents]


def _stream(documents: Iterable[Document], vocabulary: CharacterVocabulary) -> tuple[Integers, Integers]:
    """Return all documents in one array, each between two boundaries, and each token's document start.

    A document that was cut has no boundary at its end.
    """
    boundary = np.array([BOUNDARY])
    pieces = [
        np.concatenate([boundary, vocabulary.encode(str(document.text)), boundary[: int(document.ends)]])
        for document in documents
    ]
    lengths = np.array(list(map(len, pieces)))
    return np.concatenate(pieces).astype(np.int64), np.repeat(np.cumsum(lengths) - lengths, lengths)
