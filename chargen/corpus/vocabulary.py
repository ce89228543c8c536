"""The ordered set of tokens, and the way between text and token ids."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from chargen.corpus.large_text import Text, characters_of
from chargen.errors import UnknownTokenError

BOUNDARY = 0  # the token before and after every document; it stands for no text
BLOCK_CHARACTERS = 1 << 20  # encoded at a time: in between, a character takes four bytes
UNKNOWN_CHOICES = ("error", "skip", "nearest")

Ids = npt.NDArray[np.unsignedinteger]


class CharacterVocabulary:
    """The boundary token, then the characters of a text in code-point order.

    >>> vocabulary = CharacterVocabulary("abé")
    >>> len(vocabulary), "é" in vocabulary, vocabulary.decode(vocabulary.encode("bé"))
    (4, True, 'bé')
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = "".join(characters)
        codes = _code_points(self.characters)
        if len(set(self.characters)) != len(self.characters):
            raise ValueError("a vocabulary holds each character once")
        self.dtype = np.dtype(narrowest_dtype(len(self.characters) + 1))
        self._ids_by_code = np.zeros(int(codes.max(initial=0)) + 2, self.dtype)  # the last entry is for all larger codes
        self._ids_by_code[codes] = np.arange(1, len(codes) + 1)
        self._codes_by_id = np.concatenate([np.zeros(1, codes.dtype), codes])

    @classmethod
    def of(cls, documents: Iterable[Text]) -> "CharacterVocabulary":
        """Collect the characters of some documents."""
        return cls(sorted(set().union(*map(characters_of, documents))))

    def __len__(self) -> int:
        """Tokens, the boundary counted."""
        return len(self.characters) + 1

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1 and character in self.characters

    def __iter__(self) -> Iterator[str]:
        return iter(self.characters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharacterVocabulary) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        return f"CharacterVocabulary({self.characters!r})"

    def encode(self, text: str, *, on_unknown: str = "error") -> Ids:
        """Return the ids of a text, (len(text),), in the narrowest unsigned dtype that fits.

        A character that the vocabulary lacks is an UnknownTokenError, is left out ("skip") or gives its place to the
        nearest known one ("nearest"): its other case, its base letter, or the closest code point.
        """
        ids = np.empty(len(text), self.dtype)
        for start in range(0, len(text), BLOCK_CHARACTERS):
            codes = _code_points(text[start : start + BLOCK_CHARACTERS])
            ids[start : start + len(codes)] = self._ids_by_code[np.minimum(codes, len(self._ids_by_code) - 1)]
        if (ids != BOUNDARY).all():
            return ids
        return self.encode(self._known_text(text, on_unknown))

    def _known_text(self, text: str, on_unknown: str) -> str:
        unknown = sorted(set(text) - set(self.characters))
        if on_unknown == "skip":
            return text.translate(dict.fromkeys(map(ord, unknown)))
        if on_unknown == "nearest":
            return text.translate({ord(one): self.nearest(one) for one in unknown})
        names = ", ".join(f"{one!r} (U+{ord(one):04X})" for one in unknown[:5]) + (" and more" if len(unknown) > 5 else "")
        raise UnknownTokenError(
            f"the model has never seen {names}", hint="leave it out, or say --on-unknown skip or --on-unknown nearest"
        )

    def nearest(self, character: str) -> str:
        """Return the known character that stands in best for an unknown one."""
        base = unicodedata.normalize("NFKD", character)[:1]
        for candidate in (character.swapcase(), base, base.swapcase()):
            if candidate in self:
                return candidate
        return min(self.characters, key=lambda known: abs(ord(known) - ord(character)))

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """Return the text of some ids; boundary tokens stand for nothing."""
        chosen = np.asarray(ids)
        return self._codes_by_id[chosen[chosen != BOUNDARY]].tobytes().decode("utf-32-le", "surrogatepass")


def narrowest_dtype(size: int) -> type[np.unsignedinteger]:
    """Return the narrowest unsigned integer type that holds the ids 0 to size - 1."""
    return np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.uint32


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
