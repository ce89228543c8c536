"""Tell the encoding of a text: the one that the user names, or that a byte order mark names."""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager

from chargen.errors import CorpusError, ReadingError

AUTO = "auto"

# Whoever decodes takes the mark out. The longer ones first: the UTF-32 one begins with the UTF-16 one.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NEED_A_MARK = {"utf-16", "utf-32"}


def marked_encoding(raw: bytes) -> str:
    """Return the encoding that a byte order mark at the start names, else ""."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if raw.startswith(mark)), "")


def named_encoding(encoding: str, raw: bytes) -> str:
    """Return the codec for the encoding that a user names, given the start of the text.

    Raises CorpusError for an encoding that is unknown.
    """
    known = _known(encoding)
    if known == "utf-8-sig":
        return "utf-8"  # which counts the mark when it reports where it failed
    return f"{known}-le" if known in _NEED_A_MARK and marked_encoding(raw) != known else encoding


def check_encoding(encoding: str) -> None:
    """Raise CorpusError for an encoding that is unknown."""
    if encoding != AUTO:
        _known(encoding)


def _known(encoding: str) -> str:
    """Return the one name of a text encoding of many names. Raises CorpusError for an unknown one."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # which refuses codecs between bytes and bytes
        return codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise CorpusError(f"unknown encoding {encoding!r}", hint="for example utf-8, latin-1 or cp1252") from error


@contextmanager
def decoding(name: str, encoding: str) -> Iterator[None]:
    """Turn the errors of a codec into ReadingError, which reports the place."""
    try:
        yield
    except (UnicodeError, ValueError) as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise ReadingError(f"{name} is not {encoding} text{where}", hint="--encoding NAME forces another encoding") from error


def not_text(name: str, why: str) -> ReadingError:
    """Return the error for bytes that are no text."""
    return ReadingError(f"{name} is not text: {why}", hint="--encoding NAME forces an encoding, --tokens byte takes any file")
