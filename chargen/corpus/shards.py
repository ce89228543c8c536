"""Store token ids in sharded files with checksums, and read windows of them without holding a shard in memory."""

import hashlib
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.downloads import download, is_address
from chargen.corpus.large_text import StoredIds
from chargen.corpus.vocabulary import Ids
from chargen.errors import CorpusError, TrainingError

FACTS = "tokens.json"  # beside the shards
SHARD_TOKENS = 1 << 26  # in a file, so that a process downloads little that it does not read
AGAIN = "copy the folder again, or run chargen tokenize again"


def is_token_folder(file: str) -> bool:
    """Return whether a file that a user gave is a folder of tokens, or the address or the path of its tokens.json."""
    if file.endswith(f"/{FACTS}") or file == FACTS:
        return True
    if is_address(file):
        return False
    with suppress(OSError, ValueError):  # no name of a file
        return Path(file, FACTS).is_file()
    return False


class Shard(NamedTuple):
    """A file of token ids in a folder of tokens."""

    name: str
    tokens: int
    sha256: str


def write_shards(folder: Path, prefix: str, blocks: Iterable[Ids], dtype: np.dtype[np.unsignedinteger]) -> list[Shard]:
    """Write ids into new files of `SHARD_TOKENS` each, and flush them to disk. Raises OSError."""
    shards: list[Shard] = []
    for number, pieces in enumerate(_cut(blocks)):
        name, digest, tokens = f"{prefix}-{number:05d}.ids", hashlib.sha256(), 0
        with (folder / name).open("xb") as file:
            for ids in pieces:
                data = np.ascontiguousarray(ids, dtype).data
                file.write(data)
                digest.update(data)
                tokens += len(ids)
            file.flush()
            os.fsync(file.fileno())
        shards.append(Shard(name, tokens, digest.hexdigest()))
    return shards


def _cut(blocks: Iterable[Ids]) -> Iterator[Iterator[Ids]]:
    """Yield the pieces of each shard; each iterator must be used up before the next."""
    waiting = iter(blocks)
    rest = next(waiting, None)

    def pieces() -> Iterator[Ids]:
        nonlocal rest
        room = SHARD_TOKENS
        while rest is not None and room:
            piece, rest = rest[:room], rest[room:]
            room -= len(piece)
            yield piece
            if not len(rest):
                rest = next(waiting, None)

    while rest is not None:
        yield pieces()


class ShardedIds(StoredIds):
    """The token ids of the shards of a folder, or of an address, one after another.

    A shard is opened, checked and, at an address, downloaded when it is first read. Reads with `pread`, see `large_text`.
    """

    def __init__(self, folder: str, shards: Sequence[Shard], dtype: np.dtype[np.unsignedinteger], *, vocab_size: int) -> None:
        """Read the shards of a folder. Raises CorpusError for a missing shard, and for one of another size."""
        self.dtype = dtype
        self._folder, self._shards, self._vocab_size = folder, shards, vocab_size
        self._stops = np.array([*accumulate(shard.tokens for shard in shards)], np.int64)
        self._opened: dict[int, int] = {}  # file descriptors
        weakref.finalize(self, _close, self._opened)
        if not is_address(folder):
            for shard in shards:
                self._check_size(shard)

    def _check_size(self, shard: Shard) -> None:
        path = Path(self._folder, shard.name)
        if not path.is_file():
            raise CorpusError(f"no such file: {path}, a shard of the tokens", hint=AGAIN)
        size, expected = path.stat().st_size, shard.tokens * self.dtype.itemsize
        if size != expected:
            raise CorpusError(f"{path} has {size:,} bytes, expected {expected:,}", hint=AGAIN)

    def __len__(self) -> int:
        return int(self._stops[-1]) if len(self._stops) else 0

    def _read(self, start: int, stop: int) -> Ids:
        parts = []
        number = int(np.searchsorted(self._stops, start, side="right"))
        while start < stop:
            first = int(self._stops[number]) - self._shards[number].tokens
            end = min(stop, int(self._stops[number]))
            parts.append(self._read_shard(number, start - first, end - first))
            start, number = end, number + 1
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, self.dtype), *parts])

    def _read_shard(self, number: int, start: int, stop: int) -> Ids:
        size = self.dtype.itemsize
        data = os.pread(self._descriptor(number), (stop - start) * size, start * size)
        ids: npt.NDArray[np.unsignedinteger] = np.frombuffer(data, self.dtype)
        if len(ids) < stop - start or (ids >= self._vocab_size).any():
            raise TrainingError(f"{self._folder}/{self._shards[number].name} has changed during training", hint=AGAIN)
        return ids

    def _descriptor(self, number: int) -> int:
        """Return the open file of a shard; it is checked at the first call."""
        if number not in self._opened:
            shard = self._shards[number]
            self._opened[number] = os.open(_checked(self._folder, shard), os.O_RDONLY)
        return self._opened[number]


def _close(opened: dict[int, int]) -> None:
    for descriptor in opened.values():
        os.close(descriptor)


def _checked(folder: str, shard: Shard) -> Path:
    """Return the path of a shard, downloaded from an address. Raises CorpusError if its checksum is wrong."""
    if is_address(folder):
        return download(f"{folder}/{shard.name}#sha256={shard.sha256}").path
    path = Path(folder, shard.name)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != shard.sha256:
        raise CorpusError(f"{path} is damaged: its sha256 is {found[:12]}..., expected {shard.sha256[:12]}...", hint=AGAIN)
    return path
