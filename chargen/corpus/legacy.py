"""Guess the encoding of text that is not UTF-8 by the letters of each language, with chardet."""

import codecs
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple
from unicodedata import category

from chargen.corpus.out_of_place import share_out_of_place

# One stray or cut byte makes a text invalid in its encoding, and chardet drops the right guess. These are tried in any case.
MULTI_BYTE = ("gb18030", "big5", "cp932", "euc_jp", "cp949")
_SINGLE_BYTE = ("cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874")
_MAX_DAMAGED_SHARE = 0.01  # of the bytes above 127
_DAMAGED_SAMPLE = 1 << 16  # bytes

# The usual encodings, those of Windows first: if several decode to the same text, the first one is named.
_USUAL = (
    *(*_SINGLE_BYTE, *MULTI_BYTE, "koi8-r", "koi8-u", "cp866", "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9"),
    *("iso8859-6", "iso8859-8", "iso8859-13", "iso8859-15", "tis-620", "shift_jis", "euc_kr", "johab", "mac-roman"),
    *("mac-cyrillic", "cp437", "cp737", "cp775", "cp850", "cp852", "cp855", "cp857", "cp862", "euc_jis_2004", "shift_jis_2004"),
)
_UNUSUAL = 0.7  # weight of chardet's confidence in the others
_WESTERN = "cp1252"

# Measured with benchmarks/encodings.py and on pieces of 1 to 25 words in 34 languages.
_SURE, _UNSURE = 0.1, 0.05  # confidence in a guess from a few dozen letters, and from a few letters
_CERTAIN = 0.5
_PLAUSIBLE = 0.3  # share of the best confidence, for chardet's choice and for the encoding of the other files of a folder
_CLEAR, _VERY_CLEAR = 0.1, 0.3  # share of its confidence by which a clear guess leads, if all letters differ
_WESTERN_LEAD = 0.2  # required lead of an unsure guess over the most frequent encoding
_MAX_CANDIDATES = 24
_FEW_BYTES = 3  # bytes above 127; fewer do not identify an encoding
_MANY_BYTES = 30  # bytes above 127; fewer do not show which of them are damaged

# The encodings that charset-normalizer chose from; it guessed for runs made before chardet was used.
FORMER_GUESSES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "koi8_r", "cp850"),
    *("mac_roman", "gb18030", "big5", "cp932", "euc_jp", "cp949"),
)

_ASCII = bytes(range(128))
_SHIFTS = (b"\x1b$", b"~{")  # the first bytes of ISO-2022 and HZ, which have no byte above 127
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_WIDE_SAMPLE = 4096  # characters
_NOT_IN_TEXTS = {"Cc", "Cn", "Co", "Cs"}
_CONTROLS_IN_TEXTS = "\t\n\r\f\ufeff"


class Guess(NamedTuple):
    """A guessed encoding.

    rivals: encodings that fit nearly as well but give other letters. A guess is also doubtful if there are too few letters.
    """

    encoding: str
    rivals: tuple[str, ...] = ()
    is_doubtful: bool = False


class _Candidate(NamedTuple):
    """A candidate encoding, its confidence and the decoded text; `first`: whether it is chardet's choice."""

    encoding: str
    confidence: float
    text: str
    first: bool = False


def guess_legacy(evidence: bytes, *, usual: str = "") -> Guess | None:
    """Return the most plausible encoding of a text that is not UTF-8, or None if none is plausible.

    chardet's confidence counts less for characters out of place. A choice other than chardet's is doubtful. Instead of a
    doubtful encoding the `usual` one is chosen, if it is plausible.
    """
    ranked = _ranked(evidence)
    num_bytes = len(evidence.translate(None, _ASCII))
    if num_bytes >= _MANY_BYTES and (not ranked or ranked[0].confidence < _CERTAIN):
        ranked = sorted([*ranked, *_damaged_candidates(evidence[:_DAMAGED_SAMPLE])], key=lambda one: -one.confidence)
    if not ranked:
        return None
    best = _best(ranked)
    rivals = [one for one in ranked if one.text != best.text and _is_rival(best, one)]
    is_doubtful = bool(rivals) or best.confidence < _UNSURE or num_bytes < _FEW_BYTES
    if is_doubtful and any(one.encoding == usual and one.confidence > _PLAUSIBLE * best.confidence for one in ranked):
        return Guess(usual)
    same = [one.encoding for one in ranked if one.text == best.text]
    return Guess(min(same, key=_rank), tuple(one.encoding for one in rivals if one.encoding in _USUAL)[:2], is_doubtful)


def _ranked(evidence: bytes) -> list[_Candidate]:
    """Return chardet's candidates, ordered by characters out of place and by frequency in practice."""
    candidates = (one._replace(confidence=one.confidence * _weight(one)) for one in _candidates(evidence))
    return sorted(candidates, key=lambda one: -one.confidence)


def _weight(candidate: _Candidate) -> float:
    usual = 1.0 if candidate.encoding in _USUAL else _UNUSUAL
    return usual * (1 - share_out_of_place(candidate.text))


def guess_shifted(evidence: bytes) -> str:
    """Return the encoding of a text of ASCII bytes with shift sequences, or "" for other texts."""
    if not any(shift in evidence for shift in _SHIFTS):
        return ""
    return next((one.encoding for one in _candidates(evidence) if one.encoding.startswith(("iso2022", "hz"))), "")


def guess_wide(evidence: bytes) -> str:
    """Return the encoding of UTF-16 or UTF-32 text without a byte order mark, or "" for other texts."""
    texts = {encoding: _wide_text(evidence, encoding) for encoding in _WIDE}
    found = {encoding: text for encoding, text in texts.items() if _is_plausible(text)}
    western = [encoding for encoding, text in found.items() if sum(map(str.isascii, text)) > len(text) / 2]
    known = (one.encoding for one in _candidates(evidence) if one.encoding in found)
    eastern = (encoding for encoding, text in found.items() if _is_eastern(text))
    return next(chain(western, known, eastern), "")


def _wide_text(evidence: bytes, encoding: str) -> str:
    """Decode the whole code units of a sample; return "" if it is not in the encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(evidence)
    except UnicodeDecodeError:
        return ""


def _is_plausible(text: str) -> bool:
    """Return whether nearly all characters are usual in texts."""
    odd = sum(category(one) in _NOT_IN_TEXTS and one not in _CONTROLS_IN_TEXTS for one in text[:_WIDE_SAMPLE])
    return bool(text) and odd <= _MAX_DAMAGED_SHARE * len(text[:_WIDE_SAMPLE])


def _is_eastern(text: str) -> bool:
    """Return whether a text is Chinese, Japanese or Korean rather than wrongly decoded bytes."""
    for encoding in MULTI_BYTE:
        found = next(_candidates(text[:_WIDE_SAMPLE].encode(encoding, "ignore")), None)
        if found and found.encoding == encoding and found.confidence > _CERTAIN:
            return True
    return False


def _is_rival(best: _Candidate, other: _Candidate) -> bool:
    """Return whether another encoding fits nearly as well, given how many letters differ, or chardet prefers it."""
    if other.first and other.confidence > _PLAUSIBLE * best.confidence:
        return True
    if len(best.text) == len(other.text):
        differing = sum(one != two for one, two in zip(best.text, other.text, strict=True))
        letters = sum(not one.isascii() for one in best.text)
        share = min(1.0, differing / max(1, letters))
    else:
        share = 1.0
    clear = _CLEAR if best.confidence >= _SURE else _VERY_CLEAR
    return best.confidence - other.confidence < clear * share * best.confidence


def _best(ranked: list[_Candidate]) -> _Candidate:
    """Return the first candidate; with too few letters, the most frequent encoding if it is not far behind."""
    first = ranked[0]
    if first.confidence >= _SURE:
        return first
    western = next((one for one in ranked if one.encoding == _WESTERN), first)
    return western if western.confidence > (1 - _WESTERN_LEAD) * first.confidence else first


def _rank(encoding: str) -> int:
    return _USUAL.index(encoding) if encoding in _USUAL else len(_USUAL)


def _candidates(evidence: bytes) -> Iterator[_Candidate]:
    """Yield chardet's encodings that Python can decode, the best first."""
    from chardet import detect_all  # imported on use: most texts are UTF-8
    from chardet.enums import EncodingEra

    kinds = EncodingEra.ALL & ~EncodingEra.MAINFRAME
    ranked = detect_all(evidence, max_bytes=max(1, len(evidence)), encoding_era=kinds)
    first = ranked[0] if ranked else None
    for found in ranked[:_MAX_CANDIDATES]:
        try:
            name = codecs.lookup(found["encoding"] or "").name
            text = codecs.getincrementaldecoder(name)().decode(evidence)  # which may end within a character
        except (LookupError, UnicodeError):
            continue
        yield _Candidate(name, found["confidence"], text, first=found is first)


def _damaged_candidates(evidence: bytes) -> Iterator[_Candidate]:
    """Yield the encodings that fit without the few bytes that are invalid in them."""
    most = _MAX_DAMAGED_SHARE * len(evidence.translate(None, _ASCII))
    for encoding in (*MULTI_BYTE, *_SINGLE_BYTE):
        text = evidence.decode(encoding, "ignore")
        whole = text.encode(encoding, "ignore")
        if 0 < len(evidence) - len(whole) <= max(2, most):
            fitting = (one for one in _ranked(whole) if one.encoding == encoding)
            yield from (one for one in fitting if one.confidence >= _SURE)
