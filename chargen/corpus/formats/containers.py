"""Read through compressed files and archives, with bounds on what they may unpack to.

Nothing is written but temporary files without a name, so that no name within an archive matters.
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

MOST_BYTES = 1 << 34  # that a file may unpack to
MOST_TIMES = 250  # its size that it may unpack to; text rarely packs to a tenth
ALWAYS_ALLOWED = 1 << 26  # bytes that anything may unpack to
MOST_FILES = 100_000  # in an archive
DEEPEST = 4  # containers within one another
MOST_HEADER_BYTES = 1 << 24  # in a tar
MEMORY = 1 << 28  # bytes that a decompressor may take
IN_MEMORY = 1 << 26  # bytes from which on unpacked files lie on the disk
BLOCK = 1 << 20

GZIP, BZIP2, XZ, ZSTANDARD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
ZIP, EMPTY_ZIP, TAR = b"PK\3\4", b"PK\5\6", b"ustar"
TAR_OFFSET = 257
SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".tgz", ".tbz2", ".txz", ".tar", ".zip")

_DAMAGED = (  # what libraries raise for damaged files
    *(NotImplementedError, OSError, EOFError, ValueError, OverflowError, LookupError, struct.error),
    *(zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile),
)


class Packed(NamedTuple):
    """A file to be read: its name, where its bytes are, and how many; in_archive: whether it is one of several in one file."""

    name: str
    file: IO[bytes]
    size: int
    in_archive: bool = False


# Chooses which of the names in an archive are read.
Choose = Callable[[list[str]], list[str]]


class Budget:
    """Counts what a file and all within it unpack to."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self._most = min(max(size * MOST_TIMES, ALWAYS_ALLOWED), MOST_BYTES)
        self._why = f"{MOST_TIMES} times its size" if size * MOST_TIMES < MOST_BYTES else f"{MOST_BYTES >> 30} GiB"
        self._spent = 0

    def spend(self, count: int) -> None:
        """Count bytes. Raises CorpusError for more than may be."""
        self._spent += count
        if self._spent > self._most:
            bound = self._why if self._most > ALWAYS_ALLOWED else f"{ALWAYS_ALLOWED >> 20} MiB"
            raise CorpusError(f"{self.name} unpacks to more than {bound}, which is not read", hint=_BY_HAND)


_BY_HAND = "unpack it by hand if you trust it, and give the text"


def unpacked(packed: Packed, choose: Choose, budget: Budget | None = None, depth: int = 0) -> Iterator[Packed]:
    """Yield the files that a file holds, each open until the next: itself unless it is compressed or an archive.

    choose: which files of an archive are read. Raises CorpusError for a container that is damaged, encrypted, of an unknown
    method or too deep within others, and for one that unpacks to more than the bounds.
    """
    head = packed.file.read(TAR_OFFSET + len(TAR))
    packed.file.seek(0)
    open_blocks = _decompressor(head, packed.name)
    is_zip, is_tar = head.startswith((ZIP, EMPTY_ZIP)) and not is_document(packed.file), head[TAR_OFFSET:] == TAR
    if not (open_blocks or is_zip or is_tar):
        yield packed
        return
    if depth >= DEEPEST:
        raise CorpusError(f"{packed.name} holds more than {DEEPEST} containers within one another", hint=_BY_HAND)
    budget = budget or Budget(packed.name, packed.size)
    if open_blocks:
        with damage_named(packed.name):
            inner = _copied(packed.name, open_blocks(packed.file), budget, in_archive=packed.in_archive)
        members: Iterable[Packed] = [inner]
    else:
        members = (_zip_members if is_zip else _tar_members)(packed, choose, budget)
    for member in members:
        with member.file:
            yield from unpacked(member, choose, budget, depth + 1)


def missing_package(name: str, what: str, extra: str) -> CorpusError:
    """Return the error for a file that a package is needed for; extra: which of chargen's extras installs it."""
    return CorpusError(f"{name} is {what}; pip install 'chargen[{extra}]' reads it")


def plain_name(name: str) -> str:
    """Return a file's name without the endings of containers.

    >>> plain_name("tweets.csv.gz"), plain_name("book.txt")
    ('tweets.csv', 'book.txt')
    """
    while name.lower().endswith(SUFFIXES):
        name = name[: name.rindex(".")]
    return name


def is_document(file: IO[bytes]) -> bool:
    """Tell whether a zip is a document, such as those of word processors, rather than an archive."""
    names = set(zip_names(file))
    return "mimetype" in names or "[Content_Types].xml" in names


def zip_names(file: IO[bytes]) -> list[str]:
    """Return the names in a zip, none for one that is damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return [one.filename for one in archive.infolist()[:MOST_FILES]]
    except _DAMAGED:
        return []
    finally:
        file.seek(0)


def _decompressor(head: bytes, name: str) -> Callable[[IO[bytes]], Iterable[bytes]] | None:
    """Return what yields the content of a compressed file, or None if it is not compressed."""
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
    """Yield what a file holds piece by piece."""
    while block := file.read(BLOCK):
        yield block


def _xz_blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of an xz file, of one stream or several, in bounded memory."""
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
    """Return a temporary copy of what was unpacked."""
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
    with damage_named(packed.name), zipfile.ZipFile(packed.file) as archive:
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
    with damage_named(packed.name), tarfile.open(fileobj=_Cautious(packed.file), mode="r:") as archive:  # type: ignore[call-overload]
        members: dict[str, tarfile.TarInfo] = {}
        for member in archive:
            _check_count(packed.name, len(members))
            if member.isreg():  # neither links nor devices
                members[member.name] = member
        for name in choose(list(members)):
            file = archive.extractfile(members[name])
            if file:
                yield _copied(shown_name(name), blocks_of(file), budget, in_archive=True)


class _Cautious:
    """A file that does not read more at once than a header of a tar should have; the content of files is read in blocks."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Read bytes, or raise ValueError for too many."""
        if not 0 <= size <= MOST_HEADER_BYTES:
            raise ValueError("a header is too long")
        return self._file.read(size)


def _check_count(name: str, count: int) -> None:
    if count > MOST_FILES:
        raise CorpusError(f"{name} holds more than {MOST_FILES:,} files", hint=_BY_HAND)


def shown_name(name: str) -> str:
    """Return the name of a file in an archive as one that can be shown and written: no folders above, no odd characters."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    return "".join(one if one.isprintable() else "\ufffd" for one in "/".join(parts)) or "unnamed"


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn what libraries raise for damaged files into DamagedFileError."""
    try:
        yield
    except _DAMAGED as error:
        why = str(error) or "it ends too early"
        raise DamagedFileError(f"{name} is damaged: {why[:1].lower()}{why[1:]}", hint="fetch or save it again") from error
