"""Fit character n-gram models, the baseline for predicting text and for classifying it.

Kneser-Ney smoothing, interpolated, with one discount for each length (Kneser and Ney 1995; Chen and Goodman 1998, section
4.1.6). Below the unigrams lies the uniform distribution, so that no token of the vocabulary has probability 0.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NOWHERE = -1  # the index of a gram that is not in the training text, or that would begin before its document
DISCOUNT = 0.5  # used if no gram occurs exactly once, so that it cannot be estimated


@dataclass(frozen=True)
class Counts:
    """The counts of grams of one length, and the totals for the contexts that they continue."""

    counts: Integers  # (grams,)
    totals: Integers  # (contexts,) sum of the counts of the grams that continue a context
    kinds: Integers  # (contexts,) how many grams continue a context
    discount: float  # subtracted from every count, as probability of tokens not seen after a context

    @classmethod
    def of(cls, counts: Integers, contexts: Integers, num_contexts: int) -> "Counts":
        """Add up the grams that continue each context, and estimate the discount from the grams counted once and twice."""
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        return cls(
            counts=counts,
            totals=np.bincount(contexts, counts, num_contexts).astype(np.int64),
            kinds=np.bincount(contexts, minlength=num_contexts),
            discount=once / (once + 2 * twice) if once else DISCOUNT,
        )

    def interpolate(self, contexts: Integers, grams: Integers, lower: Floats) -> Floats:
        """Return the probabilities of the last tokens of `grams`, given those under a context shorter by one token."""
        totals = np.where(contexts == NOWHERE, 0, self.totals[contexts])
        known = totals > 0
        counts = np.where(grams == NOWHERE, 0, self.counts[grams])
        kept = np.maximum(counts - self.discount, 0.0)
        left = self.discount * self.kinds[contexts]
        return np.where(known, (kept + left * lower) / np.where(known, totals, 1), lower)


@dataclass(frozen=True)
class Level:
    """The grams of one length, sorted by key.

    A gram's key is (index of its prefix among the grams one token shorter) * V + its last token. The longest grams of a model,
    and grams at the start of a document, are counted by occurrence; all others by the number of distinct tokens before them.
    """

    keys: Integers  # (grams,)
    longest: Counts
    below: Counts | None  # None without longer grams


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
        return cls(vocabulary, _count(tokens, starts, order=order, vocab_size=len(vocabulary)))

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
            contexts = _contexts(grams, starts, length)
            grams = _find(level.keys, contexts, tokens, vocab_size)
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


def _count(tokens: Integers, starts: Integers, *, order: int, vocab_size: int) -> tuple[Level, ...]:
    """Return the levels from unigrams to n-grams; leave out levels longer than every document."""
    levels: list[Level] = []
    num_contexts = 1  # grams of the level before
    grams = np.zeros(len(tokens), np.int64)
    predicted = np.arange(len(tokens)) > starts
    for length in range(1, order + 1):
        contexts = _contexts(grams, starts, length)
        positions = np.flatnonzero(predicted & (contexts != NOWHERE))
        if not len(positions):
            break
        found = contexts[positions] * vocab_size + tokens[positions]
        keys, firsts, counts = np.unique(found, return_index=True, return_counts=True)
        if levels:
            # Each gram adds a token before a gram of the previous level, which ends at the same position.
            levels[-1] = _below(levels[-1], grams[positions[firsts]], vocab_size)
        levels.append(Level(keys, Counts.of(counts, keys // vocab_size, num_contexts), None))
        num_contexts = len(keys)
        grams = _find(keys, contexts, tokens, vocab_size)
    return tuple(levels)


def _below(level: Level, preceded: Integers, vocab_size: int) -> Level:
    """Return the counts of a level below longer grams; `preceded`: the shorter gram within each longer one."""
    met = level.longest
    different = np.bincount(preceded, minlength=len(level.keys))
    counts = np.where(different > 0, different, met.counts)
    return replace(level, below=Counts.of(counts, level.keys // vocab_size, len(met.totals)))


def _contexts(grams: Integers, starts: Integers, length: int) -> Integers:
    """Return the contexts of all tokens, `length` - 1 long, given the grams of that length that end at each token."""
    if length == 1:
        return grams
    contexts = np.concatenate([[NOWHERE], grams[:-1]])
    contexts[np.arange(len(grams)) - length + 1 < starts] = NOWHERE
    return contexts


def _find(keys: Integers, contexts: Integers, tokens: Integers, vocab_size: int) -> Integers:
    """Return the indices of the grams of contexts and tokens; NOWHERE for those not among the keys."""
    wanted = contexts * vocab_size + tokens
    numbers = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((contexts != NOWHERE) & (keys[numbers] == wanted), numbers, NOWHERE)
