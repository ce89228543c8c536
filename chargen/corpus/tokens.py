"""Which kinds of tokens there are: made from a corpus, or from what a model file holds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chargen.config import CorpusConfig
from chargen.corpus.large_text import Text
from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary

DEFAULT_SIZES = {"word": 10_000, "bpe": 1_000}


def build_vocabulary(config: CorpusConfig, documents: Sequence[Text], labels: Sequence[str] = ()) -> Vocabulary:
    """Make the configured kind of vocabulary for some documents. Raises ConfigError where a library for it is missing."""
    if config.tokens == "byte":
        return ByteVocabulary(labels)
    if config.tokens == "char":
        return CharacterVocabulary.of(documents, labels)
    max_size = config.vocab_size or DEFAULT_SIZES[config.tokens]
    kind = WordVocabulary if config.tokens == "word" else BpeVocabulary
    return kind.of(documents, labels, max_size=max_size)


def vocabulary_from_mapping(mapping: Mapping[str, Any]) -> Vocabulary:
    """Make the vocabulary that `to_mapping` described. Raises ValueError, KeyError or TypeError where that is not one."""
    labels = _texts(mapping.get("labels", []))
    kinds: dict[str, Callable[[], Vocabulary]] = {
        "character": lambda: CharacterVocabulary(_text(mapping["characters"]), labels),
        "byte": lambda: ByteVocabulary(labels),
        "word": lambda: WordVocabulary(_texts(mapping["words"]), labels, num_characters=_count(mapping["num_characters"])),
        "bpe": lambda: BpeVocabulary(_text(mapping["characters"]), _pairs(mapping["merges"]), labels),
    }
    if mapping["kind"] not in kinds:
        raise ValueError(f"it has a vocabulary of kind {mapping['kind']!r}")
    return kinds[mapping["kind"]]()


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"its vocabulary holds {value!r:.40} where a text was expected")
    return value


def _texts(value: Any) -> list[str]:
    if type(value) is not list:
        raise ValueError(f"its vocabulary holds {value!r:.40} where a list was expected")
    return [_text(one) for one in value]


def _pairs(value: Any) -> list[tuple[str, str]]:
    pairs = [_texts(one) for one in value] if type(value) is list else []
    if type(value) is not list or any(len(one) != 2 for one in pairs):
        raise ValueError(f"its vocabulary holds {value!r:.40} where pairs of texts were expected")
    return [(first, second) for first, second in pairs]


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"its vocabulary holds {value!r:.40} where a count was expected")
    return value
