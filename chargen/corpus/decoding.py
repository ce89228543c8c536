"""Decode the bytes of a text, and report what was assumed if the bytes are ambiguous."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple

from chargen.corpus.encodings import AUTO, decoding, marked_encoding, named_encoding, not_text
from chargen.corpus.large_text import LargeText, Text, decoded_blocks, plain_blocks
from chargen.corpus.legacy import Guess, guess_legacy, guess_shifted, guess_wide
from chargen.corpus.utf8 import REPLACEMENT, Damage, Utf8Repairer, is_utf8
from chargen.corpus.wording import counted, listed, words_with_accents

DETECTION_BYTES = 1 << 20  # examined at the start, and around the first byte that is not UTF-8
_MAX_REPLACED_SHARE, _MAX_REPLACED = 0.01, 2  # of the characters of a text in a guessed encoding
_WIDE_SAMPLE = 4096  # bytes
_WIDE_SHARE = 0.25  # of bytes above 127 in UTF-16 without zero bytes, which is East Asian
_MAX_NOTES = 3  # on damaged texts; further ones share a note
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Decoding:
    """How the bytes of a text were decoded.

    guess: set if the encoding was guessed. damage: set if a text in UTF-8 is damaged. replaced: the number of U+FFFD in a text
    of a guessed encoding.
    """

    encoding: str = "utf-8"
    guess: Guess | None = None
    damage: Damage | None = None
    replaced: int = 0


class Decoded(NamedTuple):
    """A text, and how its bytes were decoded."""

    text: Text
    decoding: Decoding


def decode(raw: bytes, *, encoding: str = AUTO, name: str = "text") -> Decoded:
    """Decode bytes as `decode_file` decodes a file."""
    return decode_file(io.BytesIO(raw), encoding=encoding, name=name)


def decode_file(file: IO[bytes], *, encoding: str = AUTO, name: str = "text", large: bool = False, usual: str = "") -> Decoded:
    r"""Decode a file, without its byte order mark and with "\n" for every line end; keep a large text in a file.

    "auto" tries, in this order: the byte order mark, UTF-8 (which may be damaged), the most plausible other encoding, or
    `usual` if that guess is doubtful. Zero bytes mean UTF-16, UTF-32 or a binary file. Any other name forces that encoding.
    Raises CorpusError for an unknown encoding, for bytes that are invalid in it, and for binary files.
    """
    sample = file.read(DETECTION_BYTES)
    if encoding != AUTO:
        return _decode_strictly(file, named_encoding(encoding, sample), name, large=large)
    mark = marked_encoding(sample)
    if mark and mark != "utf-8":
        return _decode_strictly(file, mark, name, large=large)
    if b"\0" in sample:
        if wide := guess_wide(sample):
            return _decode_strictly(file, wide, name, large=large, guess=Guess(wide))
        raise not_text(name, f"byte {sample.index(0)} is zero")
    if shifted := guess_shifted(sample) if sample.isascii() else "":
        return _decode_strictly(file, shifted, name, large=large, guess=Guess(shifted))
    decoded = _decode_unmarked(file, sample, name, large=large, usual=usual, marked=bool(mark))
    if "\0" in (decoded.text if isinstance(decoded.text, str) else decoded.text.characters):
        raise not_text(name, "some of its bytes are zero")
    return decoded


def _decode_unmarked(file: IO[bytes], sample: bytes, name: str, *, large: bool, usual: str, marked: bool) -> Decoded:
    """Decode UTF-8, or guess another encoding; `marked`: whether the file begins with UTF-8's byte order mark."""
    try:
        return Decoded(_collect(_utf8_blocks(file, large), large), Decoding())
    except UnicodeDecodeError as error:
        evidence = _evidence(file, sample, error)
        if marked or is_utf8(evidence):
            return _decode_damaged(file, evidence, large)
        if decoded := _decode_guessed(file, _guess(evidence, usual), large):
            return decoded
        raise not_text(name, f"byte {error.start} is not UTF-8, and no other encoding fits") from error


def _collect(blocks: Iterable[str], large: bool) -> Text:
    return LargeText(plain_blocks(blocks)) if large else "".join(plain_blocks(blocks))


def _utf8_blocks(file: IO[bytes], large: bool) -> Iterator[str]:
    """Decode UTF-8; a text that is held in memory is decoded in one call, which is faster."""
    if large:
        yield from decoded_blocks(file, "utf-8")
    else:
        file.seek(0)
        yield file.read().decode()


def _decode_strictly(file: IO[bytes], encoding: str, name: str, *, large: bool, guess: Guess | None = None) -> Decoded:
    with decoding(name, encoding):
        text = _collect(decoded_blocks(file, encoding), large)
    if found := _SURROGATE.search(text if isinstance(text, str) else "".join(text.characters)):
        raise not_text(name, f"it holds half a surrogate pair, U+{ord(found.group()):04X}")
    return Decoded(text, Decoding(encoding, guess))


def _evidence(file: IO[bytes], sample: bytes, error: UnicodeDecodeError) -> bytes:
    """Return the start of a file and the bytes around its first byte that is not UTF-8."""
    start = max(len(sample), error.start - DETECTION_BYTES // 2)
    file.seek(start)
    around = file.read(DETECTION_BYTES) if error.start >= start else b""
    return sample + around


def _decode_damaged(file: IO[bytes], evidence: bytes, large: bool) -> Decoded:
    mender = Utf8Repairer(evidence)
    return Decoded(_collect(mender.blocks(file), large), Decoding(damage=mender.damage))


def _guess(evidence: bytes, usual: str) -> Guess | None:
    """Guess an encoding; a doubtful one may be UTF-16 without a zero byte."""
    guess = guess_legacy(evidence, usual=usual)
    may_be_wide = sum(one > 127 for one in evidence[:_WIDE_SAMPLE]) > _WIDE_SHARE * len(evidence[:_WIDE_SAMPLE])
    wide = guess_wide(evidence) if may_be_wide and (guess is None or guess.is_doubtful) else ""
    return Guess(wide) if wide else guess


def _decode_guessed(file: IO[bytes], guess: Guess | None, large: bool) -> Decoded | None:
    """Decode a text in a guessed encoding; return None if some bytes are invalid in it."""
    if guess is None:
        return None
    counter = _Counter()
    text = _collect(counter.counted(decoded_blocks(file, guess.encoding, errors="replace")), large)
    fits = counter.replaced <= max(_MAX_REPLACED, _MAX_REPLACED_SHARE * len(text))
    return Decoded(text, Decoding(guess.encoding, guess, replaced=counter.replaced)) if fits else None


class _Counter:
    """Counts the replacement characters (U+FFFD)."""

    replaced = 0

    def counted(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield the blocks and count."""
        for block in blocks:
            self.replaced += block.count(REPLACEMENT)
            yield block


class NamedText(NamedTuple):
    """A text with its name and its decoding."""

    name: str
    text: Text
    decoding: Decoding


def describe_decodings(texts: Sequence[NamedText]) -> dict[int, list[str]]:
    """Return notes on what was assumed, each under the index of the first text that it concerns."""
    notes: dict[int, list[str]] = {}
    guessed: dict[tuple[str, bool], list[int]] = {}
    damaged: list[int] = []
    for number, text in enumerate(texts):
        if guess := text.decoding.guess:
            guessed.setdefault((guess.encoding, guess.is_doubtful), []).append(number)
        if text.decoding.damage:
            damaged.append(number)
    for numbers in guessed.values():
        notes.setdefault(numbers[0], []).append(_describe_guess([texts[one] for one in numbers]))
    for number in damaged[:_MAX_NOTES]:
        text = texts[number]
        notes.setdefault(number, []).append(f"{text.name}: {text.decoding.damage.describe()}" if text.decoding.damage else "")
    if others := damaged[_MAX_NOTES:]:
        names = listed([texts[one].name for one in others])
        notes.setdefault(others[0], []).append(f"{counted(len(others), 'more file')} in damaged UTF-8: {names}")
    return notes


def _describe_guess(texts: Sequence[NamedText]) -> str:
    """Report the guessed encoding of some texts, with words that show whether the guess is right."""
    how = texts[0].decoding
    who = texts[0].name if len(texts) == 1 else f"{len(texts):,} files"
    words = next((words for one in texts if (words := words_with_accents(one.text))), "")
    shown = f", such as {words!r}" if words else ""
    if replaced := sum(one.decoding.replaced for one in texts):
        shown += f", {counted(replaced, 'character')} that it does not have replaced by U+FFFD"
    if how.guess and how.guess.is_doubtful:
        rivals = " or ".join(f"--encoding {one}" for one in how.guess.rivals) or "--encoding NAME"
        return f"{who}: not UTF-8, probably {how.encoding}{shown}; if these words look wrong: {rivals}"
    otherwise = "it" if len(texts) == 1 else "them"
    return f"{who}: not UTF-8, read as {how.encoding}{shown} (--encoding NAME reads {otherwise} otherwise)"
