"""Find the encoding that the user or a byte order mark names."""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager

from chargen.errors import CorpusError, ReadingError

AUTO = "auto"

# The decoder removes the mark. Longer marks come first: the one of UTF-32 begins with the one of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NEED_A_MARK = {"utf-16", "utf-32"}


def marked_encoding(raw: bytes) -> str:
    """Return the encoding of the byte order mark at the start, or "" without a mark."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if raw.startswith(mark)), "")


def named_encoding(encoding: str, raw: bytes) -> str:
    """Return the codec for the encoding that the user gives and the start of the text.

    Raises CorpusError for an unknown encoding.
    """
    known = _known(encoding)
    if known == "utf-8-sig":
        return "utf-8"  # its error positions count the mark
    return f"{known}-le" if known in _NEED_A_MARK and marked_encoding(raw) != known else encoding


def check_encoding(encoding: str) -> None:
    """Raise CorpusError for an unknown encoding."""
    if encoding != AUTO:
        _known(encoding)


def _known(encoding: str) -> str:
    """Return the canonical name of a text encoding. Raises CorpusError for an unknown one."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # refuses bytes-to-bytes codecs
        return codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise CorpusError(f"unknown encoding {encoding!r}", hint="for example utf-8, latin-1 or cp1252") from error


@contextmanager
def decoding(name: str, encoding: str) -> Iterator[None]:
    """Turn the errors of a codec into a ReadingError with the position."""
    try:
        yield
    except (UnicodeError, ValueError) as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise ReadingError(f"{name} is not {encoding} text{where}", hint="--encoding NAME forces another encoding") from error


def not_text(name: str, why: str) -> ReadingError:
    """Return the error for a binary file."""
    return ReadingError(f"{name} is not text: {why}", hint="--encoding NAME forces an encoding, --tokens byte reads any file")
