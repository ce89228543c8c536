"""Which encoding the bytes of a text are in: told by the user, by a byte order mark, by the bytes themselves."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

from chargen.errors import CorpusError, ReadingError

AUTO = "auto"
DETECTION_BYTES = 1 << 20  # as much as the encoding is guessed from; the whole text is still decoded strictly
BYTE_ORDER_MARK = "\ufeff"

# The encodings in which text files are still met; charset-normalizer knows many more, which only win by accident.
_MET_ENCODINGS = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("iso8859_2", "koi8_r", "cp850", "mac_roman", "gb18030", "big5", "cp932", "euc_jp", "cp949"),
)
_WESTERN = "cp1252"  # by far the most common of them, and hard to tell from its neighbours in a text with few accents
_WESTERN_MAX_CHAOS = 0.1

# Whoever decodes takes the mark out. The longer ones first: the UTF-32 one begins with the UTF-16 one.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NEED_A_MARK = {"utf-16", "utf-32"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(raw: bytes, *, encoding: str = AUTO, name: str = "text") -> tuple[str, str]:
    """Decode bytes and return the text, without its byte order mark, and the encoding where it was guessed, else "".

    "auto" takes a byte order mark, then strict UTF-8, then charset-normalizer's best guess; zero bytes are taken for
    UTF-16 or for no text. Another name forces that encoding. Raises CorpusError for an unknown encoding, bytes that it
    does not allow, and bytes that are no text.
    """
    chosen, guessed = told_encoding(raw, encoding, name)
    if chosen is None:
        try:
            return raw.decode("utf-8"), ""
        except UnicodeDecodeError as error:
            chosen = guessed = guess_encoding(raw, error, name)
    with decoding(name, chosen):
        text = raw.decode(chosen)
    refuse_surrogates(name, text)
    return text.removeprefix(BYTE_ORDER_MARK), guessed


def told_encoding(raw: bytes, asked: str, name: str) -> tuple[str | None, str]:
    """Return the encoding that the user or the first bytes of a text tell, and once more if it is a guess, else "".

    None stands for a text that tells nothing: it is UTF-8 or has to be guessed. Raises CorpusError for an unknown encoding,
    and for zero bytes that are not those of UTF-16.
    """
    marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if raw.startswith(mark)), None)
    if asked != AUTO:
        known = _known(asked)
        if known == "utf-8-sig":
            return "utf-8", ""  # which counts the mark when it tells where it failed
        return (f"{known}-le" if known in _NEED_A_MARK and marked != known else asked), ""
    if marked or b"\0" not in raw:
        return marked, ""
    wide = _guess_wide_encoding(raw)
    if wide is None:
        raise not_text(name, f"byte {raw.index(0)} is zero")
    return wide, wide


def guess_encoding(raw: bytes, error: UnicodeDecodeError, name: str) -> str:
    """Return the encoding that charset-normalizer finds most plausible for bytes that `error` says are not UTF-8.

    Raises CorpusError for bytes that are no text.
    """
    from charset_normalizer import from_bytes  # imported on use: most texts are UTF-8

    matches = from_bytes(raw[:DETECTION_BYTES], cp_isolation=list(_MET_ENCODINGS))
    best = matches.best()
    if best is None:
        raise not_text(name, f"byte {error.start} is not UTF-8, and no other encoding fits") from error
    for match in matches:
        if _WESTERN in match.could_be_from_charset and match.chaos < _WESTERN_MAX_CHAOS and match.coherence >= best.coherence:
            return _WESTERN
    return best.encoding


@contextmanager
def decoding(name: str, encoding: str) -> Iterator[None]:
    """Turn the errors of a codec into ReadingError, which tells the place."""
    try:
        yield
    except (UnicodeError, ValueError) as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise ReadingError(f"{name} is not {encoding} text{where}", hint="--encoding NAME forces another encoding") from error


def refuse_surrogates(name: str, text: str) -> None:
    """Raise CorpusError for a text with half a surrogate pair, which some codecs let through and no file can hold as UTF-8."""
    if found := _SURROGATE.search(text):
        raise not_text(name, f"it holds half a surrogate pair, U+{ord(found.group()):04X}")


def not_text(name: str, why: str) -> ReadingError:
    """Return the error for bytes that are no text."""
    return ReadingError(f"{name} is not text: {why}", hint="--encoding NAME forces an encoding, --tokens byte takes any file")


def check_encoding(encoding: str) -> None:
    """Raise CorpusError for an encoding that there is not."""
    if encoding != AUTO:
        _known(encoding)


def _known(encoding: str) -> str:
    """Return the one name of a text encoding of many names. Raises CorpusError for one that there is not."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # which refuses codecs between bytes and bytes
        return codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise CorpusError(f"unknown encoding {encoding!r}", hint="for example utf-8, latin-1 or cp1252") from error


def _guess_wide_encoding(raw: bytes) -> str | None:
    """Return utf-16-le or -be where nearly every other byte is zero, as in Western text without a byte order mark."""
    sample = raw[:DETECTION_BYTES]
    for encoding, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if zeros.count(0) > 0.9 * len(zeros):
            return encoding
    return None
