"""Measure how far general compressors shrink a text, as baselines without knowledge of language."""

import gzip
import lzma
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from chargen.cores import num_cores
from chargen.corpus.documents import Document

SMALLEST_DICTIONARY = 1 << 12  # bytes of the smallest dictionary of LZMA2


def compressed_nats(training: str, held_out: str) -> dict[str, float]:
    """Return the nats that a held-out text adds to the compressed training text, by "gzip" and "xz" at their best level.

    xz can refer to the whole training text, gzip only to the last 32 KB, its window.
    """
    before, whole = (_bytes(text) for text in (training, training + held_out))
    compressors = {"xz": lambda content: _xz(content, len(whole)), "gzip": lambda content: gzip.compress(content, mtime=0)}
    with ThreadPoolExecutor(num_cores()) as pool:  # the slow ones first; they run without Python's lock
        sizes = {
            name: [pool.submit(compress, content) for content in (whole, before)] for name, compress in compressors.items()
        }
    added = {name: len(longer.result()) - len(shorter.result()) for name, (longer, shorter) in sizes.items()}
    return {name: added[name] * 8 * math.log(2) for name in ("gzip", "xz")}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _xz(content: bytes, window: int) -> bytes:
    """Compress with a dictionary of `window` bytes; the preset's own takes hundreds of megabytes for any text."""
    preset = 9 | lzma.PRESET_EXTREME
    chain = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": max(window, SMALLEST_DICTIONARY)}]
    return lzma.compress(content, format=lzma.FORMAT_XZ, filters=chain)


def joined(documents: Sequence[Document]) -> str:
    """Return documents as the text to compress; with several, a line end marks the end of each."""
    end = "\n" if len(documents) > 1 else ""
    return "".join(f"{document.text}{end if document.ends else ''}" for document in documents)
