"""Read untrusted safetensors files without mapping them, and with no more memory than the size of the file.

The layout: the header's length (8 bytes, little-endian), the header (JSON), the tensors end to end.
"""

import hashlib
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.network.strict_json import parse_json

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 64 << 20  # a vocabulary of a million words, seven bytes per letter
HEADER_DEPTH = 3
HEADER_MARKS = 10_000  # 64 layers have 320 tensors, each with 9 commas and brackets
METADATA = "__metadata__"
DTYPES = {"F32": "<f4", "F16": "<f2", "U8": "|u1", "U16": "<u2", "U32": "<u4"}  # that are read
NO_CHECKSUM = "0" * 64  # placeholder in the header for the checksum


class Stored(NamedTuple):
    """The description of a tensor in a header; begin, end: byte offsets from the first tensor."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class TensorFile:
    """An open file with a valid header, before its tensors are read."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Stored]  # in file order
    header: bytes  # including its length
    file: BufferedReader

    def read(self) -> dict[str, npt.NDArray[Any]]:
        """Read all tensors, whose dtypes must be among `DTYPES`. Raises ValueError if the file has become shorter."""
        self.file.seek(len(self.header))
        return {name: self._read_next(one) for name, one in self.tensors.items()}

    def _read_next(self, stored: Stored) -> npt.NDArray[Any]:
        array = np.empty(stored.shape, DTYPES[stored.dtype])
        if self.file.readinto(array.data) != array.nbytes:
            raise ValueError("it ends early")
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def has_checksum(self, checksum: str, tensors: Mapping[str, npt.NDArray[Any]]) -> bool:
        """Return whether `with_checksum` wrote this checksum for the header and these tensors of the file."""
        digest = hashlib.sha256(self.header.replace(checksum.encode(), NO_CHECKSUM.encode(), 1))
        for name, stored in self.tensors.items():
            digest.update(tensors[name].astype(DTYPES[stored.dtype], copy=False).data)
        return digest.hexdigest() == checksum


def with_checksum(content: bytes) -> bytes:
    """Return a file's bytes with the placeholder NO_CHECKSUM in its header replaced by the SHA-256 of all bytes."""
    return content.replace(NO_CHECKSUM.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file and read its header; the tensors must fill the rest of the file exactly.

    Raises OSError, and ValueError for an invalid file; the kind of file, the size and the header are checked in this order.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(file, size)
        parsed = parse_json(_text(header[LENGTH_BYTES:]), depth=HEADER_DEPTH, marks=HEADER_MARKS)
        if type(parsed) is not dict:
            raise ValueError("its header is not an object")
        metadata = _texts(parsed.pop(METADATA, {}))
        stored = sorted(((name, _stored(name, value)) for name, value in parsed.items()), key=lambda one: one[1][2:])
        _check_places(dict(stored), size - len(header))
        yield TensorFile(metadata, dict(stored), header, file)


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a file to read. Raises OSError, and ValueError for what is not a regular file."""
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        yield file


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without blocking; opening a pipe would otherwise wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_header(file: BufferedReader, size: int) -> bytes:
    """Return the header's length and the header, as bytes."""
    start = file.read(LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    if len(start) < LENGTH_BYTES or not 0 < length <= size - LENGTH_BYTES:
        raise ValueError("it does not begin with a header, or ends within it")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header has {length:,} bytes, at most {MAX_HEADER_BYTES:,} are read")
    header = start + file.read(length)
    if len(header) != LENGTH_BYTES + length:
        raise ValueError("it ends within its header")
    return header


def _text(header: bytes) -> str:
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"its header is not UTF-8 at byte {error.start}") from error


def _texts(value: Any) -> dict[str, str]:
    if type(value) is not dict or any(type(text) is not str for text in value.values()):
        raise ValueError("its metadata is not text")
    return value


def _stored(name: str, value: Any) -> Stored:
    """Check the description of one tensor."""
    if type(value) is not dict or value.keys() != {"dtype", "shape", "data_offsets"} or type(value["dtype"]) is not str:
        raise ValueError(f"its header does not describe {name!r:.40} by dtype, shape and data_offsets")
    shape, offsets = _counts(name, value["shape"]), _counts(name, value["data_offsets"])
    if len(offsets) != 2:
        raise ValueError(f"its header gives {name!r:.40} {len(offsets)} offsets, expected 2")
    return Stored(value["dtype"], shape, *offsets)


def _counts(name: str, value: Any) -> tuple[int, ...]:
    if type(value) is not list or any(type(one) is not int or one < 0 for one in value):
        raise ValueError(f"its header gives {name!r:.40} an invalid size or offset")
    return tuple(value)


def _check_places(tensors: Mapping[str, Stored], size: int) -> None:
    """Raise ValueError unless the tensors, in order, fill `size` bytes and each has the bytes of its shape."""
    place = 0
    for name, one in tensors.items():
        size_of_one = int(DTYPES[one.dtype][2:]) if one.dtype in DTYPES else None
        if one.begin != place or (size_of_one and one.end - one.begin != size_of_one * math.prod(one.shape)):
            raise ValueError(f"{name!r:.40} is not at the offsets in its header")
        place = one.end
    if place != size:
        raise ValueError(f"its tensors have {size:,} bytes, expected {place:,}")
