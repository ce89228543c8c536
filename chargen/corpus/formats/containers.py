"""Read compressed files and archives, with limits on their unpacked size.

Only temporary files without names are written, so no path within an archive can do harm.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple

from chargen.errors import CorpusError, DamagedFileError

MAX_BYTES = 1 << 34  # the unpacked size of a file
MAX_TIMES = 250  # the unpacked size relative to the packed one; text rarely packs to a tenth
ALWAYS_ALLOWED = 1 << 26  # bytes that any file may unpack to
MAX_FILES = 100_000  # in an archive
MAX_DEPTH = 4  # archives or compressed files within each other
MAX_HEADER_BYTES = 1 << 24  # in a tar
MEMORY = 1 << 28  # bytes of memory for a decompressor
IN_MEMORY = 1 << 26  # bytes; larger unpacked files are stored on disk
BLOCK = 1 << 20

GZIP, BZIP2, XZ, ZSTANDARD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
ZIP, EMPTY_ZIP, TAR = b"PK\3\4", b"PK\5\6", b"ustar"
TAR_OFFSET = 257
SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".tgz", ".tbz2", ".txz", ".tar", ".zip")

_DAMAGED = (  # raised by libraries for damaged files
    *(NotImplementedError, OSError, EOFError, ValueError, OverflowError, LookupError, struct.error),
    *(zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile),
)


class Packed(NamedTuple):
    """A file to read: its name, its open file and its size in bytes; in_archive: whether it is a member of an archive."""

    name: str
    file: IO[bytes]
    size: int
    in_archive: bool = False


# Returns which of the names in an archive are read.
Choose = Callable[[list[str]], list[str]]


class Budget:
    """Counts the unpacked bytes of a file and everything within it."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self._most = min(max(size * MAX_TIMES, ALWAYS_ALLOWED), MAX_BYTES)
        self._why = f"{MAX_TIMES} times its size" if size * MAX_TIMES < MAX_BYTES else f"{MAX_BYTES >> 30} GiB"
        self._spent = 0

    def spend(self, count: int) -> None:
        """Count bytes. Raises CorpusError beyond the limit."""
        self._spent += count
        if self._spent > self._most:
            bound = self._why if self._most > ALWAYS_ALLOWED else f"{ALWAYS_ALLOWED >> 20} MiB"
            raise CorpusError(f"{self.name} unpacks to more than {bound}, the limit", hint=_BY_HAND)


_BY_HAND = "unpack it by hand if you trust it, and give the text"


def unpacked(packed: Packed, choose: Choose, budget: Budget | None = None, depth: int = 0) -> Iterator[Packed]:
    """Yield the files within a file, each open until the next; the file itself if it is neither compressed nor an archive.

    choose: returns the files of an archive to read. Raises CorpusError for an archive that is damaged, encrypted, nested too
    deeply or compressed with an unknown method, and for one that unpacks beyond the limits.
    """
    head = packed.file.read(TAR_OFFSET + len(TAR))
    packed.file.seek(0)
    open_blocks = _decompressor(head, packed.name)
    is_zip, is_tar = head.startswith((ZIP, EMPTY_ZIP)) and not is_document(packed.file), head[TAR_OFFSET:] == TAR
    if not (open_blocks or is_zip or is_tar):
        yield packed
        return
    if depth >= MAX_DEPTH:
        raise CorpusError(f"{packed.name} nests more than {MAX_DEPTH} archives or compressed files", hint=_BY_HAND)
    budget = budget or Budget(packed.name, packed.size)
    if open_blocks:
        with damaged_file_errors(packed.name):
            inner = _copied(packed.name, open_blocks(packed.file), budget, in_archive=packed.in_archive)
        members: Iterable[Packed] = [inner]
    else:
        members = (_zip_members if is_zip else _tar_members)(packed, choose, budget)
    for member in members:
        with member.file:
            yield from unpacked(member, choose, budget, depth + 1)


def missing_package(name: str, what: str, extra: str) -> CorpusError:
    """Return the error for a file that needs a missing package; extra: the extra of chargen that installs it."""
    return CorpusError(f"{name} is {what}; pip install 'chargen[{extra}]' reads it")


def plain_name(name: str) -> str:
    """Return a file name without the suffixes of compressed files and archives.

    >>> plain_name("tweets.csv.gz"), plain_name("book.txt")
    ('tweets.csv', 'book.txt')
    """
    while name.lower().endswith(SUFFIXES):
        name = name[: name.rindex(".")]
    return name


def is_document(file: IO[bytes]) -> bool:
    """Return whether a zip is a document, for example of a word processor, rather than an archive."""
    names = set(zip_names(file))
    return "mimetype" in names or "[Content_Types].xml" in names


def zip_names(file: IO[bytes]) -> list[str]:
    """Return the names in a zip; none if it is damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return [one.filename for one in archive.infolist()[:MAX_FILES]]
    except _DAMAGED:
        return []
    finally:
        file.seek(0)


def _decompressor(head: bytes, name: str) -> Callable[[IO[bytes]], Iterable[bytes]] | None:
    """Return a function that yields the content of a compressed file, or None if it is not compressed."""
    if head.startswith(GZIP):
        return lambda file: blocks_of(gzip.GzipFile(fileobj=file, mode="rb"))
    if head.startswith(BZIP2) and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return lambda file: blocks_of(bz2.BZ2File(file))
    if head.startswith(XZ):
        return _xz_blocks
    if head.startswith(ZSTANDARD):
        if find_spec("zstandard") is None:
            raise missing_package(name, "a Zstandard file", "formats")
        return _zstandard_blocks
    return None


def _zstandard_blocks(file: IO[bytes]) -> Iterator[bytes]:
    from zstandard import ZstdDecompressor, ZstdError

    try:
        yield from blocks_of(ZstdDecompressor(max_window_size=MEMORY).stream_reader(file, read_across_frames=True))
    except ZstdError as error:
        raise ValueError(str(error).partition("\n")[0]) from error


def blocks_of(file: Any) -> Iterator[bytes]:
    """Yield the content of a file piece by piece."""
    while block := file.read(BLOCK):
        yield block


def _xz_blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of an xz file of one or several streams, in bounded memory."""
    data = file.read(BLOCK)
    while data:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
        while not decompressor.eof:
            yield decompressor.decompress(data, BLOCK)
            data = file.read(BLOCK) if decompressor.needs_input else b""
            if decompressor.needs_input and not data:
                raise EOFError("it ends too early")
        data = (decompressor.unused_data or file.read(BLOCK)).lstrip(b"\0")


def _copied(name: str, blocks: Iterable[bytes], budget: Budget, *, in_archive: bool) -> Packed:
    """Return a temporary copy of the unpacked content."""
    copy: Any = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # closed by `unpacked`
    try:
        for block in blocks:
            budget.spend(len(block))
            copy.write(block)
    except BaseException:
        copy.close()
        raise
    size = copy.tell()
    copy.seek(0)
    return Packed(name, copy, size, in_archive)


def _zip_members(packed: Packed, choose: Choose, budget: Budget) -> Iterator[Packed]:
    with damaged_file_errors(packed.name), zipfile.ZipFile(packed.file) as archive:
        members = {one.filename: one for one in archive.infolist() if not f"/{one.filename}".endswith("/")}
        _check_count(packed.name, len(members))
        for name in choose(list(members)):
            member = members[name]
            if member.flag_bits & 1:
                raise CorpusError(f"{packed.name} is encrypted", hint="unpack it by hand with its password, and give the text")
            try:
                with archive.open(member) as file:
                    copy = _copied(shown_name(name), blocks_of(file), budget, in_archive=True)
            except (NotImplementedError, RuntimeError) as error:
                raise CorpusError(f"{packed.name} cannot be unpacked: {error}", hint=_BY_HAND) from error
            yield copy


def _tar_members(packed: Packed, choose: Choose, budget: Budget) -> Iterator[Packed]:
    with damaged_file_errors(packed.name), tarfile.open(fileobj=_BoundedReader(packed.file), mode="r:") as archive:  # type: ignore[call-overload]
        members: dict[str, tarfile.TarInfo] = {}
        for member in archive:
            _check_count(packed.name, len(members))
            if member.isreg():  # neither links nor devices
                members[member.name] = member
        for name in choose(list(members)):
            file = archive.extractfile(members[name])
            if file:
                yield _copied(shown_name(name), blocks_of(file), budget, in_archive=True)


class _BoundedReader:
    """A file that refuses to read a block longer than a tar header may be; the content of members is read in small blocks."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Read bytes. Raises ValueError for too many."""
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise ValueError("a header is too long")
        return self._file.read(size)


def _check_count(name: str, count: int) -> None:
    if count > MAX_FILES:
        raise CorpusError(f"{name} holds more than {MAX_FILES:,} files", hint=_BY_HAND)


def shown_name(name: str) -> str:
    """Return a printable name of a file in an archive: without parent folders and control characters."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    return "".join(one if one.isprintable() else "\ufffd" for one in "/".join(parts)) or "unnamed"


@contextmanager
def damaged_file_errors(name: str) -> Iterator[None]:
    """Turn the errors of libraries for damaged files into DamagedFileError."""
    try:
        yield
    except _DAMAGED as error:
        why = str(error) or "it ends too early"
        raise DamagedFileError(f"{name} is damaged: {why[:1].lower()}{why[1:]}", hint="download or save it again") from error
