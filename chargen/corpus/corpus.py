"""Read the configured files and cut them into the documents of a corpus."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from chargen.corpus.cutting import DOCUMENT, LINE, SHORT_ROW, choose_readings, describe_readings, main_reading
from chargen.corpus.documents import Document, Documents
from chargen.corpus.downloads import is_address, name_in_address
from chargen.corpus.encodings import AUTO
from chargen.corpus.formats.containers import plain_name
from chargen.corpus.formats.formatted import formatted
from chargen.corpus.formats.tables import wanted_columns
from chargen.corpus.large_text import Text, text_blocks
from chargen.corpus.licence import without_licences
from chargen.corpus.reading import SourceText, notes_about, read_sources
from chargen.corpus.shards import is_token_folder
from chargen.corpus.tokenized import Tokenized
from chargen.errors import ConfigError, CorpusError, ReadingError
from chargen.settings.schema import CorpusConfig


class CorpusFile(NamedTuple):
    """A file of a corpus: encoding, reading ("line", "document" or a separator) and number of documents."""

    name: str
    encoding: str
    reading: str
    documents: int


@dataclass(frozen=True)
class Corpus:
    """The documents of a training text.

    reading: "line" if each line of most of the text is a document, else "document". files: the files that the documents come
    from. notes: lines for the user. proportions: how often windows are drawn from each part of a mix. entries: whether each
    document is a separate text (the rows of a table, jokes between separators) rather than a part of a longer text. tokenized:
    the tokens, if they are read from files that `chargen tokenize` wrote; the documents then have lengths only.
    """

    name: str
    documents: Documents
    reading: str
    sha256: str
    notes: tuple[str, ...] = ()
    proportions: tuple[float, ...] = (1.0,)
    files: tuple[CorpusFile, ...] = ()
    entries: bool = False
    downloads: tuple[str, ...] = ()
    tokenized: Tokenized | None = None

    @property
    def file_readings(self) -> tuple[str, ...]:
        """How each file is read: "line", "document", or the separator between its documents."""
        return tuple(file.reading for file in self.files)

    @property
    def recorded(self) -> dict[str, Any]:
        """The settings that cut the same texts into the same documents again."""
        readings = set(self.file_readings)
        separator = None if len(readings) > 1 else next(iter(readings - {LINE, DOCUMENT}), None)
        file_readings = self.file_readings if len(readings) > 1 else ()
        return {"reading": self.reading, "separator": separator, "file_readings": file_readings}

    @property
    def unit(self) -> str:
        """The word for a document in messages: "line", "row" or "document"."""
        if self.entries and set(self.file_readings) <= {LINE, DOCUMENT}:
            return "row"
        return "line" if self.reading == LINE else "document"

    @property
    def texts(self) -> Iterator[Text]:
        """The documents without their labels."""
        return self.documents.texts()

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct labels, in alphabetical order."""
        return self.documents.label_names

    @property
    def num_characters(self) -> int:
        """Characters of all documents, without the line ends between documents."""
        return self.documents.num_characters

    @property
    def is_list(self) -> bool:
        """Whether the documents are short, separate texts, such as names or tweets."""
        short = self.num_characters <= SHORT_ROW * len(self.documents)
        return self.reading == "line" or (self.entries and short)

    @property
    def num_characters_in_memory(self) -> int:
        """Characters of the documents that are held in memory rather than in files."""
        return sum(int(group.lengths.sum()) for group in self.documents.groups if isinstance(group.text, str))


def load_corpus(config: CorpusConfig, *, stateful: bool = False) -> Corpus:
    """Read the configured files and cut them into documents.

    Raises the errors of `read_corpus` and `cut_corpus`.
    """
    return cut_corpus(config, read_corpus(config), stateful=stateful)


def cut_corpus(config: CorpusConfig, sources: Sequence[tuple[int, SourceText]], *, stateful: bool = False) -> Corpus:
    """Cut texts, as returned by `read_corpus`, into documents; `choose_readings` chooses how.

    Raises CorpusError if the text is too short to predict anything or has only one label, and the errors of `choose_readings`.
    """
    bare = [source for _, source in sources]
    notes = notes_about(bare)
    if config.strip_licence:
        bare, licence_notes = without_licences(bare)
        notes += licence_notes
    texts = choose_readings(bare, config, stateful=stateful)
    cut = [text.cut() for text in texts]
    notes += describe_readings(texts, cut)
    documents = Documents(
        replace(found.labelled(_label(source, config.label_by)), part=part)
        for (part, source), found in zip(sources, cut, strict=True)
    )
    if documents.num_characters < 2:
        what = "only blank lines" if not documents else "only one character"
        raise CorpusError(f"{sources[0][1].name} holds {what}, expected two characters or more", hint="give a longer text")
    main, parts = main_reading(texts), _parts(config)
    files = [name for names, _ in parts for name in names]
    corpus = Corpus(
        corpus_name(files),
        documents,
        LINE if main == LINE else DOCUMENT,
        digest_of([source for _, source in sources]),
        tuple(notes),
        files=tuple(
            CorpusFile(source.name, source.decoding.encoding, text.reading, len(found))
            for (_, source), text, found in zip(sources, texts, cut, strict=True)
        ),
        proportions=tuple(weight for _, weight in parts),
        downloads=tuple(source.download for _, source in sources if source.download),
        entries=main not in (LINE, DOCUMENT) or all(source.rows is not None for _, source in sources),
    )
    if config.label_by != "none" and len(corpus.labels) < 2:
        raise CorpusError(
            f"all documents have the label {corpus.labels[0]!r}, expected two labels or more",
            hint="give several files, or folders with --label-by folder",
        )
    return corpus


def read_corpus(config: CorpusConfig) -> list[tuple[int, SourceText]]:
    """Read the configured files, each with the number of its part of the mix.

    Raises CorpusError if a file cannot be read or holds tokens, and ConfigError for an invalid mix.
    """
    for file in (file for files, _ in _parts(config) for file in files if is_token_folder(file)):
        raise CorpusError(f"{file} holds tokens, not text", hint="only chargen train reads it; give text files")
    encoding = None if config.tokens == "byte" and config.encoding == AUTO else config.encoding
    sources = [
        (part, formatted(source, config))
        for part, (files, _) in enumerate(_parts(config))
        for source in read_sources(
            files,
            glob=config.glob,
            everything=config.folder_files == "all",
            encoding=encoding,
            format=config.format,
            label_of=partial(_label, label_by=config.label_by),
            columns=wanted_columns(config),
        )
    ]
    _check_columns(config, [source for _, source in sources])
    if config.label_by == "speaker":
        _check_speakers([source for _, source in sources])
    return sources


def _check_speakers(sources: Sequence[SourceText]) -> None:
    """Raise ReadingError for a text without speakers."""
    for source in sources:
        if source.rows is None:
            raise ReadingError(
                f"{source.name} names no speakers; chats, mail, subtitles with voices and tables do",
                hint="choose --label-by file or folder",
            )


def _check_columns(config: CorpusConfig, sources: Sequence[SourceText]) -> None:
    """Raise ReadingError for columns without a table, and for a label column if a file has no columns."""
    plain = [source.name for source in sources if source.rows is None]
    for flag, named, wrong in (
        ("--text-column", config.text_column, len(plain) == len(sources)),
        ("--label-column", config.label_column, bool(plain)),
    ):
        if named is not None and wrong:
            raise ReadingError(f"{plain[0]} is not a table, so it has no column {named}", hint=f"leave {flag} out")


def _parts(config: CorpusConfig) -> list[tuple[tuple[str, ...], float]]:
    """Return the files and the weight of each part of the corpus."""
    return _mixed(config) if config.mix else [(config.files, 1.0)]


def _label(source: SourceText, label_by: str) -> str | None:
    return {"none": None, "speaker": None, "file": Path(plain_name(source.name)).stem, "folder": source.folder}[label_by]


def _mixed(config: CorpusConfig) -> list[tuple[tuple[str, ...], float]]:
    """Return the files and the weight of each part of a mix.

    Raises ConfigError for a part that is not PATH:WEIGHT.
    """
    if config.files:
        raise ConfigError(
            f"files are given twice: {config.files[0]} and --mix {config.mix[0]}", hint="give each as --mix PATH:WEIGHT"
        )
    return [_mix_part(one) for one in config.mix]


def _mix_part(given: str) -> tuple[tuple[str, ...], float]:
    path, _, number = given.rpartition(":")
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not path or not 0 < weight < math.inf:
        raise ConfigError(f"--mix is {given!r}, expected PATH:WEIGHT with a weight above 0", hint="for example --mix a.txt:3")
    return (path,), weight


def count_characters(documents: Sequence[Document]) -> int:
    """Count the predicted characters; the end of a document counts as one."""
    if isinstance(documents, Documents):
        return documents.num_characters + int(documents.ends.sum())
    return sum(len(document.text) + document.ends for document in documents)


def corpus_name(files: Sequence[str]) -> str:
    """Return a short name for the run directory: the first file's name, and the number of further files."""
    path = Path(name_in_address(files[0])) if is_address(files[0]) else Path(files[0]).resolve()
    first = "stdin" if files[0] == "-" else path.stem
    return first if len(files) == 1 else f"{first}+{len(files) - 1}"


def digest_of(sources: Sequence[SourceText]) -> str:
    """Return the SHA-256 of all texts, each followed by a byte that never occurs in UTF-8."""
    digest = hashlib.sha256()
    for source in sources:
        for block in text_blocks(source.text):
            digest.update(block.encode("utf-8", "surrogatepass"))
        digest.update(b"\xff")
    return digest.hexdigest()
