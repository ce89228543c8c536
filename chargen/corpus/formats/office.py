"""Extract the text of documents: Word, OpenDocument, EPUB and PDF.

Word and OpenDocument files and EPUB books are zips of XML. The standard library's parser reads it and loads nothing from
outside; declarations of entities are refused, so that none can expand without end.
"""

import logging
import posixpath
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote
from xml.parsers import expat

from chargen.corpus.formats.containers import ZIP, Budget, Packed, blocks_of, damaged_file_errors, missing_package, zip_names
from chargen.corpus.formats.html_text import html_text
from chargen.errors import CorpusError

PDF = b"%PDF-"
MAX_MARKUP = 1 << 28  # bytes of a document's XML and HTML; they take minutes to read
MAX_PAGE_BYTES = 1 << 27  # bytes of the page contents of a PDF; they take minutes to read
MAX_OPERATIONS = 5_000_000  # drawing operations of a PDF, including those of repeated forms
MAX_SPACES = 100  # in a row; OpenDocument writes them as one element
_PROTECTION = "META-INF/encryption.xml"
_BLANK_LINE = "\n\n"


def document_kind(packed: Packed, head: bytes) -> str | None:
    """Return the kind of a document, with an article, or None for other files. Raises CorpusError for a damaged one."""
    if head.startswith(PDF):
        return "a PDF document"
    if not head.startswith(ZIP):
        return None
    names = zip_names(packed.file)
    with damaged_file_errors(packed.name):
        mimetype = _Parts(packed).read("mimetype")[:100].decode("ascii", "replace").strip() if "mimetype" in names else ""
    packed.file.seek(0)
    return _OPEN_KINDS.get(mimetype) or next(
        (kind for part, kind in _OFFICE_KINDS.items() if part in names), "a zipped document"
    )


_OPEN_KINDS = {
    "application/epub+zip": "an EPUB book",
    "application/vnd.oasis.opendocument.text": "an OpenDocument text",
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation",
}
_OFFICE_KINDS = {
    "word/document.xml": "a Word document",
    "xl/workbook.xml": "an Excel workbook",
    "ppt/presentation.xml": "a PowerPoint presentation",
}


def document_text(packed: Packed, kind: str) -> str:
    """Return the text of a document. Raises CorpusError for one that is damaged or of an unsupported kind."""
    if kind not in _READERS:
        hint = "save it as .csv" if "sheet" in kind or "workbook" in kind else "save it as plain text"
        raise CorpusError(f"{packed.name} is {kind}, which chargen cannot read", hint=hint)
    with damaged_file_errors(packed.name):
        text = _clean(_READERS[kind](packed))
    if not text.strip():
        raise CorpusError(f"{packed.name} is {kind} without text", hint="its pages may be pictures; give a text file")
    return text


def _clean(text: str) -> str:
    """Return a text with "\n" for every line end, and without control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return text.encode("utf-8", "replace").decode("utf-8")


def _word_text(packed: Packed) -> str:
    return _xml_text(_Parts(packed).read("word/document.xml"), _WORD)


def _open_text(packed: Packed) -> str:
    return _xml_text(_Parts(packed).read("content.xml"), _OPEN)


def _epub_text(packed: Packed) -> str:
    """Return the text of all chapters, in the order of the book."""
    parts = _Parts(packed)
    package = next(
        (values["full-path"] for name, values in _elements(parts.read("META-INF/container.xml")) if name == "rootfile"), ""
    )
    files: dict[str, str] = {}
    order: list[str] = []
    for name, values in _elements(parts.read(package)):
        if name == "item" and "html" in values.get("media-type", ""):
            files[values.get("id", "")] = posixpath.normpath(
                posixpath.join(posixpath.dirname(package), unquote(values.get("href", "")))
            )
        elif name == "itemref":
            order.append(values.get("idref", ""))
    protected = parts.read(_PROTECTION).decode("utf-8", "replace") if _PROTECTION in parts else ""
    if any(files[one] in protected for one in order if one in files):
        raise CorpusError(f"{packed.name} is protected against copying", hint="give a book without protection, or its text")
    chapters = (html_text(parts.read(files[one]).decode("utf-8", "replace")) for one in order if one in files)
    return _BLANK_LINE.join(chapter for chapter in chapters if chapter)


def _pdf_text(packed: Packed) -> str:
    try:
        from pypdf import PdfReader
    except ImportError:
        raise missing_package(packed.name, "a PDF document", "formats") from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # the library logs each oddity that it repairs
    budget = Budget(packed.name, packed.size)
    pages: list[str] = []
    try:
        reader = PdfReader(packed.file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise CorpusError(f"{packed.name} is encrypted", hint="save it without a password, or as plain text")
        _check_length(packed.name, reader.pages)
        count = _Operations(packed.name)
        for page in reader.pages:
            pages.append(page.extract_text(visitor_operand_before=count))
            budget.spend(len(pages[-1]))
    except CorpusError:
        raise
    except Exception as error:  # the library raises any type of error for hostile or damaged files
        raise ValueError(f"{type(error).__name__}: {error}".splitlines()[0][:100]) from error
    return _BLANK_LINE.join(page for page in pages if page.strip())


def _check_length(name: str, pages: Iterable[Any]) -> None:
    """Raise CorpusError for a PDF that would take too long to read, before reading it."""
    total = 0
    for page in pages:
        contents = page.get_contents()
        total += 0 if contents is None else len(contents.get_data())
        if total > MAX_PAGE_BYTES:
            raise _too_long(name, "a PDF document", f"its page contents are more than {MAX_PAGE_BYTES >> 20} MiB")


class _Operations:
    """Counts the drawing operations of a PDF as they are executed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0

    def __call__(self, *_: Any) -> None:
        """Count one. Raises CorpusError beyond the limit."""
        self._count += 1
        if self._count > MAX_OPERATIONS:
            raise _too_long(self._name, "a PDF document", f"its pages have more than {MAX_OPERATIONS:,} drawing operations")


def _too_long(name: str, what: str, why: str) -> CorpusError:
    return CorpusError(f"{name} is {what} that takes too long to read: {why}", hint=_CONVERT)


_CONVERT = "convert it to plain text with another program, or give a part of it"
_READERS: dict[str, Callable[[Packed], str]] = {
    "a Word document": _word_text,
    "an OpenDocument text": _open_text,
    "an EPUB book": _epub_text,
    "a PDF document": _pdf_text,
}


class _Parts:
    """The parts of a zipped document, read within the limits of all archives."""

    def __init__(self, packed: Packed) -> None:
        self._archive = zipfile.ZipFile(packed.file)
        self._name = packed.name
        self._budget = Budget(packed.name, packed.size)
        self._length = 0

    def __contains__(self, name: str) -> bool:
        return name in self._archive.NameToInfo

    def read(self, name: str) -> bytes:
        """Return a part. Raises ValueError for a missing part, and CorpusError beyond the size limit of all parts."""
        try:
            part = self._archive.open(name)
        except (KeyError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"its part {name!r:.100} cannot be read") from error
        content = bytearray()
        with part:
            for block in blocks_of(part):
                self._budget.spend(len(block))
                content += block
                self._length += len(block)
                if self._length > MAX_MARKUP:
                    raise _too_long(self._name, "a document", f"its text and markup are more than {MAX_MARKUP >> 20} MiB")
        return bytes(content)


class _Shape:
    """The XML elements that are paragraphs, that stand for characters, and that are left out with their content."""

    def __init__(self, *, texts: str, paragraphs: str, characters: dict[str, str], skipped: str) -> None:
        self.texts, self.paragraphs, self.skipped = texts.split(), paragraphs.split(), skipped.split()
        self.characters = characters


_WORD = _Shape(
    texts="t", paragraphs="p", characters={"tab": "\t", "br": "\n", "cr": "\n"}, skipped="Fallback instrText delText pPr"
)
_OPEN = _Shape(
    texts="p h",
    paragraphs="p h",
    characters={"tab": "\t", "line-break": "\n", "s": " "},
    skipped="annotation tracked-changes forms",
)


def _xml_text(xml: bytes, shape: _Shape) -> str:
    """Return the paragraphs of a part of a document, one a line."""
    collected: list[str] = []
    open_texts = skipped = 0

    def start(name: str, values: dict[str, str]) -> None:
        nonlocal open_texts, skipped
        local = _local(name)
        skipped += local in shape.skipped
        open_texts += local in shape.texts
        if local in shape.characters and not skipped and (open_texts or shape is _WORD):
            count = next((int(value) for key, value in values.items() if _local(key) == "c" and value.isdecimal()), 1)
            collected.append(shape.characters[local] * min(count, MAX_SPACES))

    def end(name: str) -> None:
        nonlocal open_texts, skipped
        local = _local(name)
        open_texts -= local in shape.texts
        if local in shape.paragraphs and not skipped:
            collected.append("\n")
        skipped -= local in shape.skipped

    def data(text: str) -> None:
        if open_texts and not skipped:
            collected.append(text)

    _parse(xml, start=start, end=end, data=data)
    return "".join(collected)


def _elements(xml: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and the attributes of each element of XML."""
    found: list[tuple[str, dict[str, str]]] = []
    _parse(xml, start=lambda name, values: found.append((_local(name), values)))
    return iter(found)


def _parse(xml: bytes, *, start: Any, end: Any = None, data: Any = None) -> None:
    """Parse XML. Raises ValueError for invalid XML and for declarations of entities."""

    def refuse(*_: Any) -> None:
        raise ValueError("its XML declares entities")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise ValueError(f"its XML is damaged: {error}") from error


def _local(name: str) -> str:
    return name.rpartition(":")[2]
