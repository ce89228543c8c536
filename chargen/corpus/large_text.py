"""Texts and token ids that are larger than memory should be asked to hold: files of fixed-width numbers.

What is read through a memory map counts as the process's own until it is forgotten, so sequential passes read blocks, and maps
are told to forget what was looked up.
"""

import codecs
import mmap
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 22  # characters, or bytes of an encoded file, at a time
CODE_TYPES = (np.uint8, np.uint16, np.uint32)


class LargeText:
    """A text in a temporary file, one code point after another; what it knows of itself, it learnt while it was written.

    It stands where a `str` would: it has a length, `text[a:b]` is the part from a to b, `str()` reads it into memory.
    """

    def __init__(self, blocks: Iterable[str]) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the text and its parts
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._start, self._stop = 0, 0
        seen = np.zeros(0x110000, bool)
        for block in blocks:
            codes = np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.uint32)
            seen[codes] = True
            self._append(codes)
        self._file.flush()
        self._codes = np.flatnonzero(seen)

    def _append(self, codes: npt.NDArray[np.uint32]) -> None:
        largest = int(codes.max(initial=0))
        if largest > np.iinfo(self._dtype).max:
            self._widen(next(np.dtype(one) for one in CODE_TYPES if largest <= np.iinfo(one).max))
        self._file.write(codes.astype(self._dtype).tobytes())
        self._stop += len(codes)

    def _widen(self, dtype: np.dtype[Any]) -> None:
        """Write what is there already once more, in a wider type."""
        wider: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        for codes in self._read_codes():
            wider.write(codes.astype(dtype).tobytes())
        self._file, self._dtype = wider, dtype

    def _read_codes(self) -> Iterator[npt.NDArray[Any]]:
        """Yield blocks of code points; the file's position is left at the end of them."""
        self._file.flush()
        for start in range(self._start, self._stop, BLOCK):
            self._file.seek(start * self._dtype.itemsize)
            count = min(BLOCK, self._stop - start)
            yield np.frombuffer(self._file.read(count * self._dtype.itemsize), self._dtype)

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, part: slice) -> "LargeText":
        start, stop, step = part.indices(len(self))
        if step != 1:
            raise ValueError("a part of a text is in one piece")
        view = object.__new__(LargeText)
        view.__dict__.update(self.__dict__, _start=self._start + start, _stop=self._start + max(start, stop))
        return view

    def __str__(self) -> str:
        return "".join(self.blocks())

    def blocks(self) -> Iterator[str]:
        """Yield the text piece by piece."""
        for codes in self._read_codes():
            yield codes.astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")

    @property
    def characters(self) -> set[str]:
        """The distinct characters of the whole text that this is a part of."""
        return set(map(chr, self._codes.tolist()))


Text = str | LargeText


def text_blocks(text: Text) -> Iterator[str]:
    """Yield a text piece by piece."""
    if isinstance(text, LargeText):
        yield from text.blocks()
    else:
        yield text


def characters_of(text: Text) -> set[str]:
    """Return the distinct characters of a text."""
    return text.characters if isinstance(text, LargeText) else set(text)


def decoded_blocks(file: IO[bytes], encoding: str) -> Iterator[str]:
    r"""Decode a file piece by piece, with "\n" for every line end. Raises UnicodeDecodeError as the codec does."""
    decoder, ended_in_return = codecs.getincrementaldecoder(encoding)(), False
    while raw := file.read(BLOCK):
        block = decoder.decode(raw)
        if ended_in_return and block.startswith("\n"):
            block = block[1:]  # the second half of a line end that was counted already
        ended_in_return = block.endswith("\r") if block else ended_in_return
        yield block.replace("\r\n", "\n").replace("\r", "\n")
    yield decoder.decode(b"", final=True)


def mapped(blocks: Iterable[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Write arrays one after another to a temporary file and return them as one array, mapped read-only."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the map keeps it open
    for block in blocks:
        file.write(np.ascontiguousarray(block, dtype).tobytes())
    file.flush()
    array = np.memmap(file, dtype, mode="r")
    _advise(array, "MADV_RANDOM")  # reading ahead would fetch what no window asks for
    return array


def forget_pages(array: npt.NDArray[Any]) -> None:
    """Let go of the memory that looking up a mapped array has filled; other arrays are left alone."""
    if isinstance(array, np.memmap):
        _advise(array, "MADV_DONTNEED")


def _advise(array: Any, advice: str) -> None:
    if hasattr(mmap, advice):  # not every system takes advice
        array._mmap.madvise(getattr(mmap, advice))
