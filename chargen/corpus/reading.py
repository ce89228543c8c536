"""Read what a user names as text: files, folders, standard input, shipped and fetched corpora."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from chargen.corpus.encodings import (
    AUTO,
    DETECTION_BYTES,
    check_encoding,
    decode,
    decoding,
    guess_encoding,
    not_text,
    refuse_surrogates,
    told_encoding,
)
from chargen.corpus.fetching import fetched_path, find_public
from chargen.corpus.folders import LeftOut, counted, list_folder
from chargen.corpus.formats.rows import Rows
from chargen.corpus.large_text import LargeText, Text, decoded_blocks, is_blank
from chargen.errors import CorpusError, ReadingError
from chargen.shipped import nearest_shipped, shipped_folder

LARGE_BYTES = 1 << 26  # from this size on a file is not read into memory
STDIN = "-"


@dataclass(frozen=True)
class SourceText:
    """One file's text.

    `name` is the path of a file within the named folder, the name of a named file, and of several of that name the path.
    `notes` say what was assumed in reading it; what concerns several texts is said once, in the notes of the first of them.
    `folder` is the name of the file's folder. `rows`: the texts that it holds, where it holds several, as a table does; `text`
    is then all of them.
    """

    name: str
    text: Text
    notes: tuple[str, ...] = ()
    folder: str = ""
    rows: Rows | None = None

    @property
    def texts(self) -> Iterable[tuple[Text, str | None]]:
        """The texts that it holds, each with the label that it has there, if it has one."""
        return [(self.text, None)] if self.rows is None else self.rows


LabelOf = Callable[[SourceText], str | None]


class Copies:
    """Finds texts that are the same as an earlier one of the same label."""

    def __init__(self, sources: Iterable[SourceText], label_of: LabelOf | None) -> None:
        self._label_of = label_of
        self._names: dict[tuple[str | None, str], str] = {}
        for source in sources:
            self.original(source)

    def original(self, source: SourceText) -> str | None:
        """Return the name of the text that this one is a copy of; remember a text that is none."""
        label = self._label_of(source) if self._label_of else None
        key = label, source.text if isinstance(source.text, str) else source.text.sha256()
        if key in self._names:
            return self._names[key]
        self._names[key] = source.name
        return None


def read_sources(
    files: Iterable[str], *, glob: str | None = None, encoding: str | None = AUTO, label_of: LabelOf | None = None
) -> list[SourceText]:
    r"""Read every named file, every matching file of a named folder, and standard input for "-".

    Line ends become "\n". Without an encoding every byte is kept: what is not UTF-8 becomes lone surrogates, as
    "surrogateescape" makes them, and line ends stay. Without a pattern the .txt and .md files of a folder are read. Files of a
    folder that hold no text, or a copy of a text that was read before, are left out with a note; `label_of` tells which texts
    have different labels, and are therefore no copies.
    Raises CorpusError for a name that is neither a file, a folder nor a shipped or fetched corpus, a folder without a text to
    read, and a named file that is empty or no text in `encoding`.
    """
    if encoding is not None:
        check_encoding(encoding)
    files = list(files)
    alike = Counter(Path(name).name for name in files)
    sources: list[SourceText] = []
    for name in files:
        if name == STDIN:
            sources.append(_decoded("stdin", sys.stdin.buffer.read(), encoding))
        elif (path := _path(name)).is_dir():
            sources += _read_folder(path, glob, encoding, Copies(sources, label_of))
        else:
            source = _read(path, path.name if alike[path.name] < 2 else name, encoding)
            sources.append(replace(source, folder=_folder_name(path)))
    if not sources:
        raise CorpusError("no text was named", hint="give a file, a folder, or - for standard input")
    return sources


def read_texts(files: Iterable[str], *, glob: str | None = None, encoding: str | None = AUTO) -> list[SourceText]:
    """Read as `read_sources` does, for those whose users have no options to say how: no error hints at one."""
    try:
        return read_sources(files, glob=glob, encoding=encoding)
    except ReadingError as error:
        raise CorpusError(error.message, hint="give a text file, in UTF-8 if it can be") from error


def _path(name: str) -> Path:
    """Return the file or folder of a name: one that is there, else a shipped or fetched corpus."""
    path = Path(name)
    try:
        name.encode()  # the name is written into settings and models
        if path.exists():
            return path
    except UnicodeEncodeError:
        raise CorpusError(f"the name {name!r} is not UTF-8", hint="rename it, or give a file through a pipe and -") from None
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from error
    shipped = shipped_folder("corpora") / name
    if path.name == name and shipped.is_file():
        return shipped
    public = find_public(name)
    if public and (fetched := fetched_path(public)):
        return fetched
    if public:
        raise CorpusError(f"no such file: {name}", hint=f"fetch it first: chargen corpora get {public.name}")
    nearest = nearest_shipped("corpora", name)
    hint = f"did you mean the shipped corpus {nearest}?" if nearest else "give a text file, a folder, or - for standard input"
    raise CorpusError(f"no such file: {name}", hint=hint)


def _folder_name(path: Path) -> str:
    return _storable(path.resolve().parent.name)


def _storable(name: str) -> str:
    """Return a file's name as text that can be written as UTF-8: its other bytes become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def _read_folder(folder: Path, glob: str | None, encoding: str | None, copies: Copies) -> list[SourceText]:
    """Read the matching files of a folder. The notes of the first text tell how many there are and what was left out."""
    listing = list_folder(folder, glob)
    left_out = LeftOut(unreadable=list(listing.unreadable), others=listing.others)
    sources: list[SourceText] = []
    for path in listing.files:
        name = _storable(path.relative_to(folder).as_posix())
        try:
            if not path.stat().st_size:
                left_out.blank.append(name)
                continue
            source = replace(_read(path, name, encoding), folder=_folder_name(path))
        except CorpusError as error:
            if encoding not in (AUTO, None):
                raise
            left_out.unreadable.append(error.message)
            continue
        if is_blank(source.text):
            left_out.blank.append(name)
        elif original := copies.original(source):
            left_out.copies.append(f"{name} (of {original})")
        else:
            sources.append(source)
    if not sources:
        raise left_out.nothing_to_read(folder, glob)
    notes = (counted(len(sources), "file"), *left_out.describe())
    sources[0] = replace(sources[0], notes=(*(f"{folder}: {note}" for note in notes), *sources[0].notes))
    return sources


def _read(path: Path, name: str, encoding: str | None) -> SourceText:
    try:
        if path.stat().st_size < LARGE_BYTES:
            return _decoded(name, path.read_bytes(), encoding)
        with path.open("rb") as file:
            if encoding is None:
                return SourceText(name, LargeText(decoded_blocks(file, "utf-8", raw=True)))
            text, guessed = _decode_large(file, encoding, name)
    except OSError as error:
        raise CorpusError(f"cannot read {name}: {error.strerror}") from error
    return SourceText(name, text, _guess_notes(name, guessed))


def _decode_large(file: IO[bytes], encoding: str, name: str) -> tuple[LargeText, str]:
    """Read a file piece by piece, as `decode` decodes bytes; what it is, is guessed from a part of it."""
    sample = file.read(DETECTION_BYTES)
    chosen, guessed = told_encoding(sample, encoding, name)
    if chosen is None:
        try:
            text = _from_start(file, "utf-8")
        except UnicodeDecodeError as error:
            file.seek(max(0, error.start - DETECTION_BYTES // 2))
            chosen = guessed = guess_encoding(file.read(DETECTION_BYTES), error, name)
    if chosen is not None:
        with decoding(name, chosen):
            text = _from_start(file, chosen)
    if encoding == AUTO and b"\0" not in sample and "\0" in text.characters:
        raise not_text(name, "some of its bytes are zero")
    refuse_surrogates(name, "".join(text.characters))
    return text, guessed


def _from_start(file: IO[bytes], encoding: str) -> LargeText:
    file.seek(0)
    return LargeText(decoded_blocks(file, encoding))


def _decoded(name: str, raw: bytes, encoding: str | None) -> SourceText:
    if not raw:
        raise CorpusError(f"{name} is empty", hint="give a file with text in it")
    if encoding is None:
        return SourceText(name, raw.decode("utf-8", "surrogateescape"))
    text, guessed = decode(raw, encoding=encoding, name=name)
    return SourceText(name, text.replace("\r\n", "\n").replace("\r", "\n"), _guess_notes(name, guessed))


def _guess_notes(name: str, guessed: str) -> tuple[str, ...]:
    return (f"{name}: not UTF-8, read as {guessed} (--encoding forces another)",) if guessed else ()
