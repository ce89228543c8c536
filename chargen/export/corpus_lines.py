"""Pack the lines of a corpus so that a page recognises them without holding them: 32 bits of a hash for each."""

from base64 import b64encode
from collections.abc import Iterable

import numpy as np

MAX_LINES = 200_000  # of a larger corpus nothing is packed: 4 bytes each
OFFSET_BASIS, PRIME = 0x811C9DC5, 0x01000193  # of FNV-1a with 32 bits


def packed_lines(lines: Iterable[str]) -> str:
    """Return the sorted hashes of distinct, non-empty lines in base64, little-endian; "" for more than MAX_LINES lines."""
    distinct = set(filter(None, lines))
    if len(distinct) > MAX_LINES:
        return ""
    hashes = np.array(sorted(map(line_hash, distinct)), "<u4")
    return b64encode(hashes.tobytes()).decode("ascii")


def line_hash(line: str) -> int:
    """Return the FNV-1a hash of a line's UTF-8 bytes (Fowler, Noll and Vo), 32 bits.

    >>> hex(line_hash("a"))
    '0xe40c292c'
    """
    value = OFFSET_BASIS
    for byte in line.encode("utf-8", "surrogatepass"):
        value = (value ^ byte) * PRIME & 0xFFFFFFFF
    return value
