"""Read the texts that a user names: files, folders, standard input, shipped and downloaded corpora."""

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

from chargen.corpus.decoding import Decoding, NamedText, decode_file, describe_decodings
from chargen.corpus.downloads import download, is_address
from chargen.corpus.encodings import AUTO, check_encoding
from chargen.corpus.fetching import fetched_path, find_public
from chargen.corpus.folders import LeftOut, choose_names, list_folder
from chargen.corpus.formats.containers import Packed, damaged_file_errors, plain_name, unpacked, zip_names
from chargen.corpus.formats.magic import HEAD_BYTES, recognise
from chargen.corpus.formats.mail import MAIL_SUFFIXES, mail_turns
from chargen.corpus.formats.office import document_kind, document_text
from chargen.corpus.formats.parquet import PARQUET, read_parquet
from chargen.corpus.formats.rows import Rows
from chargen.corpus.formats.slack import export_files, read_export
from chargen.corpus.formats.tables import Columns, Labels, collect_rows, no_texts
from chargen.corpus.large_text import LargeText, Text, decoded_blocks, is_blank
from chargen.corpus.wording import MAX_NOTED_FILES, counted, example, listed
from chargen.errors import CorpusError, DamagedFileError, ReadingError
from chargen.shipped import nearest_shipped, shipped_folder

LARGE_BYTES = 1 << 26  # a file of this size or more is not read into memory
STDIN = "-"
ANY_COLUMNS = Columns()
PLAIN = "text"  # the format that reads a file unchanged


@dataclass(frozen=True)
class SourceText:
    """The text of one file.

    name: the path of a file within the given folder, the name of a given file, or the path if several given files have the same
    name. notes: what was assumed in reading it; a note on several texts is stored with the first of them. format_notes: what
    kind of file it is. folder: the name of the file's folder. rows: the separate texts of a file such as a table, whose
    concatenation is `text`. decoding: how the bytes were decoded. download: the address that it came from.
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
        """The separate texts of the file."""
        return [self.text] if self.rows is None else self.rows.spans.texts()


LabelOf = Callable[[SourceText], str | None]


def notes_about(sources: Iterable[SourceText]) -> list[str]:
    """Return the notes of texts; notes on the kind of file only for the first files of each suffix."""
    notes: list[str] = []
    endings, others = Counter[str](), list[str]()
    for source in sources:
        notes += source.notes
        ending = Path(plain_name(source.name)).suffix.lower()
        endings[ending] += bool(source.format_notes)
        if endings[ending] <= MAX_NOTED_FILES:
            notes += source.format_notes
        elif source.format_notes:
            others.append(source.name)
    if others:
        notes.append(f"{counted(len(others), 'more file')} read like the files with the same suffix above: {listed(others)}")
    return notes


class Copies:
    """Finds texts that are equal to an earlier one with the same label."""

    def __init__(self, sources: Iterable[SourceText], label_of: LabelOf | None) -> None:
        self._label_of = label_of
        self._names: dict[tuple[str | None, str], str] = {}
        for source in sources:
            self.original(source)

    def original(self, source: SourceText) -> str | None:
        """Return the name of the earlier text that this one is equal to; remember a new text and return None."""
        label = self._label_of(source) if self._label_of else None
        key = label, source.text if isinstance(source.text, str) else source.text.sha256()
        if key in self._names:
            return self._names[key]
        self._names[key] = source.name
        return None


class ReadingOptions(NamedTuple):
    """Options for reading files, see `read_sources`.

    usual: the encoding to use if the guessed one is doubtful.
    """

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
    r"""Read every given file, every matching file of a given folder, and standard input for "-".

    Line ends become "\n". With encoding None every byte is kept: bytes that are not UTF-8 become lone surrogates
    ("surrogateescape"), and line ends are unchanged. Without a pattern the .txt and .md files of a folder are read. Files of a
    folder that are blank, or copies of a text read before, are left out with a note; texts for which `label_of` returns
    different labels are not copies. With `everything`, hidden files and copies are read too. Unless `format` is "text",
    compressed files are decompressed, archives are read like folders, documents of other programs are converted to text, and of
    binary tables the `columns` are read.

    Raises CorpusError for a name that is not a file, folder, shipped or downloaded corpus, for a folder without text, for an
    archive that is damaged or unpacks beyond the limits, and for a given file that is empty or not text in `encoding`; raises
    ConfigError for a missing column of a binary table.
    """
    if encoding is not None:
        check_encoding(encoding)
    files, options = list(files), ReadingOptions(glob, everything, encoding, format, label_of, columns)
    alike = Counter(Path(name).name for name in files)
    sources: list[SourceText] = []
    for name in files:
        if name == STDIN:
            raw = sys.stdin.buffer.read()
            sources += _read_packed(Packed("stdin", io.BytesIO(raw), len(raw)), "", options, sources)
        elif is_address(name):
            sources += _fetched(name, options, sources)
        elif (path := _path(name)).is_dir():
            sources += _read_folder(path, options, sources)
        else:
            sources += _read(path, path.name if alike[path.name] < 2 else name, options, sources)
    if not sources:
        raise CorpusError("no text is given", hint="give a file, a folder, or - for standard input")
    return _with_notes(sources)


def read_texts(
    files: Iterable[str],
    *,
    glob: str | None = None,
    encoding: str | None = AUTO,
    format: str = "auto",
    columns: Columns = ANY_COLUMNS,
) -> list[SourceText]:
    """Read like `read_sources`, for callers without command line options: no error names one."""
    try:
        return read_sources(files, glob=glob, encoding=encoding, format=format, columns=columns)
    except ReadingError as error:
        raise CorpusError(error.message, hint="give a text file, if possible in UTF-8") from error


def _fetched(name: str, options: ReadingOptions, before: Iterable[SourceText]) -> list[SourceText]:
    """Return the text at an address, or the texts of an archive there, with a note on the path in the cache."""
    found = download(name)
    sources = _read(found.path, found.path.name, options, before)
    first = replace(sources[0], notes=(found.describe(), *sources[0].notes), download=found.describe())
    return [first, *sources[1:]]


def _path(name: str) -> Path:
    """Return the path of an existing file or folder, else of a shipped or downloaded corpus."""
    path = Path(name)
    try:
        name.encode()  # the name is stored in settings and models
        if path.exists():
            return path
    except UnicodeEncodeError:
        raise CorpusError(f"the name {name!r} is not UTF-8", hint="rename it, or pipe it in and give -") from None
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from error
    shipped = shipped_folder("corpora") / name
    if path.name == name and shipped.is_file():
        return shipped
    public = find_public(name)
    if public and (fetched := fetched_path(public)):
        return fetched
    if public:
        raise CorpusError(f"no such file: {name}", hint=f"download it first: chargen corpora get {public.name}")
    nearest = nearest_shipped("corpora", name)
    hint = f"did you mean the shipped corpus {nearest}?" if nearest else "give a text file, a folder, or - for standard input"
    raise CorpusError(f"no such file: {name}", hint=hint)


def _folder_name(path: Path) -> str:
    return _storable(path.resolve().parent.name)


def _storable(name: str) -> str:
    """Return a file name that can be encoded as UTF-8; other bytes become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


class _File(NamedTuple):
    """A file of a folder or an archive."""

    name: str
    size: int
    read: Callable[[ReadingOptions], list[SourceText]]


class _Collection:
    """Collects the texts of a folder or an archive.

    The notes of the first text report how many there are and what was left out.
    """

    def __init__(self, name: str, options: ReadingOptions, left_out: LeftOut, before: Iterable[SourceText]) -> None:
        self._name, self._options, self._left_out = name, options, left_out
        self._copies = Copies(before, options.label_of)
        self._read: list[list[SourceText]] = []  # the texts of each file, empty if it is left out

    def add(self, file: _File) -> None:
        """Read a file unless it is empty."""
        self._read.append([])
        if not file.size:
            self._left_out.blank.append(file.name)
            return
        try:
            self._read[-1] = file.read(self._options)
        except CorpusError as error:
            if self._options.encoding not in (AUTO, None):
                raise
            self._left_out.unreadable.append(error.message)

    def read_doubtful_again(self, files: Callable[[], Iterable[_File]]) -> None:
        """Read files of doubtful encoding again, in the encoding of most of the others; `files` returns all added files."""
        guesses = [[source.decoding.guess for source in found if source.decoding.guess] for found in self._read]
        clear = Counter(guess.encoding for found in guesses for guess in found if not guess.is_doubtful)
        doubtful = [any(guess.is_doubtful for guess in found) for found in guesses]
        if not clear or not any(doubtful):
            return
        options = self._options._replace(usual=clear.most_common(1)[0][0])
        for number, file in enumerate(files()):
            if doubtful[number]:
                with suppress(CorpusError):  # the encoding does not fit all of the text
                    self._read[number] = file.read(options)

    def finished(self) -> list[SourceText]:
        """Return the texts. Raises ReadingError if there are none."""
        sources = [source for found in self._read for source in found if self._is_kept(source)]
        if not sources:
            raise self._left_out.nothing_to_read(self._name, self._options.glob)
        notes = (counted(len(sources), "file"), *self._left_out.describe())
        sources[0] = replace(sources[0], notes=(*(f"{self._name}: {note}" for note in notes), *sources[0].notes))
        return sources

    def _is_kept(self, source: SourceText) -> bool:
        """Return whether a text is neither blank nor a copy; note the reason otherwise."""
        if self._options.everything:
            return True
        if is_blank(source.text):
            self._left_out.blank.append(source.name)
            return False
        original = self._copies.original(source)
        if original:
            self._left_out.copies.append(f"{source.name} (of {original})")
        return original is None


def _read_folder(folder: Path, options: ReadingOptions, before: Iterable[SourceText]) -> list[SourceText]:
    """Read the matching files of a folder."""
    listing = list_folder(folder, options.glob, everything=options.everything)
    left_out = LeftOut(unreadable=list(listing.unreadable), others=listing.others)
    names = [_storable(path.relative_to(folder).as_posix()) for path in listing.files]
    files = [
        _File(name, path.stat().st_size, partial(_read, path, name)) for path, name in zip(listing.files, names, strict=True)
    ]
    collection = _Collection(str(folder), options, left_out, before)
    for file in files:
        collection.add(file)
    collection.read_doubtful_again(lambda: files)
    return collection.finished()


def _read(path: Path, name: str, options: ReadingOptions, before: Iterable[SourceText] = ()) -> list[SourceText]:
    """Return the text of a file, or the texts of an archive."""
    try:
        size = path.stat().st_size
        with io.BytesIO(path.read_bytes()) if size < LARGE_BYTES else path.open("rb") as file:
            return _read_packed(Packed(name, file, size), _folder_name(path), options, before)
    except OSError as error:
        raise CorpusError(f"cannot read {name}: {error.strerror}") from error


def _read_packed(packed: Packed, folder: str, options: ReadingOptions, before: Iterable[SourceText]) -> list[SourceText]:
    """Return the text of a file, decompressed if needed, or the texts of an archive.

    With encoding None a damaged archive is read as bytes: it may only begin like an archive.
    """
    if options.format == PLAIN:
        return [replace(_decoded(packed, options), folder=folder)]
    try:
        return _read_through(packed, folder, options, before)
    except DamagedFileError as error:
        if options.encoding is not None:
            raise
        packed.file.seek(0)
        note = f"{error.message}; its bytes are read as they are"
        return [replace(_decoded(packed, options), folder=folder, format_notes=(note,))]


def _read_through(packed: Packed, folder: str, options: ReadingOptions, before: Iterable[SourceText]) -> list[SourceText]:
    if options.glob is None and (names := export_files(zip_names(packed.file))):
        return _slack_export(packed, names)
    left_out = LeftOut()
    collection = _Collection(packed.name, options, left_out, before)
    for one in unpacked(packed, partial(choose_names, glob=options.glob, others=left_out.others)):
        if not one.in_archive:
            return _member(one, folder, options)
        collection.add(_inner(packed, one))
    collection.read_doubtful_again(partial(_unpacked_again, packed, options))
    return collection.finished()


def _slack_export(packed: Packed, names: list[str]) -> list[SourceText]:
    """Return the messages of each channel."""
    channels, damaged = read_export((one.name, one.file.read()) for one in unpacked(packed, lambda _: names))
    if not channels:
        raise ReadingError(f"{packed.name} is a Slack export without messages", hint="give another export")
    notes = (f"a Slack export, {counted(len(channels), 'channel')}", *LeftOut(unreadable=damaged).describe())
    sources = [SourceText(f"{channel}.json", text, folder=channel) for channel, text in channels.items()]
    return [replace(sources[0], notes=tuple(f"{packed.name}: {note}" for note in notes)), *sources[1:]]


def _unpacked_again(packed: Packed, options: ReadingOptions) -> Iterator[_File]:
    packed.file.seek(0)
    return (_inner(packed, one) for one in unpacked(packed, partial(choose_names, glob=options.glob, others=Counter())))


def _inner(packed: Packed, one: Packed) -> _File:
    """Return a file of an archive; it can be read until the next one is unpacked."""
    folder = PurePosixPath(one.name).parent.name or Path(plain_name(packed.name)).name
    return _File(one.name, one.size, partial(_member, one, folder))


def _member(packed: Packed, folder: str, options: ReadingOptions) -> list[SourceText]:
    return [replace(_document(packed, options), folder=folder)]


def _document(packed: Packed, options: ReadingOptions) -> SourceText:
    """Return the text of a file that may be a document of another program."""
    head = packed.file.read(HEAD_BYTES)
    packed.file.seek(0)
    if options.format == "mail" or (options.format == AUTO and plain_name(packed.name).lower().endswith(MAIL_SUFFIXES)):
        return _letters(packed, by_speaker=options.columns.labels == Labels.SPEAKERS)
    named = plain_name(packed.name).lower().endswith(".parquet")
    if head.startswith(PARQUET) and (named or b"\0" in head):  # a text may begin like this too
        return _parquet(packed, options.columns)
    if kind := document_kind(packed, head):
        text = document_text(packed, kind)
        note = f"{packed.name}: {kind}, read as text, such as {example(text)}"
        return SourceText(packed.name, text, format_notes=(note,))
    if options.encoding is not None and (kind := recognise(head)):
        raise ReadingError(f"{packed.name} is {kind}, not text", hint="save it as plain text; --tokens byte reads any file")
    return _decoded(packed, options)


def _parquet(packed: Packed, columns: Columns) -> SourceText:
    """Return the rows of a Parquet table."""
    with damaged_file_errors(packed.name):
        table, size = read_parquet(packed)
        found = collect_rows(table, packed.name, columns, large=size >= LARGE_BYTES)
    if found is None:
        raise no_texts(table, packed.name)
    rows, notes = found
    return SourceText(packed.name, rows.text, format_notes=notes, rows=rows)


def _letters(packed: Packed, *, by_speaker: bool) -> SourceText:
    """Return the messages of a mail box, each a text; with `by_speaker` labelled by sender."""
    turns = (turn for turn in mail_turns(packed.file) if turn.text)
    labels = ((turn.text, (turn.speaker or "unknown") if by_speaker else None) for turn in turns)
    rows = Rows(labels, large=packed.size >= LARGE_BYTES)
    if not len(rows):
        raise ReadingError(f"{packed.name} has no messages with text", hint="--format text reads it as plain text")
    shown = f"{counted(len(rows), 'message')}, each a text without its quotations, such as {example(rows[0])}"
    note = f"{packed.name}: mail, {shown} (--format text reads the file as plain text)"
    return SourceText(packed.name, rows.text, format_notes=(note,), rows=rows)


def _decoded(packed: Packed, options: ReadingOptions) -> SourceText:
    name, file, large = packed.name, packed.file, packed.size >= LARGE_BYTES
    if not file.read(1):
        raise CorpusError(f"{name} is empty", hint="give a file with text in it")
    file.seek(0)
    if options.encoding is None:
        blocks = decoded_blocks(file, "utf-8", errors="surrogateescape")
        return SourceText(name, LargeText(blocks) if large else "".join(blocks))
    text, decoding = decode_file(file, encoding=options.encoding, name=name, large=large, usual=options.usual)
    return SourceText(name, text, decoding=decoding)


def _with_notes(sources: Sequence[SourceText]) -> list[SourceText]:
    """Return texts with notes on how their bytes were decoded."""
    notes = describe_decodings([NamedText(source.name, source.text, source.decoding) for source in sources])
    return [replace(one, notes=(*one.notes, *notes.get(number, ()))) for number, one in enumerate(sources)]
