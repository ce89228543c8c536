"""Compare the embedding vectors of tokens: nearest neighbours, and a picture in two dimensions."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.words import WordVocabulary
from chargen.errors import ConfigError
from chargen.network.cells import Floats
from chargen.network.model_file import TextModel

Doubles = npt.NDArray[np.float64]


class Neighbour(NamedTuple):
    """A token and the cosine similarity of its vector, from -1 to 1."""

    token: str
    similarity: float


class Embedding:
    """The vectors of some tokens, (N, E), in the order of their ids."""

    def __init__(self, tokens: list[str], vectors: Floats) -> None:
        self.tokens, self.vectors = tokens, vectors.astype(np.float64)
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        self._directions = self.vectors / np.maximum(lengths, np.finfo(np.float64).tiny)
        self._places = {token: place for place, token in enumerate(tokens)}

    def neighbours(self, token: str, count: int) -> list[Neighbour]:
        """Return the `count` tokens with the most similar vectors, the nearest first. Raises ConfigError for no such token."""
        place = self._places.get(token)
        if place is None:
            raise ConfigError(f"no such token: {token!r}", hint="chargen units --embedding lists the tokens")
        similarities = self._directions @ self._directions[place]
        similarities[place] = -np.inf
        best = np.argsort(-similarities, kind="stable")[: min(count, len(self.tokens) - 1)]
        return [Neighbour(self.tokens[one], float(similarities[one])) for one in best]

    def plane(self) -> Doubles:
        """Return the vectors in two dimensions, (N, 2), from -1 to 1: their first two principal components.

        The sign of each is that of its largest entry, so that a picture can be repeated.
        """
        centred = self.vectors - self.vectors.mean(axis=0)
        _, _, components = np.linalg.svd(centred, full_matrices=False)
        points = np.zeros((len(self.tokens), 2))
        projected = centred @ components[:2].T
        points[:, : projected.shape[1]] = projected
        signs = np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
        return points * signs / max(float(np.abs(points).max()), np.finfo(np.float64).tiny)


def read_embedding(model: TextModel) -> Embedding:
    """Return the embedding of a model's tokens, without the boundary, unknown words and labels.

    Raises ConfigError for a model whose inputs are one-hot vectors.
    """
    network = model.one_network
    if not network.config.embedding_size:
        raise ConfigError("the model has no embedding, its inputs are one-hot vectors", hint="train with --embedding 64")
    vocabulary = model.vocabulary
    first = vocabulary.unknown + 1 if isinstance(vocabulary, WordVocabulary) else 1
    tokens = list(vocabulary)[first - 1 :]
    return Embedding(tokens, network.embedding[first : first + len(tokens)])
