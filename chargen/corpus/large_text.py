"""Store texts and token ids that are too large for memory in files of fixed-width numbers.

They are read piece by piece rather than mapped: mapped pages count as the process's memory, and the system may map megabytes
around each window.
"""

import codecs
import hashlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 22  # characters, or bytes of an encoded file, at a time
BATCH = 1 << 18  # characters of short texts that are processed together
NUM_CODE_POINTS = 0x110000
CODE_TYPES = (np.uint8, np.uint16, np.uint32)


CodePoints = npt.NDArray[np.unsignedinteger[Any]]


def code_points(text: str) -> CodePoints:
    """Return the code points of a text, (len(text),), as uint8 if all fit (four times faster), else as uint32."""
    try:
        return np.frombuffer(text.encode("latin-1"), np.uint8)
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _temporary_file(buffering: int = -1) -> IO[bytes]:
    """Return a new file without a name, which the system removes when it is closed."""
    from tempfile import TemporaryFile

    return TemporaryFile(buffering=buffering)


class LargeText:
    """A text in a temporary file of fixed-width code points, with counts collected while it was written.

    It works where a `str` would: it has a length, `text[a:b]` is the part from a to b, `str()` reads it into memory.
    """

    def __init__(self, blocks: Iterable[str]) -> None:
        self._file: IO[bytes] = _temporary_file()  # closed with the text
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._start, self._stop = 0, 0
        self._counts = np.zeros(NUM_CODE_POINTS, np.intp)  # of each code point in the whole text
        try:
            self._write(blocks)
        finally:
            weakref.finalize(self, self._file.close)

    def _write(self, blocks: Iterable[str]) -> None:
        """Write the text and count its code points."""
        for block in blocks:
            codes = code_points(block)
            found = np.bincount(codes)
            self._counts[: len(found)] += found
            self._append(codes)
        self._file.flush()

    def _append(self, codes: CodePoints) -> None:
        largest = int(codes.max(initial=0))
        if largest > np.iinfo(self._dtype).max:
            self._widen(next(np.dtype(one) for one in CODE_TYPES if largest <= np.iinfo(one).max))
        self._file.write(codes.astype(self._dtype).tobytes())
        self._stop += len(codes)

    def _widen(self, dtype: np.dtype[Any]) -> None:
        """Rewrite the file with a wider type."""
        wider: IO[bytes] = _temporary_file()
        for codes in self._read_codes():
            wider.write(codes.astype(dtype).tobytes())
        self._file.close()
        self._file, self._dtype = wider, dtype

    def _read_codes(self) -> Iterator[npt.NDArray[Any]]:
        """Yield blocks of code points; the file's position stays at the end of the last block."""
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
            raise ValueError("a slice of a text must have step 1")
        view = object.__new__(LargeText)
        bounds = {"_start": self._start + start, "_stop": self._start + max(start, stop)}
        view.__dict__.update(self.__dict__, **bounds, _whole=self)  # whose end would close the file
        return view

    def __str__(self) -> str:
        return "".join(self.blocks())

    def count_codes(self) -> npt.NDArray[np.intp]:
        """Count the occurrences of each code point, (NUM_CODE_POINTS,)."""
        if self._start == 0 and self._stop == self._counts.sum():
            return self._counts
        counts = np.zeros(NUM_CODE_POINTS, np.intp)
        for codes in self._read_codes():
            found = np.bincount(codes)
            counts[: len(found)] += found
        return counts

    def blocks(self) -> Iterator[str]:
        """Yield the text piece by piece."""
        for codes in self._read_codes():
            if codes.itemsize == 1:
                yield codes.tobytes().decode("latin-1")
            else:
                yield codes.astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")

    def sha256(self) -> str:
        """Return the sha256 of the text in UTF-8."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def characters(self) -> set[str]:
        """The distinct characters of the whole text, also for a part of it."""
        return set(map(chr, np.flatnonzero(self._counts).tolist()))


Text = str | LargeText


def text_blocks(text: Text) -> Iterator[str]:
    """Yield a text piece by piece."""
    if isinstance(text, LargeText):
        yield from text.blocks()
    else:
        yield text


def is_blank(text: Text) -> bool:
    """Return whether a text is nothing but white space."""
    return not text.strip() if isinstance(text, str) else not any(block.strip() for block in text.blocks())


def characters_of(texts: Iterable[Text]) -> set[str]:
    """Return the distinct characters of texts; for a part of a large text, those of the whole text."""
    known: set[str] = set()
    for batch in batched_texts(texts):
        known |= batch.characters if isinstance(batch, LargeText) else set("".join(batch))
    return known


def batched_texts(texts: Iterable[Text]) -> Iterator[LargeText | list[str]]:
    """Yield texts in order; those in memory come in lists of a quarter of a million characters or more."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        if isinstance(text, str):
            waiting.append(text)
            size += len(text)
        if waiting and (size >= BATCH or isinstance(text, LargeText)):
            yield waiting
            waiting, size = [], 0
        if isinstance(text, LargeText):
            yield text
    if waiting:
        yield waiting


def decoded_blocks(file: IO[bytes], encoding: str, *, errors: str = "strict") -> Iterator[str]:
    """Decode a file from its start, piece by piece.

    Raises the codec's UnicodeDecodeError, with `start` counted from the start of the file.
    """
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    ended, read = False, 0
    while not ended:
        data = file.read(BLOCK)
        ended = not data
        held_back = len(decoder.getstate()[0])
        try:
            yield decoder.decode(data, final=ended)
        except UnicodeDecodeError as error:
            error.start += read - held_back
            raise
        read += len(data)


def plain_blocks(blocks: Iterable[str]) -> Iterator[str]:
    r"""Yield pieces of a text without its byte order mark and with "\n" for every line end."""
    begins, ended_in_return = True, False
    for block in blocks:
        if not block:
            continue
        block = block.removeprefix("\ufeff") if begins else block
        second_half = ended_in_return and block.startswith("\n")  # the second half of a line end that is already counted
        begins, ended_in_return = False, block.endswith("\r")
        block = block[1:] if second_half else block
        yield block.replace("\r\n", "\n").replace("\r", "\n") if "\r" in block else block


class StoredIds(ABC):
    """Token ids in files, indexed like an array: `ids[a:b]`, or `ids[positions]` with positions of shape (..., W).

    Each row of positions is read in one call, so its positions should be close together, as in a window.
    """

    dtype: np.dtype[np.unsignedinteger]

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of ids."""

    @abstractmethod
    def _read(self, start: int, stop: int) -> npt.NDArray[np.unsignedinteger]:
        """Return the ids from `start` to `stop`, both in range."""

    def __getitem__(self, positions: slice | npt.NDArray[np.integer]) -> npt.NDArray[np.unsignedinteger]:
        if isinstance(positions, slice):
            start, stop, _ = positions.indices(len(self))
            return self._read(start, max(start, stop))
        rows = positions.reshape(-1, positions.shape[-1])
        first, last = rows.min(axis=1), rows.max(axis=1)
        found = np.empty(rows.shape, self.dtype)
        for number, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            found[number] = self._read(start, stop + 1)[rows[number] - start]
        return found.reshape(positions.shape)


class FileIds(StoredIds):
    """Token ids in a temporary file."""

    def __init__(self, blocks: Iterable[npt.NDArray[np.unsignedinteger]], dtype: np.dtype[np.unsignedinteger]) -> None:
        self.dtype = dtype
        self._file: IO[bytes] = _temporary_file(buffering=0)  # closed with the ids
        weakref.finalize(self, self._file.close)
        for block in blocks:
            self._file.write(np.ascontiguousarray(block, dtype).data)
        self._length = self._file.tell() // dtype.itemsize

    def __len__(self) -> int:
        return self._length

    def _read(self, start: int, stop: int) -> npt.NDArray[np.unsignedinteger]:
        self._file.seek(start * self.dtype.itemsize)
        return np.frombuffer(self._file.read((stop - start) * self.dtype.itemsize), self.dtype)
