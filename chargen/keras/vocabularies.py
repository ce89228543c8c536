"""Take a vocabulary as chargen or a user's program has it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chargen.corpus.vocabulary import CharacterVocabulary, Vocabulary
from chargen.errors import ConfigError


class HasVocabulary(Protocol):
    """Something with a vocabulary, such as the windows of a text or a loaded model."""

    @property
    def vocabulary(self) -> Vocabulary: ...


AnyVocabulary = Vocabulary | HasVocabulary | Sequence[str] | Mapping[str, int]


def as_vocabulary(given: AnyVocabulary) -> Vocabulary:
    """Return the vocabulary of windows, of a loaded model, or of characters in the order of their ids.

    A mapping gives each character its id, from 0 or 1 on, as `char_indices` of Keras's text generation example. Raises
    ConfigError for what is none of these.

    >>> as_vocabulary(["a", "b"]) == as_vocabulary({"b": 1, "a": 0}) == as_vocabulary("ab")
    True
    """
    if isinstance(given, Vocabulary):
        return given
    if isinstance(found := getattr(given, "vocabulary", None), Vocabulary):
        return found
    characters = _characters(given)
    if characters is None:
        raise ConfigError(
            f"the vocabulary is a {type(given).__name__}, expected that of a run, windows, or characters ordered by id",
            hint="for example sorted(set(text))",
        )
    return CharacterVocabulary(characters)


def _characters(given: object) -> list[str] | None:
    """Return characters in the order of their ids, or None where they are not characters, each once."""
    if isinstance(given, Mapping):
        ordered = sorted(given.items(), key=lambda item: item[1])
        if [number for _, number in ordered] not in (list(range(len(ordered))), list(range(1, len(ordered) + 1))):
            return None
        given = [character for character, _ in ordered]
    if not isinstance(given, Sequence) or not given:
        return None
    characters = list(given)
    whole = all(isinstance(one, str) and len(one) == 1 for one in characters) and len(set(characters)) == len(characters)
    return characters if whole else None
