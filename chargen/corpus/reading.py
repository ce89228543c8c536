"""From what a user names to text: files, folders, standard input, shipped corpora, encodings."""

import codecs
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from chargen.corpus.large_text import LargeText, Text, decoded_blocks
from chargen.errors import CorpusError
from chargen.shipped import nearest_shipped, shipped_folder

DETECTION_BYTES = 1 << 20  # as much as the encoding is guessed from; the whole text is still decoded strictly
LARGE_BYTES = 1 << 26  # from this size on a file is not read into memory
STDIN = "-"
RAW_BYTES = "raw bytes"  # the encoding of a file that is taken byte by byte: UTF-8, the rest as lone surrogates, no line ends

# The encodings in which text files are still met; charset-normalizer knows many more, which only win by accident.
_MET_ENCODINGS = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("iso8859_2", "koi8_r", "cp850", "mac_roman", "gb18030", "big5", "cp932", "euc_jp", "cp949"),
)
_WESTERN = "cp1252"  # by far the most common of them, and hard to tell from its neighbours in a text with few accents
_WESTERN_MAX_CHAOS = 0.1

# The longer marks first: the UTF-32 one begins with the UTF-16 one.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class SourceText:
    """One file's text. `note` says what was assumed in reading it, or is empty; `folder` is the name of the file's folder."""

    name: str
    text: Text
    note: str = ""
    folder: str = ""


def read_sources(files: Iterable[str], *, glob: str = "**/*.txt", encoding: str = "auto") -> list[SourceText]:
    r"""Read every named file, every matching file of a named folder, and standard input for "-".

    Line ends become "\n". Raises CorpusError for a name that is neither a file, a folder nor a shipped corpus, a folder
    without a matching file, and bytes that are no text in `encoding`.
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


def _paths(name: str, glob: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return _folder_files(path, glob)
    if path.exists():
        return [path]
    shipped = shipped_folder("corpora") / name
    if path.name == name and shipped.is_file():
        return [shipped]
    nearest = nearest_shipped("corpora", name)
    hint = f"did you mean the shipped corpus {nearest}?" if nearest else "give a text file, a folder, or - for standard input"
    raise CorpusError(f"no such file: {name}", hint=hint)


def _folder_files(folder: Path, glob: str) -> list[Path]:
    try:
        found = sorted(path for path in folder.glob(glob) if path.is_file())
    except (ValueError, NotImplementedError) as error:
        raise CorpusError(f"--glob {glob!r} is not a pattern within a folder", hint="for example --glob '**/*.md'") from error
    if not found:
        raise CorpusError(f"no file in {folder} matches {glob}", hint="choose another pattern with --glob, such as '**/*.md'")
    return found


def _read(path: Path, encoding: str) -> SourceText:
    try:
        if path.stat().st_size >= LARGE_BYTES:
            return _read_large_bytes(path) if encoding == RAW_BYTES else _read_large(path, encoding)
        return _decoded(path.name, path.read_bytes(), encoding)
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from error


def _read_large(path: Path, encoding: str) -> SourceText:
    """Read a file piece by piece, as `decode` decodes a small one; what its bytes are is guessed from a part of them."""
    with path.open("rb") as file:
        sample = file.read(DETECTION_BYTES)
        chosen = _marked_encoding(sample) if encoding == "auto" else encoding
        guessed = _guess_wide_encoding(sample) if chosen is None and b"\0" in sample else None
        try:
            file.seek(0)
            text = LargeText(decoded_blocks(file, chosen or guessed or "utf-8"))
        except UnicodeDecodeError as error:
            if chosen or guessed:
                raise CorpusError(
                    f"{path.name} is not {chosen or guessed} text", hint="--encoding NAME forces another"
                ) from error
            file.seek(max(0, file.tell() - DETECTION_BYTES // 2))
            guessed = _guess_encoding(file.read(DETECTION_BYTES))
            if guessed is None:
                raise _not_text(path.name) from error
            file.seek(0)
            text = LargeText(decoded_blocks(file, guessed))
        except LookupError as error:
            raise _unknown_encoding(encoding) from error
    return SourceText(path.name, text, _guess_note(path.name, guessed))


def _read_large_bytes(path: Path) -> SourceText:
    with path.open("rb") as file:
        return SourceText(path.name, LargeText(decoded_blocks(file, "utf-8", raw=True)))


def _decoded(name: str, raw: bytes, encoding: str) -> SourceText:
    if not raw:
        raise CorpusError(f"{name} is empty", hint="give a file with text in it")
    if encoding == RAW_BYTES:
        return SourceText(name, raw.decode("utf-8", "surrogateescape"))
    text, assumed = decode(raw, encoding=encoding, name=name)
    return SourceText(name, text.replace("\r\n", "\n").replace("\r", "\n"), _guess_note(name, assumed))


def _guess_note(name: str, guessed: str | None) -> str:
    return f"{name}: not UTF-8, read as {guessed} (--encoding forces another)" if guessed else ""


def decode(raw: bytes, *, encoding: str = "auto", name: str = "text") -> tuple[str, str]:
    """Decode bytes and return the text and the encoding where it was guessed, else "".

    "auto" takes a byte order mark, then strict UTF-8, then charset-normalizer's best guess; zero bytes are taken for
    UTF-16 or for no text. Another name forces that encoding. Raises CorpusError for an unknown encoding, bytes that it
    does not allow, and bytes that are no text.
    """
    if encoding != "auto":
        return _decode_strictly(raw, encoding, name), ""
    if marked := _marked_encoding(raw):
        return _decode_strictly(raw, marked, name), ""
    if b"\0" in raw:
        guessed = _guess_wide_encoding(raw)
    else:
        try:
            return raw.decode("utf-8"), ""
        except UnicodeDecodeError:
            guessed = _guess_encoding(raw)
    if guessed is None:
        raise _not_text(name)
    return _decode_strictly(raw, guessed, name), guessed


def _marked_encoding(raw: bytes) -> str | None:
    """Return the encoding that a byte order mark tells."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if raw.startswith(mark)), None)


def _not_text(name: str) -> CorpusError:
    return CorpusError(f"{name} is not text: its bytes fit no known encoding", hint="--encoding NAME forces one")


def _unknown_encoding(encoding: str) -> CorpusError:
    return CorpusError(f"unknown encoding {encoding!r}", hint="for example utf-8, latin-1 or cp1252")


def _decode_strictly(raw: bytes, encoding: str, name: str) -> str:
    try:
        return raw.decode(encoding)
    except LookupError as error:
        raise _unknown_encoding(encoding) from error
    except (UnicodeError, ValueError) as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise CorpusError(f"{name} is not {encoding} text{where}", hint="--encoding NAME forces another encoding") from error


def _guess_encoding(raw: bytes) -> str | None:
    """Return the encoding that charset-normalizer finds most plausible, or None for bytes that are no text."""
    from charset_normalizer import from_bytes  # imported on use: most texts are UTF-8

    matches = from_bytes(raw[:DETECTION_BYTES], cp_isolation=list(_MET_ENCODINGS))
    best = matches.best()
    if best is None:
        return None
    for match in matches:
        if _WESTERN in match.could_be_from_charset and match.chaos < _WESTERN_MAX_CHAOS and match.coherence >= best.coherence:
            return _WESTERN
    return best.encoding


def _guess_wide_encoding(raw: bytes) -> str | None:
    """Return utf-16-le or -be where nearly every other byte is zero, as in Western text without a byte order mark."""
    sample = raw[:DETECTION_BYTES]
    for encoding, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if zeros.count(0) > 0.9 * len(zeros):
            return encoding
    return None
