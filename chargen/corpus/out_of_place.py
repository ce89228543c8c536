"""Count the characters of a decoded text that are implausible at their position in the right encoding."""

import re
from functools import lru_cache
from itertools import islice
from unicodedata import category, name

_MAX_SPANS = 2000  # runs of characters beyond ASCII that are examined
_SPAN = re.compile(r"[^\x00-\x7f]+")
_SCRIPTS = {"LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "THAI", "ARMENIAN", "GEORGIAN"}
_WITHIN_WORDS = "’‘·"


def share_out_of_place(text: str) -> float:
    """Return the share of the characters beyond ASCII that are out of place.

    These are control characters, signs and capitals within words, and letters beside those of another alphabet.

    >>> share_out_of_place("garçon déjà"), share_out_of_place("garзon dйjа")
    (0.0, 1.0)
    """
    count = wrong = 0
    for found in islice(_SPAN.finditer(text), _MAX_SPANS):
        span = (text[found.start() - 1 : found.start()] or " ") + found.group() + (text[found.end() : found.end() + 1] or " ")
        for before, character, after in zip(span, span[1:], span[2:], strict=False):
            if not character.isascii():
                count += 1
                wrong += _is_out_of_place(before, character, after)
    return wrong / max(1, count)


@lru_cache(maxsize=1 << 16)
def _is_out_of_place(before: str, character: str, after: str) -> bool:
    if character.isalpha():
        in_capitals = before.islower() and character.isupper()
        return in_capitals or _is_other_alphabet(character, before) or _is_other_alphabet(character, after)
    kind = category(character)
    if kind in ("Cc", "Cn", "Co"):
        return True
    within_word = before.isalpha() and after.isalpha() and character not in _WITHIN_WORDS
    return within_word and (kind[0] == "S" or kind in ("Po", "Ps", "Pe", "Pi", "Nl", "No"))


def _is_other_alphabet(character: str, neighbour: str) -> bool:
    alphabet = _alphabet(character)
    return bool(alphabet) and neighbour.isalpha() and _alphabet(neighbour) != alphabet and bool(_alphabet(neighbour))


def _alphabet(character: str) -> str:
    script = name(character, "").partition(" ")[0]
    return script if script in _SCRIPTS else ""
