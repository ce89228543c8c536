"""Create vocabularies, from a corpus or from the metadata of a model file."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from chargen.corpus.large_text import Text
from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.errors import ConfigError
from chargen.settings.schema import CorpusConfig

DEFAULT_SIZES = {"word": 10_000, "bpe": 1_000}
LARGEST = 1 << 20  # words, merges or labels, as in CorpusConfig.vocab_size
NUM_CODE_POINTS = 0x110000
SURROGATE = re.compile("[\ud800-\udfff]")


def build_vocabulary(
    config: CorpusConfig, documents: Iterable[Text], labels: Sequence[str] = (), *, known: Vocabulary | None = None
) -> Vocabulary:
    """Build the configured kind of vocabulary; it contains all tokens of a `known` one of the same kind.

    Raises ConfigError for a missing library, and for a known vocabulary of another kind.
    """
    if known and known.kind not in (config.tokens, {"char": "character"}.get(config.tokens)):
        raise ConfigError(f"corpus.tokens is {config.tokens}, but the weights are for {known.kind} tokens")
    labels = sorted({*labels, *(known.labels if known else ())})
    if config.tokens == "byte":
        return ByteVocabulary(labels)
    if config.tokens == "char":
        return CharacterVocabulary.of(chain(documents, ["".join(known or ())]), labels)
    max_size = config.vocab_size or DEFAULT_SIZES[config.tokens]
    if isinstance(known, WordVocabulary):
        return known.extended(documents, labels, max_size=max_size)
    if isinstance(known, BpeVocabulary):
        return known.extended(documents, labels)
    kind = WordVocabulary if config.tokens == "word" else BpeVocabulary
    return kind.of(documents, labels, max_size=max_size)


def vocabulary_from_mapping(mapping: Mapping[str, Any]) -> Vocabulary:
    """Build the vocabulary from the result of its `to_mapping`. Raises ValueError, KeyError or TypeError if invalid."""
    labels = _list(mapping.get("labels", []))
    if any(type(one) is not str for one in labels) or len(set(labels)) != len(labels):
        raise ValueError("its vocabulary has labels that are not texts, or a label twice")
    kinds: dict[str, Callable[[], Vocabulary]] = {
        "character": lambda: CharacterVocabulary(_text(mapping["characters"]), labels),
        "byte": lambda: ByteVocabulary(labels),
        "word": lambda: WordVocabulary(_texts(mapping["words"]), labels, num_characters=_count(mapping["num_characters"])),
        "bpe": lambda: BpeVocabulary(_text(mapping["characters"]), _pairs(mapping["merges"]), labels),
    }
    kind = mapping["kind"]
    if type(kind) is not str or kind not in kinds:
        raise ValueError(f"it has a vocabulary of kind {kind!r:.40}")
    vocabulary = kinds[kind]()
    if len(vocabulary) <= 1 + len(vocabulary.silent_ids):
        raise ValueError("its vocabulary is empty")
    return vocabulary


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"its vocabulary holds {value!r:.40} where a text was expected")
    if len(value) > NUM_CODE_POINTS:
        raise ValueError(f"its vocabulary holds a text of {len(value):,} characters")
    if SURROGATE.search(value):
        raise ValueError("its vocabulary holds half of a surrogate pair, which is not a character")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise ValueError(f"its vocabulary holds {value!r:.40} where a list was expected")
    if len(value) > LARGEST:
        raise ValueError(f"its vocabulary holds a list of {len(value):,}, expected at most {LARGEST:,}")
    return value


def _texts(value: Any) -> list[str]:
    return [_text(one) for one in _list(value)]


def _pairs(value: Any) -> list[tuple[str, str]]:
    pairs = [_texts(one) for one in _list(value)]
    if any(len(one) != 2 for one in pairs):
        raise ValueError(f"its vocabulary holds {value!r:.40} where pairs of texts were expected")
    return [(first, second) for first, second in pairs]


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= NUM_CODE_POINTS:
        raise ValueError(f"its vocabulary holds {value!r:.40} where a count of characters was expected")
    return value
