import io
import random
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus.corpus import Corpus, load_corpus
from chargen.corpus.formats import containers, office
from chargen.corpus.formats.html_text import html_text
from chargen.errors import ChargenError, CorpusError
from chargen.settings.schema import CorpusConfig

pytest.importorskip("pypdf")

WORD_XML = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:document xmlns:w="http://w/" xmlns:mc="http://mc/"><w:body>
<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr>
<w:r><w:t>Es war </w:t></w:r><w:r><w:t>einmal &amp; nie.</w:t></w:r></w:p>
<w:p><w:r><w:t>Ende</w:t><w:tab/><w:t>gut</w:t><w:br/><w:t>alles gut</w:t></w:r>
<w:del><w:r><w:delText>weg</w:delText></w:r></w:del></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Zelle</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
</w:body></w:document>"""
OPEN_XML = """<?xml version="1.0"?><office:document-content xmlns:office="o" xmlns:text="t"><office:body><office:text>
<text:tracked-changes><text:p>weg</text:p></text:tracked-changes>
<text:h>Es war einmal &amp; nie.</text:h>
<text:p>Ende<text:tab/>gut<text:line-break/>alles<text:s text:c="2"/><text:span>gut</text:span></text:p>
</office:text></office:body></office:document-content>"""
CONTAINER = """<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"""
BOOK = """<package><manifest><item id="two" href="text/two.xhtml" media-type="application/xhtml+xml"/>
<item id="css" href="a.css" media-type="text/css"/>
<item id="one" href="one%20.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="one"/><itemref idref="two"/></spine></package>"""
CHAPTER = """<?xml version="1.0"?><!DOCTYPE html><html><head><title>no</title></head><body><h1>{0}</h1><p>Es war
<i>einmal</i>.</p></body></html>"""


def zipped(files: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def word(xml: str = WORD_XML) -> bytes:
    return zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": xml})


def open_document(kind: str = "text", xml: str = OPEN_XML) -> bytes:
    return zipped({"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": xml})


def book(**more: str) -> bytes:
    chapters = {"OEBPS/text/two.xhtml": CHAPTER.format("Zwei"), "OEBPS/one .xhtml": CHAPTER.format("Eins")}
    start = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, "OEBPS/book.opf": BOOK}
    return zipped(start | chapters | more)


def pdf(text: str = "Once upon a time.") -> bytes:
    content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    raw, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(raw))
        raw += f"{number} 0 obj{one}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start = len(raw)
    raw += f"xref\n0 6\n0000000000 65535 f \n{table}trailer<</Size 6/Root 1 0 R>>\nstartxref\n{start}\n%%EOF"
    return raw.encode()


def load(folder: Path, raw: bytes, name: str, **settings: str) -> Corpus:
    (folder / name).write_bytes(raw)
    return load_corpus(CorpusConfig(files=(str(folder / name),), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "raw", "kind", "text"),
    [
        ("a.docx", word(), "a Word document", "Es war einmal & nie.\nEnde\tgut\nalles gut\nZelle\n"),
        ("a.odt", open_document(), "an OpenDocument text", "Es war einmal & nie.\nEnde\tgut\nalles  gut\n"),
        ("a.epub", book(), "an EPUB book", "Eins\n\nEs war einmal.\n\nZwei\n\nEs war einmal."),
        ("a.pdf", pdf(), "a PDF document", "Once upon a time."),
    ],
)
def test_the_text_of_a_document_is_read(name: str, raw: bytes, kind: str, text: str, tmp_path: Path) -> None:
    corpus = load(tmp_path, raw, name)
    assert tuple(corpus.texts) == (text,)
    assert f"{name}: {kind}, read as text, such as {text[:4]!r:.5}" in corpus.notes[0]
    assert tuple(load(tmp_path, raw, "other", tokens="byte").texts) == (text,)
    assert tuple(load(tmp_path, zipped_bytes(name, raw), "all.zip", glob="*").texts) == (text,)


def zipped_bytes(name: str, raw: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, raw)
    return file.getvalue()


BILLION_LAUGHS = """<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<w:document xmlns:w="w"><w:p><w:t>&b;</w:t></w:p></w:document>"""
FETCHING = """<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<w:document xmlns:w="w"><w:p><w:t>&a;</w:t></w:p></w:document>"""


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        (
            "a.xlsx",
            zipped({"[Content_Types].xml": "", "xl/workbook.xml": ""}),
            "a.xlsx is an Excel workbook, which chargen cannot read; save it as .csv",
        ),
        (
            "a.pptx",
            zipped({"[Content_Types].xml": "", "ppt/presentation.xml": ""}),
            "a PowerPoint presentation, which chargen cannot read; save it as",
        ),
        ("a.ods", open_document("spreadsheet"), "an OpenDocument spreadsheet, which chargen cannot read; save it as .csv"),
        ("a.docx", word("<w:document/>"), "a.docx is a Word document without text"),
        ("a.docx", word("<w:document>"), "a.docx is damaged: its XML is damaged: no element found"),
        ("a.docx", word(BILLION_LAUGHS), "a.docx is damaged: its XML declares entities"),
        ("a.docx", word(FETCHING), "a.docx is damaged: its XML declares entities"),
        ("a.docx", word(WORD_XML.replace("Zelle", "a" * 4_000_000)), "a.docx unpacks to more than"),
        (
            "a.epub",
            zipped({"mimetype": "application/epub+zip"}),
            "a.epub is damaged: its part 'META-INF/container.xml' cannot be read",
        ),
        (
            "a.epub",
            book(**{"META-INF/encryption.xml": "<e URI='OEBPS/text/two.xhtml'/>"}),
            "a.epub is protected against copying",
        ),
        ("a.pdf", pdf(""), "a.pdf is a PDF document without text; its pages may be pictures"),
        ("a.pdf", pdf()[:60], "a.pdf is damaged: "),
    ],
)
def test_documents_that_cannot_be_read_are_refused(
    name: str, raw: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "ALWAYS_ALLOWED", 100_000)
    with pytest.raises(CorpusError) as refused:
        load(tmp_path, raw, name)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "raw", "bound", "why"),
    [
        (
            "a.pdf",
            pdf(),
            "MAX_PAGE_BYTES",
            "a.pdf is a PDF document that takes too long to read: its page contents are more",
        ),
        ("a.pdf", pdf(), "MAX_OPERATIONS", "a.pdf is a PDF document that takes too long to read: its pages have more"),
        ("a.docx", word(), "MAX_MARKUP", "a.docx is a document that takes too long to read: its text and markup are more"),
        ("a.epub", book(), "MAX_MARKUP", "a.epub is a document that takes too long to read: its text and markup are more"),
    ],
)
def test_what_takes_too_long_is_refused(
    name: str, raw: bytes, bound: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office, bound, 3)
    with pytest.raises(CorpusError) as refused:
        load(tmp_path, raw, name)
    assert why in str(refused.value)
    assert str(refused.value).endswith("; convert it to plain text with another program, or give a part of it")


def test_the_bound_of_markup_is_that_of_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chapters = [CHAPTER.format(title) for title in ("Eins", "Zwei")]
    whole = len(CONTAINER) + len(BOOK) + len("application/epub+zip") + sum(map(len, chapters))
    monkeypatch.setattr(office, "MAX_MARKUP", whole)
    load(tmp_path, book(), "a.epub")
    monkeypatch.setattr(office, "MAX_MARKUP", whole - len(chapters[0]))
    with pytest.raises(CorpusError, match="takes too long to read"):
        load(tmp_path, book(), "a.epub")


def test_few_spaces_stand_for_very_many(tmp_path: Path) -> None:
    xml = OPEN_XML.replace('c="2"', 'c="1000000000"')
    assert load(tmp_path, open_document(xml=xml), "a.odt").num_characters < 200


def test_a_document_without_its_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pypdf", None)
    with pytest.raises(CorpusError, match=r"a\.pdf is a PDF document; pip install 'chargen\[formats\]' reads it"):
        load(tmp_path, pdf(), "a.pdf")


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>One <b>two</b>,<i> three</i></p><p>four", "One two, three\n\nfour"),
        ("a<br>b<br/>c<div>d</div>e", "a\nb\nc\nd\ne"),
        ("<ul><li>a<li>b</ul><table><tr><td>1<td>2<tr><td>3</table>", "a\nb\n\n1 2\n3"),
        ("<pre>  x\n   y</pre>", "  x\n   y"),
        ("<head><title>t</title><style>p{}</style></head><body><nav>menu</nav>x<script>if (a<b) '</p>'</script>y", "xy"),
        ("a &lt; b &amp; c &#233; &eacute; 3 < 4", "a < b & c é é 3 < 4"),
        ("<a href='x>y' title=\"it's\">link</a><!-- <p>no --> end", "link end"),
        ("a<template>b<template>c</template>d</template>e", "ae"),
        ("a<svg>b<p>c</p>d</svg>e", "ae"),
        ("a<nav>b<head>c<body>d", "ad"),
        ("<pre>  a</pre>  b   c", "  a\n\nb c"),
        ("<pre>  a<pre>  b</pre>  c</pre>  d   e", "  a\n\n  b\n\n  c\n\nd e"),
        ("<p>unclosed <!-- comment", "unclosed"),
        ("<p>unclosed <b attribute='", "unclosed"),
    ],
)
def test_html_becomes_text(page: str, text: str) -> None:
    assert html_text(page) == text


@given(st.text("<>/!-\"'&; pabr\n", max_size=80))
def test_any_page_has_a_text(page: str) -> None:
    assert "\n\n\n" not in html_text(page.replace("\n", " "))


SEEDS = {"a.docx": word(), "a.odt": open_document(), "a.epub": book(), "a.pdf": pdf()}


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(SEEDS)))
@settings(max_examples=150)
def test_any_damage_gives_a_text_or_one_line(seed: int, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(seed)
    raw = bytearray(SEEDS[name])
    for _ in range(rng.randint(1, 5)):
        place = rng.randrange(len(raw))
        raw[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    try:
        message = "" if load(tmp_path_factory.getbasetemp(), bytes(raw), f"damaged-{name}").num_characters else "\n"
    except ChargenError as error:
        message = str(error)
    assert "\n" not in message
