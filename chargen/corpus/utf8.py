"""Read damaged UTF-8: stray bytes, characters cut off at either end, lines in another encoding."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from chargen.corpus.legacy import MULTI_BYTE, guess_legacy
from chargen.corpus.wording import words_around

LONGEST_PIECE = 1 << 20  # bytes that are decoded at a time, whole lines if they are shorter
_WELL_FORMED_SHARE = 0.6  # share of the bytes above 127 in damaged UTF-8; it is a few hundredths in other encodings
_WELL_FORMED_SHARE_OF_LINES = 0.2  # the same for undamaged lines, if texts of two encodings are joined
_FEW_BYTES = 4  # too few to guess an encoding from

_ASCII = bytes(range(128))
REPLACEMENT = "\ufffd"
_DAMAGED = re.compile("[\udc80-\udcff]+")  # bytes that are not UTF-8, as "surrogateescape" decodes them
_SURROGATE_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")  # a character in CESU-8
_FORBIDDEN = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xed[\xa0-\xbf][\x80-\xbf]")  # overlong, or half a surrogate pair
_DAMAGED_CHARACTER = re.compile(rb"%b|%b|[\xc0-\xff][\x80-\xbf]+|." % (_SURROGATE_PAIR.pattern, _FORBIDDEN.pattern), re.DOTALL)
_END_OF_CHARACTER = re.compile(rb"[\x80-\xbf]{1,3}")

# Possible encodings of a stray byte; of those with equally many letters of the text the first is used.
_CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874")


@dataclass
class Damage:
    """The damage found in UTF-8 and how it was repaired. Bytes are counted from 0, lines from 1.

    other: the encoding used for stray bytes and lines. replaced: the number of bytes that became U+FFFD. pairs: the number of
    characters stored as two surrogates. cut_end: the position of an incomplete last character.
    """

    other: str
    num_bytes: int = 0
    first_byte: int = 0
    first_line: int = 0
    replaced: int = 0
    pairs: int = 0
    starts_cut: bool = False
    cut_end: tuple[int, int] | None = None
    example: str = ""

    def found(self, count: int, byte: int, line: int) -> None:
        """Count bytes that are not UTF-8."""
        if not self.num_bytes:
            self.first_byte, self.first_line = byte, line
        self.num_bytes += count

    def describe(self) -> str:
        """Return one line with the damage and the repair."""
        parts = []
        if self.num_bytes:
            noun = "1 byte," if self.num_bytes == 1 else f"{self.num_bytes:,} bytes, the first"
            parts.append(f"UTF-8 except for {noun} at byte {self.first_byte:,} (line {self.first_line:,}), {self._done()}")
        if self.pairs:
            parts.append(f"characters in CESU-8 read as such: {self.pairs:,}")
        if self.starts_cut:
            parts.append("the first character is incomplete and left out")
        if self.cut_end:
            byte, line = self.cut_end
            parts.append(f"the last character, at byte {byte:,} (line {line:,}), is incomplete and left out")
        if not self.num_bytes:
            parts.insert(0, "UTF-8")
        return f"{'; '.join(parts)} (--encoding {self.other} reads the whole text otherwise)"

    def _done(self) -> str:
        if self.replaced == self.num_bytes:
            return "replaced by U+FFFD"
        some = f", {self.replaced:,} replaced by U+FFFD" if self.replaced else ""
        return f"read as {self.other}, such as {self.example!r}{some}"


def is_utf8(evidence: bytes) -> bool:
    """Return whether bytes, some of them invalid, are damaged UTF-8 rather than text in another encoding."""
    start = _END_OF_CHARACTER.match(evidence)
    whole = evidence[start.end() if start else 0 : len(evidence) - _cut_bytes(evidence)]
    well, bad = _count(whole)
    if not well:
        return False
    undamaged = sum(well for well, bad in map(_count, whole.splitlines()) if not bad)
    return well >= _WELL_FORMED_SHARE * (well + bad) or undamaged >= _WELL_FORMED_SHARE_OF_LINES * (well + bad)


def _count(raw: bytes) -> tuple[int, int]:
    """Return the numbers of bytes above 127 in well-formed and in other sequences."""
    escaped = sum(map(len, _DAMAGED.findall(raw.decode("utf-8", "surrogateescape"))))
    bad = escaped - sum(map(len, _SURROGATE_PAIR.findall(raw)))
    return len(raw.translate(None, _ASCII)) - bad, bad


def _cut_bytes(raw: bytes) -> int:
    """Return the number of bytes of an incomplete character at the end."""
    for length in range(1, min(3, len(raw)) + 1):
        try:
            raw[-length:].decode()
        except UnicodeDecodeError as error:
            if error.start == 0 and error.reason == "unexpected end of data":
                return length
    return 0


@dataclass
class Utf8Repairer:
    """Decodes damaged UTF-8 and counts the damage.

    evidence: a part of the text, from which the encoding of lines that are not UTF-8, and of stray bytes, is guessed.
    """

    evidence: bytes
    damage: Damage = field(init=False)

    def __post_init__(self) -> None:
        characters = {one for one in set(self.evidence.decode("utf-8", "ignore")) if not one.isascii()}
        letters = "".join(filter(str.isalpha, characters))
        nearest = max(_CODE_PAGES, key=lambda page: len(letters.encode(page, "ignore")))
        fits = 2 * len(letters.encode(nearest, "ignore")) >= len(letters)
        self._first_bytes = {one.encode()[0] for one in characters} if fits else set(range(0xC0, 0x100))
        other = _encoding_of_damaged_lines(self.evidence)
        self._code_page = nearest if not other or other in MULTI_BYTE else other
        self.damage = Damage(other or nearest)

    def blocks(self, file: IO[bytes]) -> Iterator[str]:
        """Decode a file from its start; the damage is complete after the last block."""
        file.seek(0)
        byte, line, rest = 0, 1, b""
        while data := file.read(LONGEST_PIECE - len(rest)):
            block = rest + data
            end = block.rfind(b"\n") + 1 or len(block) - _cut_bytes(block)
            block, rest = block[:end], block[end:]
            yield self._decode_block(block, byte, line)
            byte += len(block)
            line += block.count(b"\n")
        yield self._decode_end(rest, byte, line)

    def _decode_block(self, block: bytes, byte: int, line: int) -> str:
        """Decode whole lines, or a part of a line that is longer than a block."""
        try:
            return block.decode()
        except UnicodeDecodeError:
            texts = []
            for number, piece in enumerate(block.split(b"\n"), start=line):
                texts.append(self._decode(piece, byte, number))
                byte += len(piece) + 1
            return "\n".join(texts)

    def _decode_end(self, piece: bytes, byte: int, line: int) -> str:
        """Decode the text after the last line end, without an incomplete last character."""
        cut = _cut_bytes(piece)
        if cut and not self._is_damaged_line(piece[:-cut]):
            piece = piece[:-cut]
            self.damage.cut_end = (byte + len(piece), line)
        return self._decode(piece, byte, line)

    def _is_damaged_line(self, piece: bytes) -> bool:
        """Return whether a line is in the other encoding."""
        well, bad = _count(piece)
        return bad > well

    def _decode(self, piece: bytes, byte: int, line: int) -> str:
        try:
            return piece.decode()
        except UnicodeDecodeError as error:
            first = error.start
        start = _END_OF_CHARACTER.match(piece) if byte == 0 else None
        if start and not self._is_damaged_line(piece[start.end() :]):
            self.damage.starts_cut = True
            return self._decode(piece[start.end() :], start.end(), line)
        well, bad = _count(piece)
        if bad:
            self.damage.found(bad, byte + first, line)
        if bad > well:
            text = piece.decode(self.damage.other, "replace")
            self.damage.replaced += text.count(REPLACEMENT)
        else:
            text = _DAMAGED.sub(self._repaired, piece.decode("utf-8", "surrogateescape"))
        if not self.damage.example:
            self.damage.example = words_around(text, len(piece[:first].decode()))
        return text

    def _repaired(self, found: re.Match[str]) -> str:
        """Return the repaired text of damaged bytes in a line of UTF-8."""
        text, start, end = found.string, found.start(), found.end()
        in_word = any(one.isascii() and one.isalpha() for one in text[max(0, start - 1) : start] + text[end : end + 1])
        raw = found.group().encode("utf-8", "surrogateescape")
        return "".join(self._repaired_character(one, in_word) for one in _DAMAGED_CHARACTER.findall(raw))

    def _repaired_character(self, raw: bytes, in_word: bool) -> str:
        """Return the character of a surrogate pair or of a stray byte, or U+FFFD for the rest of one."""
        if _SURROGATE_PAIR.fullmatch(raw):
            self.damage.pairs += 1
            return raw.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
        incomplete = raw[0] in self._first_bytes and (len(raw) > 1 or not in_word)
        if incomplete or _FORBIDDEN.fullmatch(raw):
            self.damage.replaced += len(raw)
            return REPLACEMENT
        text = raw.decode(self._code_page, "replace")
        self.damage.replaced += text.count(REPLACEMENT)
        return text


def _encoding_of_damaged_lines(evidence: bytes) -> str:
    """Return the encoding of the lines that are mostly not UTF-8, or "" if there are too few."""
    counted = ((line, *_count(line)) for line in evidence.splitlines(keepends=True))
    other = b"".join(line for line, well, bad in counted if bad > well)
    guess = guess_legacy(other) if len(other.translate(None, _ASCII)) >= _FEW_BYTES else None
    return guess.encoding if guess and not (guess.is_doubtful and not guess.rivals) else ""
