"""Read what a user names as text: files, folders, standard input, shipped and fetched corpora."""

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from chargen.corpus.decoding import Decoding, Named, decode_file, describe_decodings
from chargen.corpus.downloads import download, is_address
from chargen.corpus.encodings import AUTO, check_encoding
from chargen.corpus.fetching import fetched_path, find_public
from chargen.corpus.folders import LeftOut, choose_names, list_folder
from chargen.corpus.formats.containers import Packed, damage_named, plain_name, unpacked, zip_names
from chargen.corpus.formats.magic import HEAD_BYTES, recognise
from chargen.corpus.formats.mail import MAIL_SUFFIXES, mail_turns
from chargen.corpus.formats.office import document_kind, document_text
from chargen.corpus.formats.parquet import PARQUET, read_parquet
from chargen.corpus.formats.rows import Rows
from chargen.corpus.formats.slack import export_files, read_export
from chargen.corpus.formats.tables import Columns, Labels, collect_rows, no_texts
from chargen.corpus.large_text import LargeText, Text, decoded_blocks, is_blank
from chargen.corpus.wording import MOST_TOLD, counted, example, listed
from chargen.errors import CorpusError, DamagedFileError, ReadingError
from chargen.shipped import nearest_shipped, shipped_folder

LARGE_BYTES = 1 << 26  # from this size on a file is not read into memory
STDIN = "-"
ANY_COLUMNS = Columns()
PLAIN = "text"  # the format of a file that is read as it is


@dataclass(frozen=True)
class SourceText:
    """One file's text.

    `name` is the path of a file within the named folder, the name of a named file, and of several of that name the path.
    `notes` say what was assumed in reading it; what concerns several texts is said once, in the notes of the first of them.
    `format_notes` say what kind of file it is. `folder` is the name of the file's folder. `rows`: the texts that it holds,
    where it holds several, as a table does; `text` is then all of them. `decoding`: how its bytes were read. `download`: from
    which address it came, for the user.
    """

    name: str
    text: Text
    notes: tuple[str, ...] = ()
    format_notes: tuple[str, ...] = ()
    folder: str = ""
    rows: Rows | None = None
    download: str = ""
    decoding: Decoding = field(default_factory=Decoding)

    @property
    def texts(self) -> Iterable[Text]:
        """The texts that it holds."""
        return [self.text] if self.rows is None else self.rows.stretches.texts()


LabelOf = Callable[[SourceText], str | None]


def notes_about(sources: Iterable[SourceText]) -> list[str]:
    """Return the notes of texts; those on what kind of file it is only for the first files of each ending."""
    notes: list[str] = []
    endings, others = Counter[str](), list[str]()
    for source in sources:
        notes += source.notes
        ending = Path(plain_name(source.name)).suffix.lower()
        endings[ending] += bool(source.format_notes)
        if endings[ending] <= MOST_TOLD:
            notes += source.format_notes
        elif source.format_notes:
            others.append(source.name)
    if others:
        notes.append(f"{counted(len(others), 'more file')} read like those of the same ending above: {listed(others)}")
    return notes


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


class How(NamedTuple):
    """How files are read, as `read_sources` takes it. `usual`: the encoding to choose where it is doubtful."""

    glob: str | None
    everything: bool
    encoding: str | None
    format: str
    label_of: LabelOf | None
    columns: Columns
    usual: str = ""


def read_sources(
    files: Iterable[str],
    *,
    glob: str | None = None,
    everything: bool = False,
    encoding: str | None = AUTO,
    format: str = "auto",
    label_of: LabelOf | None = None,
    columns: Columns = ANY_COLUMNS,
) -> list[SourceText]:
    r"""Read every named file, every matching file of a named folder, and standard input for "-".

    Line ends become "\n". Without an encoding every byte is kept: what is not UTF-8 becomes lone surrogates, as
    "surrogateescape" makes them, and line ends stay. Without a pattern the .txt and .md files of a folder are read. Files of a
    folder that hold no text, or a copy of a text that was read before, are left out with a note; `label_of` tells which texts
    have different labels, and are therefore no copies. With `everything`, hidden files and copies are read too. Compressed
    files are read through, archives as folders are, of the documents of other programs the text, and of binary tables the
    `columns` that are wanted, unless `format` is "text". Raises CorpusError for a name that is neither a file, a folder nor a
    shipped or fetched corpus, a folder without a text to read, a container that is damaged or beyond the bounds, and a named
    file that is empty or no text in `encoding`, and ConfigError for a column that a binary table does not have.
    """
    if encoding is not None:
        check_encoding(encoding)
    files, how = list(files), How(glob, everything, encoding, format, label_of, columns)
    alike = Counter(Path(name).name for name in files)
    sources: list[SourceText] = []
    for name in files:
        if name == STDIN:
            raw = sys.stdin.buffer.read()
            sources += _read_packed(Packed("stdin", io.BytesIO(raw), len(raw)), "", how, sources)
        elif is_address(name):
            sources += _fetched(name, how, sources)
        elif (path := _path(name)).is_dir():
            sources += _read_folder(path, how, sources)
        else:
            sources += _read(path, path.name if alike[path.name] < 2 else name, how, sources)
    if not sources:
        raise CorpusError("no text was named", hint="give a file, a folder, or - for standard input")
    return _with_notes(sources)


def read_texts(
    files: Iterable[str],
    *,
    glob: str | None = None,
    encoding: str | None = AUTO,
    format: str = "auto",
    columns: Columns = ANY_COLUMNS,
) -> list[SourceText]:
    """Read as `read_sources` does, for those whose users have no options to say how: no error hints at one."""
    try:
        return read_sources(files, glob=glob, encoding=encoding, format=format, columns=columns)
    except ReadingError as error:
        raise CorpusError(error.message, hint="give a text file, in UTF-8 if it can be") from error


def _fetched(name: str, how: How, before: Iterable[SourceText]) -> list[SourceText]:
    """Return the text at an address, or those of an archive there, with a note on where it is kept."""
    found = download(name)
    sources = _read(found.path, found.path.name, how, before)
    first = replace(sources[0], notes=(found.describe(), *sources[0].notes), download=found.describe())
    return [first, *sources[1:]]


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


class _File(NamedTuple):
    """A file of a folder or an archive."""

    name: str
    size: int
    read: Callable[[How], list[SourceText]]


class _Collection:
    """Collects the texts of a folder or an archive. The notes of the first tell how many there are and what was left out."""

    def __init__(self, place: str, how: How, left_out: LeftOut, before: Iterable[SourceText]) -> None:
        self._place, self._how, self._left_out = place, how, left_out
        self._copies = Copies(before, how.label_of)
        self._read: list[list[SourceText]] = []  # the texts of each file, none of one that is left out

    def add(self, file: _File) -> None:
        """Read a file, unless it is empty."""
        self._read.append([])
        if not file.size:
            self._left_out.blank.append(file.name)
            return
        try:
            self._read[-1] = file.read(self._how)
        except CorpusError as error:
            if self._how.encoding not in (AUTO, None):
                raise
            self._left_out.unreadable.append(error.message)

    def read_doubtful_again(self, files: Callable[[], Iterable[_File]]) -> None:
        """Read those of doubtful encoding in the one that most of the others have; files: returns all that were added."""
        guesses = [[source.decoding.guess for source in found if source.decoding.guess] for found in self._read]
        clear = Counter(guess.encoding for found in guesses for guess in found if not guess.is_doubtful)
        doubtful = [any(guess.is_doubtful for guess in found) for found in guesses]
        if not clear or not any(doubtful):
            return
        how = self._how._replace(usual=clear.most_common(1)[0][0])
        for number, file in enumerate(files()):
            if doubtful[number]:
                with suppress(CorpusError):  # where it does not fit all of the text
                    self._read[number] = file.read(how)

    def finished(self) -> list[SourceText]:
        """Return the texts. Raises ReadingError if there are none."""
        sources = [source for found in self._read for source in found if self._is_kept(source)]
        if not sources:
            raise self._left_out.nothing_to_read(self._place, self._how.glob)
        notes = (counted(len(sources), "file"), *self._left_out.describe())
        sources[0] = replace(sources[0], notes=(*(f"{self._place}: {note}" for note in notes), *sources[0].notes))
        return sources

    def _is_kept(self, source: SourceText) -> bool:
        """Tell whether a text is neither blank nor a copy; note the one that is."""
        if self._how.everything:
            return True
        if is_blank(source.text):
            self._left_out.blank.append(source.name)
            return False
        original = self._copies.original(source)
        if original:
            self._left_out.copies.append(f"{source.name} (of {original})")
        return original is None


def _read_folder(folder: Path, how: How, before: Iterable[SourceText]) -> list[SourceText]:
    """Read the matching files of a folder."""
    listing = list_folder(folder, how.glob, everything=how.everything)
    left_out = LeftOut(unreadable=list(listing.unreadable), others=listing.others)
    names = [_storable(path.relative_to(folder).as_posix()) for path in listing.files]
    files = [
        _File(name, path.stat().st_size, partial(_read, path, name)) for path, name in zip(listing.files, names, strict=True)
    ]
    collection = _Collection(str(folder), how, left_out, before)
    for file in files:
        collection.add(file)
    collection.read_doubtful_again(lambda: files)
    return collection.finished()


def _read(path: Path, name: str, how: How, before: Iterable[SourceText] = ()) -> list[SourceText]:
    """Return the text of a file, or those of an archive."""
    try:
        size = path.stat().st_size
        with io.BytesIO(path.read_bytes()) if size < LARGE_BYTES else path.open("rb") as file:
            return _read_packed(Packed(name, file, size), _folder_name(path), how, before)
    except OSError as error:
        raise CorpusError(f"cannot read {name}: {error.strerror}") from error


def _read_packed(packed: Packed, folder: str, how: How, before: Iterable[SourceText]) -> list[SourceText]:
    """Return the text of a file, read through what it is compressed by, or those of an archive.

    What is damaged is read as the bytes that it is, if bytes are wanted: it may only begin like a container.
    """
    if how.format == PLAIN:
        return [replace(_decoded(packed, how), folder=folder)]
    try:
        return _read_through(packed, folder, how, before)
    except DamagedFileError as error:
        if how.encoding is not None:
            raise
        packed.file.seek(0)
        note = f"{error.message}; its bytes are read as they are"
        return [replace(_decoded(packed, how), folder=folder, format_notes=(note,))]


def _read_through(packed: Packed, folder: str, how: How, before: Iterable[SourceText]) -> list[SourceText]:
    if how.glob is None and (names := export_files(zip_names(packed.file))):
        return _slack_export(packed, names)
    left_out = LeftOut()
    collection = _Collection(packed.name, how, left_out, before)
    for one in unpacked(packed, partial(choose_names, glob=how.glob, others=left_out.others)):
        if not one.in_archive:
            return _member(one, folder, how)
        collection.add(_inner(packed, one))
    collection.read_doubtful_again(partial(_unpacked_again, packed, how))
    return collection.finished()


def _slack_export(packed: Packed, names: list[str]) -> list[SourceText]:
    """Return the messages of each channel."""
    channels, damaged = read_export((one.name, one.file.read()) for one in unpacked(packed, lambda _: names))
    if not channels:
        raise ReadingError(f"{packed.name} is a Slack export without messages", hint="give another export")
    notes = (f"a Slack export, {counted(len(channels), 'channel')}", *LeftOut(unreadable=damaged).describe())
    sources = [SourceText(f"{channel}.json", text, folder=channel) for channel, text in channels.items()]
    return [replace(sources[0], notes=tuple(f"{packed.name}: {note}" for note in notes)), *sources[1:]]


def _unpacked_again(packed: Packed, how: How) -> Iterator[_File]:
    packed.file.seek(0)
    return (_inner(packed, one) for one in unpacked(packed, partial(choose_names, glob=how.glob, others=Counter())))


def _inner(packed: Packed, one: Packed) -> _File:
    """Return a file of an archive, which can be read until the next one is unpacked."""
    folder = PurePosixPath(one.name).parent.name or Path(plain_name(packed.name)).name
    return _File(one.name, one.size, partial(_member, one, folder))


def _member(packed: Packed, folder: str, how: How) -> list[SourceText]:
    return [replace(_document(packed, how), folder=folder)]


def _document(packed: Packed, how: How) -> SourceText:
    """Return the text of a file that is neither compressed nor an archive, but may be a document of another program."""
    head = packed.file.read(HEAD_BYTES)
    packed.file.seek(0)
    if how.format == "mail" or (how.format == AUTO and plain_name(packed.name).lower().endswith(MAIL_SUFFIXES)):
        return _letters(packed, by_speaker=how.columns.labels == Labels.SPEAKERS)
    named = plain_name(packed.name).lower().endswith(".parquet")
    if head.startswith(PARQUET) and (named or b"\0" in head):  # a text may begin so too
        return _parquet(packed, how.columns)
    if kind := document_kind(packed, head):
        text = document_text(packed, kind)
        note = f"{packed.name}: {kind}, of which the text is read, such as {example(text)}"
        return SourceText(packed.name, text, format_notes=(note,))
    if how.encoding is not None and (kind := recognise(head)):
        raise ReadingError(f"{packed.name} is {kind}, not text", hint="save it as plain text; --tokens byte takes any file")
    return _decoded(packed, how)


def _parquet(packed: Packed, columns: Columns) -> SourceText:
    """Return the rows of a Parquet table."""
    with damage_named(packed.name):
        table, size = read_parquet(packed)
        found = collect_rows(table, packed.name, columns, large=size >= LARGE_BYTES)
    if found is None:
        raise no_texts(table, packed.name)
    rows, notes = found
    return SourceText(packed.name, rows.text, format_notes=notes, rows=rows)


def _letters(packed: Packed, *, by_speaker: bool) -> SourceText:
    """Return the letters of a mail box, each a text, and if asked for labelled by who wrote it."""
    turns = (turn for turn in mail_turns(packed.file) if turn.text)
    labels = ((turn.text, (turn.speaker or "unknown") if by_speaker else None) for turn in turns)
    rows = Rows(labels, large=packed.size >= LARGE_BYTES)
    if not len(rows):
        raise ReadingError(f"{packed.name} has no letters with text", hint="--format text reads it as plain text")
    shown = f"{counted(len(rows), 'letter')}, each a text without its quotations, such as {example(rows[0])}"
    note = f"{packed.name}: mail, {shown} (--format text reads the file as plain text)"
    return SourceText(packed.name, rows.text, format_notes=(note,), rows=rows)


def _decoded(packed: Packed, how: How) -> SourceText:
    name, file, large = packed.name, packed.file, packed.size >= LARGE_BYTES
    if not file.read(1):
        raise CorpusError(f"{name} is empty", hint="give a file with text in it")
    file.seek(0)
    if how.encoding is None:
        blocks = decoded_blocks(file, "utf-8", errors="surrogateescape")
        return SourceText(name, LargeText(blocks) if large else "".join(blocks))
    text, decoding = decode_file(file, encoding=how.encoding, name=name, large=large, usual=how.usual)
    return SourceText(name, text, decoding=decoding)


def _with_notes(sources: Sequence[SourceText]) -> list[SourceText]:
    """Return texts with notes on how their bytes were read."""
    notes = describe_decodings([Named(source.name, source.text, source.decoding) for source in sources])
    return [replace(one, notes=(*one.notes, *notes.get(number, ()))) for number, one in enumerate(sources)]
