"""Read pre-trained word vectors, in the text form of word2vec and GloVe, for the embedding of a network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.words import WordVocabulary
from chargen.errors import ConfigError
from chargen.network.cells import Floats
from chargen.settings.schema import Settings


@dataclass(frozen=True)
class WordVectors:
    """The vectors of a file, (E,) each, by the ids of the words that a vocabulary shares with it."""

    name: str
    vectors: Mapping[int, Floats]

    def placed(self, embedding: Floats) -> Floats:
        """Return a copy of an embedding, (V, E), with the vectors in their rows."""
        placed = embedding.copy()
        for token, vector in self.vectors.items():
            placed[token] = vector
        return placed

    def describe(self, vocabulary: Vocabulary) -> str:
        """Return a line for the user."""
        return f"embedding: {len(self.vectors):,} of {len(vocabulary.pieces):,} words start from {self.name} (--embeddings)"


def read_word_vectors(settings: Settings, vocabulary: Vocabulary) -> WordVectors | None:
    """Return the vectors of the file that training.embeddings names, or None.

    A word is looked up as it is, without the space before it, then in lower case. Raises ConfigError if the tokens are not
    words, for a file that cannot be read, for vectors of another size, and for a file without any of the words.
    """
    name = settings.training.embeddings
    if name is None:
        return None
    if not isinstance(vocabulary, WordVocabulary):
        raise ConfigError("training.embeddings needs word tokens", hint="add --tokens word")
    size = settings.network.embedding_size
    wanted: dict[str, list[int]] = {}
    for token, word in enumerate(vocabulary.texts):
        if bare := word.removeprefix(" "):
            wanted.setdefault(bare, []).append(token)
            wanted.setdefault(bare.lower(), [])
    found = {word: vector for word, vector in _lines(Path(name), size) if word in wanted}
    vectors = {token: found[word] for word, tokens in wanted.items() if word in found for token in tokens}
    lower = {token: found[word.lower()] for word, tokens in wanted.items() if word.lower() in found for token in tokens}
    if not lower | vectors:
        raise ConfigError(
            f"{name} has a vector for none of the {len(vocabulary.pieces):,} words", hint="use vectors for its language"
        )
    return WordVectors(name, lower | vectors)


def _lines(path: Path, size: int) -> Iterator[tuple[str, Floats]]:
    """Yield the words of a file with their vectors, (E,). Raises ConfigError for a line that is damaged or of another size."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                fields = line.rstrip().split(" ")
                if number == 1 and len(fields) == 2 and all(one.isdecimal() for one in fields):
                    continue  # the numbers of words and of dimensions, in word2vec's form
                if len(fields) != size + 1:
                    _refuse(path, number, len(fields) - 1, size)
                yield fields[0], np.array(fields[1:], np.float32)
    except OSError as error:
        raise ConfigError(f"cannot read the embeddings {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is damaged at line {number}: {error}", hint="a line is a word and its numbers") from error


def _refuse(path: Path, number: int, found: int, size: int) -> None:
    hint = f"give --embedding {found}" if found > 1 else "a line is a word and its numbers"
    raise ConfigError(
        f"{path} has vectors of {found} numbers at line {number}, but network.embedding_size is {size}", hint=hint
    )
