"""Map text to token ids and back, by characters or by bytes."""

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from chargen.corpus.large_text import Text, characters_of, code_points
from chargen.errors import UnknownTokenError

BOUNDARY = 0  # the token before and after every document; it decodes to no text
BLOCK_CHARACTERS = 1 << 20  # characters encoded at a time, since each takes four bytes meanwhile
HOW_TO_GO_ON = "leave it out, or choose --on-unknown skip or --on-unknown nearest"

Ids = npt.NDArray[np.unsignedinteger]
TokenIds = Sequence[int] | npt.NDArray[np.integer]


class Vocabulary(ABC):
    """The boundary token, then pieces of text, then one token for each label of a labelled corpus.

    pieces: the text of each token, in the order of the ids, from id 1. labels: the labels of the documents of a corpus.
    """

    kind: ClassVar[str]

    def __init__(self, pieces: Sequence[str], labels: Sequence[str] = ()) -> None:
        self.pieces, self.labels = pieces, tuple(labels)
        self.dtype = np.dtype(narrowest_dtype(len(self)))

    def __len__(self) -> int:
        """Return the number of tokens, including the boundary and the labels."""
        return 1 + len(self.pieces) + len(self.labels)

    def __iter__(self) -> Iterator[str]:
        return iter(self.pieces)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.to_mapping() == other.to_mapping()

    def __hash__(self) -> int:
        return hash((self.kind, len(self), self.labels))

    @abstractmethod
    def encode(self, text: str, *, on_unknown: str = "error") -> Ids:
        """Return the ids of a text, (tokens,), in the narrowest unsigned dtype.

        on_unknown: for text that is not in the vocabulary, "error" raises UnknownTokenError, "skip" leaves it out, "nearest"
        replaces it by the nearest known text.
        """

    def encode_all(self, texts: Sequence[str]) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Return the concatenated ids of some texts, and the number of ids of each text."""
        parts = [self.encode(text) for text in texts]
        return np.concatenate(parts), np.array([len(ids) for ids in parts])

    def encode_prompt(self, text: str, *, on_unknown: str = "error") -> Ids:
        """Return the ids of a text that a user typed, as `encode` does; treat unknown words like unknown characters."""
        return self.encode(text, on_unknown=on_unknown)

    @abstractmethod
    def decode(self, ids: TokenIds) -> str:
        """Return the text of some ids; boundary and label tokens decode to no text."""

    @abstractmethod
    def to_mapping(self) -> dict[str, Any]:
        """Return plain values from which `vocabulary_from_mapping` builds an equal vocabulary."""

    def spelling_nats(self, text: str) -> float:
        """Return the cost, in nats, of spelling the unknown words of a text, which the tokens do not cover."""
        return 0.0

    @cached_property
    def texts(self) -> list[str]:
        """The text of each id, (V,); "" for boundary and label tokens."""
        return [self.decode([token]) for token in range(len(self))]

    @property
    def silent_ids(self) -> Sequence[int]:
        """The ids that may be read but are never drawn."""
        return range(len(self) - len(self.labels), len(self))

    def label_id(self, label: str) -> int:
        """Return the token id of a label. Raises UnknownTokenError for an unknown label."""
        if label in self.labels:
            return len(self) - len(self.labels) + self.labels.index(label)
        known = f"it knows {', '.join(self.labels)}" if self.labels else "it was trained without labels"
        raise UnknownTokenError(f"the model has never seen the label {label!r}", hint=known)


class CharacterVocabulary(Vocabulary):
    """The distinct characters of a text in code-point order.

    >>> vocabulary = CharacterVocabulary("abé")
    >>> len(vocabulary), "é" in vocabulary, vocabulary.decode(vocabulary.encode("bé"))
    (4, True, 'bé')
    """

    kind = "character"

    def __init__(self, characters: Iterable[str], labels: Sequence[str] = ()) -> None:
        self.characters = "".join(characters)
        if len(set(self.characters)) != len(self.characters):
            raise ValueError("a character occurs twice in the vocabulary")
        super().__init__(self.characters, labels)
        codes = code_points(self.characters).astype(np.uint32)
        self._ids_by_code = np.zeros(int(codes.max(initial=0)) + 2, self.dtype)  # the last entry is for all larger code points
        self._ids_by_code[codes] = np.arange(1, len(codes) + 1)
        self._codes_by_id = np.concatenate([np.zeros(1, codes.dtype), codes, np.zeros(len(self.labels), codes.dtype)])

    @classmethod
    def of(cls, documents: Iterable[Text], labels: Sequence[str] = ()) -> "CharacterVocabulary":
        """Collect the characters of some documents."""
        return cls(sorted(characters_of(documents)), labels)

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1 and character in self.characters

    def __repr__(self) -> str:
        return f"CharacterVocabulary({self.characters!r})"

    def encode(self, text: str, *, on_unknown: str = "error") -> Ids:
        """Return the ids of a text, (len(text),).

        The nearest known character is the other case, the base letter, or the closest code point.
        """
        ids = np.empty(len(text), self.dtype)
        for start in range(0, len(text), BLOCK_CHARACTERS):
            codes = code_points(text[start : start + BLOCK_CHARACTERS])
            ids[start : start + len(codes)] = self._ids_by_code.take(codes, mode="clip")
        if (ids != BOUNDARY).all():
            return ids
        return self.encode(known_text(text, self.characters, on_unknown))

    def encode_all(self, texts: Sequence[str]) -> tuple[Ids, npt.NDArray[np.int64]]:
        return self.encode("".join(texts)), np.array([len(text) for text in texts])

    def decode(self, ids: TokenIds) -> str:
        chosen = np.asarray(ids)
        codes = self._codes_by_id[chosen[(chosen != BOUNDARY) & (chosen <= len(self.characters))]]
        return codes.tobytes().decode("utf-32-le", "surrogatepass")

    def to_mapping(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters, "labels": list(self.labels)}


class ByteVocabulary(Vocabulary):
    """All 256 byte values.

    Text is encoded as UTF-8; bytes that are not UTF-8 are the lone surrogates of "surrogateescape".

    >>> ByteVocabulary().encode("é").tolist()
    [196, 170]
    """

    kind = "byte"

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__([chr(byte) if byte < 0x80 else f"<{byte:02x}>" for byte in range(256)], labels)

    def encode(self, text: str, *, on_unknown: str = "error") -> Ids:
        try:
            raw = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
        except UnicodeEncodeError:
            raise UnknownTokenError(
                "the text holds half of a surrogate pair, which is not a character", hint="leave it out"
            ) from None
        return raw.astype(self.dtype) + self.dtype.type(1)

    def decode(self, ids: TokenIds) -> str:
        chosen = np.asarray(ids)
        raw = (chosen[(chosen != BOUNDARY) & (chosen <= 256)] - 1).astype(np.uint8)
        return raw.tobytes().decode("utf-8", "replace")

    def to_mapping(self) -> dict[str, Any]:
        return {"kind": self.kind, "labels": list(self.labels)}


def known_text(text: str, characters: str, on_unknown: str) -> str:
    """Return a text with known characters only: others are left out or replaced by the nearest known one.

    Raises UnknownTokenError for other characters if on_unknown is "error".
    """
    unknown = sorted(set(text) - set(characters))
    if on_unknown == "skip":
        return text.translate(dict.fromkeys(map(ord, unknown)))
    if on_unknown == "nearest":
        return text.translate({ord(one): nearest_character(one, characters) for one in unknown})
    raise UnknownTokenError(f"the model has never seen {name_characters(unknown)}", hint=HOW_TO_GO_ON)


def nearest_character(character: str, known: str) -> str:
    """Return the known character that is nearest to an unknown one."""
    base = unicodedata.normalize("NFKD", character)[:1]
    for candidate in (character.swapcase(), base, base.swapcase()):
        if len(candidate) == 1 and candidate in known:
            return candidate
    return min(known, key=lambda one: abs(ord(one) - ord(character)))


def name_characters(characters: Iterable[str]) -> str:
    """Return the first five of some characters with their code points, for a message."""
    ordered = sorted(characters)
    return ", ".join(f"{one!r} (U+{ord(one):04X})" for one in ordered[:5]) + (" and more" if len(ordered) > 5 else "")


def narrowest_dtype(size: int) -> type[np.unsignedinteger]:
    """Return the narrowest unsigned integer type that holds the ids 0 to size - 1."""
    return np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.uint32
