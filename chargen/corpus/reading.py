"""From what a user names to text: files, folders, standard input, shipped and fetched corpora."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from chargen.corpus.encodings import (
    AUTO,
    DETECTION_BYTES,
    decode,
    decoding,
    guess_encoding,
    not_text,
    refuse_surrogates,
    told_encoding,
)
from chargen.corpus.fetching import fetched_path, find_public
from chargen.corpus.large_text import LargeText, Text, decoded_blocks
from chargen.errors import CorpusError, ReadingError
from chargen.shipped import nearest_shipped, shipped_folder

LARGE_BYTES = 1 << 26  # from this size on a file is not read into memory
STDIN = "-"


@dataclass(frozen=True)
class SourceText:
    """One file's text. `note` says what was assumed in reading it, or is empty; `folder` is the name of the file's folder."""

    name: str
    text: Text
    note: str = ""
    folder: str = ""


def read_sources(files: Iterable[str], *, glob: str = "**/*.txt", encoding: str | None = AUTO) -> list[SourceText]:
    r"""Read every named file, every matching file of a named folder, and standard input for "-".

    Line ends become "\n". Without an encoding every byte is kept: what is not UTF-8 becomes lone surrogates, as
    "surrogateescape" makes them, and line ends stay. Raises CorpusError for a name that is neither a file, a folder nor a
    shipped or fetched corpus, a folder without a matching file, and bytes that are no text in `encoding`.
    """
    sources: list[SourceText] = []
    for name in files:
        if name == STDIN:
            sources.append(_decoded("stdin", sys.stdin.buffer.read(), encoding))
        else:
            sources.extend(replace(_read(path, encoding), folder=path.resolve().parent.name) for path in _paths(name, glob))
    if not sources:
        raise CorpusError("no text was named", hint="give a file, a folder, or - for standard input")
    return sources


def read_texts(files: Iterable[str], *, glob: str = "**/*.txt", encoding: str | None = AUTO) -> list[SourceText]:
    """Read as `read_sources` does, for those whose users have no options to say how: no error hints at one."""
    try:
        return read_sources(files, glob=glob, encoding=encoding)
    except ReadingError as error:
        raise CorpusError(error.message, hint="give a text file, in UTF-8 if it can be") from error


def _paths(name: str, glob: str) -> list[Path]:
    path = Path(name)
    try:
        name.encode()  # the name is written into settings and models
        if path.is_dir():
            return _folder_files(path, glob)
        if path.exists():
            return [path]
    except UnicodeEncodeError:
        raise CorpusError(f"the name {name!r} is not UTF-8", hint="rename it, or give a file through a pipe and -") from None
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from error
    shipped = shipped_folder("corpora") / name
    if path.name == name and shipped.is_file():
        return [shipped]
    public = find_public(name)
    if public and (fetched := fetched_path(public)):
        return [fetched]
    if public:
        raise CorpusError(f"no such file: {name}", hint=f"fetch it first: chargen corpora get {public.name}")
    nearest = nearest_shipped("corpora", name)
    hint = f"did you mean the shipped corpus {nearest}?" if nearest else "give a text file, a folder, or - for standard input"
    raise CorpusError(f"no such file: {name}", hint=hint)


def _folder_files(folder: Path, glob: str) -> list[Path]:
    try:
        found = sorted(path for path in folder.glob(glob) if path.is_file())
    except (ValueError, NotImplementedError) as error:
        raise ReadingError(f"--glob {glob!r} is not a pattern within a folder", hint="for example --glob '**/*.md'") from error
    if not found:
        raise ReadingError(f"no file in {folder} matches {glob}", hint="choose another pattern with --glob, such as '**/*.md'")
    return found


def _read(path: Path, encoding: str | None) -> SourceText:
    try:
        if path.stat().st_size < LARGE_BYTES:
            return _decoded(path.name, path.read_bytes(), encoding)
        with path.open("rb") as file:
            if encoding is None:
                return SourceText(path.name, LargeText(decoded_blocks(file, "utf-8", raw=True)))
            text, guessed = _decode_large(file, encoding, path.name)
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from error
    return SourceText(path.name, text, _guess_note(path.name, guessed))


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
    return SourceText(name, text.replace("\r\n", "\n").replace("\r", "\n"), _guess_note(name, guessed))


def _guess_note(name: str, guessed: str | None) -> str:
    return f"{name}: not UTF-8, read as {guessed} (--encoding forces another)" if guessed else ""
