"""Read safetensors files of unknown origin: nothing is mapped, and no more memory is used than the file is large.

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

from chargen.network.cells import Floats
from chargen.network.strict_json import parse_json

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 64 << 20  # a vocabulary of a million words, seven bytes for each of their letters
HEADER_DEPTH = 3
HEADER_MARKS = 10_000  # 64 layers make 320 tensors, each with 9 commas and brackets
METADATA = "__metadata__"
NO_SEAL = "0" * 64  # stands in a header where its seal will


class Stored(NamedTuple):
    """What a header says of a tensor; begin, end: in bytes, counted from the first tensor."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class TensorFile:
    """An open file whose header was read and found sound, and whose tensors were not read yet."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Stored]  # in the order of their bytes
    header: bytes  # with its length before it
    file: BufferedReader

    def read(self) -> dict[str, Floats]:
        """Read all tensors, which have to be float32. Raises ValueError if the file has become shorter."""
        self.file.seek(len(self.header))
        return {name: self._read_next(one.shape) for name, one in self.tensors.items()}

    def _read_next(self, shape: tuple[int, ...]) -> Floats:
        array = np.empty(shape, "<f4")
        if self.file.readinto(array.data) != array.nbytes:
            raise ValueError("it ends early")
        return array.astype(np.float32, copy=False)

    def is_sealed(self, seal: str, weights: Mapping[str, Floats]) -> bool:
        """Return whether these tensors, read from this file, and its header are those that `sealed` put the seal on."""
        digest = hashlib.sha256(self.header.replace(seal.encode(), NO_SEAL.encode(), 1))
        for name in self.tensors:
            digest.update(weights[name].astype("<f4", copy=False).data)
        return digest.hexdigest() == seal


def sealed(content: bytes) -> bytes:
    """Return a file's bytes with the sha256 of all of them in the place of NO_SEAL, which they hold in their header."""
    return content.replace(NO_SEAL.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file and read its header; its tensors fill the rest of the file without a gap.

    Raises OSError, and ValueError for what is no such file: the kind, the size and the header are looked at in this order.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        header = _read_header(file, status.st_size)
        parsed = parse_json(_text(header[LENGTH_BYTES:]), depth=HEADER_DEPTH, marks=HEADER_MARKS)
        if type(parsed) is not dict:
            raise ValueError("its header is not an object")
        metadata = _texts(parsed.pop(METADATA, {}))
        stored = sorted(((name, _stored(name, value)) for name, value in parsed.items()), key=lambda one: one[1][2:])
        _check_places(dict(stored), status.st_size - len(header))
        yield TensorFile(metadata, dict(stored), header, file)


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe would let its reader wait for a writer."""
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
        raise ValueError("its metadata are not texts")
    return value


def _stored(name: str, value: Any) -> Stored:
    """Check what a header says of a tensor by itself."""
    if type(value) is not dict or value.keys() != {"dtype", "shape", "data_offsets"} or type(value["dtype"]) is not str:
        raise ValueError(f"its header does not describe {name!r:.40} by dtype, shape and data_offsets")
    shape, offsets = _counts(name, value["shape"]), _counts(name, value["data_offsets"])
    if len(offsets) != 2:
        raise ValueError(f"its header gives {name!r:.40} {len(offsets)} offsets, expected 2")
    return Stored(value["dtype"], shape, *offsets)


def _counts(name: str, value: Any) -> tuple[int, ...]:
    if type(value) is not list or any(type(one) is not int or one < 0 for one in value):
        raise ValueError(f"its header gives {name!r:.40} a size or a place that is not one")
    return tuple(value)


def _check_places(tensors: Mapping[str, Stored], size: int) -> None:
    """Raise ValueError unless the tensors, in order, fill `size` bytes, each as many as its shape calls for."""
    place = 0
    for name, one in tensors.items():
        if one.begin != place or (one.dtype == "F32" and one.end - one.begin != 4 * math.prod(one.shape)):
            raise ValueError(f"{name!r:.40} does not lie where its header says")
        place = one.end
    if place != size:
        raise ValueError(f"its tensors have {size:,} bytes, its header calls for {place:,}")
