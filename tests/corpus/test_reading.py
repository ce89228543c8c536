import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.decoding import Decoding, decode
from chargen.corpus.reading import read_sources
from chargen.errors import CorpusError

EVERY_SCRIPT = "naïve e\u0301 日本 שלום \U0001f468\u200d\U0001f469\u200d\U0001f467"

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\x1b~")  # no line ends, no ISO-2022, no HZ
texts = st.text(characters).filter(lambda text: not text.startswith("\ufeff"))


def test_files_are_read_in_the_order_given(in_folder: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (in_folder / name).write_text(f"text of {name}", encoding="utf-8")
    sources = read_sources(["b.txt", "a.txt"])
    assert [(source.name, source.text, source.notes) for source in sources] == [
        ("b.txt", "text of b.txt", ()),
        ("a.txt", "text of a.txt", ()),
    ]


def test_folders_are_read_by_pattern_in_order(in_folder: Path) -> None:
    for name in ("folder/z.txt", "folder/a.md", "folder/c.rst", "folder/deep/b.txt"):
        (in_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (in_folder / name).write_text(f"text of {name}", encoding="utf-8")
    assert [source.name for source in read_sources(["folder"])] == ["a.md", "deep/b.txt", "z.txt"]
    assert [source.name for source in read_sources(["folder"], glob="*.rst")] == ["c.rst"]
    with pytest.raises(CorpusError, match=r"no file in folder matches \*\.py"):
        read_sources(["folder"], glob="*.py")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO("été".encode())))
    (source,) = read_sources(["-"])
    assert (source.name, source.text) == ("stdin", "été")


def test_a_shipped_corpus_is_found_by_name_but_a_file_here_wins(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = in_folder / "shipped"
    shipped.mkdir()
    (shipped / "male.txt").write_text("shipped", encoding="utf-8")
    monkeypatch.setattr("chargen.corpus.reading.shipped_folder", lambda kind: shipped)
    assert read_sources(["male.txt"])[0].text == "shipped"
    with pytest.raises(CorpusError):
        read_sources(["elsewhere/male.txt"])
    (in_folder / "male.txt").write_text("here", encoding="utf-8")
    assert read_sources(["male.txt"])[0].text == "here"


@pytest.mark.parametrize(("typed", "meant"), [("mael.txt", "male.txt"), ("femal.txt", "female.txt"), ("Male", "male.txt")])
def test_a_typing_error_is_met_with_the_nearest_shipped_corpus(typed: str, meant: str, in_folder: Path) -> None:
    with pytest.raises(CorpusError, match=f"no such file: {typed}") as refused:
        read_sources([typed])
    assert meant in str(refused.value.hint)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides(encoding: str) -> None:
    assert decode(EVERY_SCRIPT.encode(encoding)).text == EVERY_SCRIPT


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xfe\xff", "utf-16-be"), (b"\x00\x00\xfe\xff", "utf-32-be")])
def test_a_byte_order_mark_of_the_other_order_decides(mark: bytes, encoding: str) -> None:
    assert decode(mark + EVERY_SCRIPT.encode(encoding)).text == EVERY_SCRIPT


@given(texts)
def test_utf_8_comes_back_as_it_was(text: str) -> None:
    assert decode(text.encode()) == (text, Decoding())
    assert decode(text.encode("utf-8-sig")) == (text, Decoding())


def test_an_encoding_can_be_forced() -> None:
    assert decode(b"\xe9t\xe9", encoding="latin-1").text == "été"
    with pytest.raises(CorpusError, match="is not ascii text at byte 2"):
        decode(b"ab\xe9", encoding="ascii")
    with pytest.raises(CorpusError, match="unknown encoding 'nonsense'"):
        decode(b"ab", encoding="nonsense")


@pytest.mark.parametrize(
    "raw", [b"\x89PNG\r\n\x1a\n\x00\x00\xff" * 9, bytes(range(256)) * 4, b"text\0" * 9], ids=["png", "all bytes", "zeros"]
)
def test_bytes_that_are_no_text_are_refused(raw: bytes) -> None:
    with pytest.raises(CorpusError, match="is not text"):
        decode(raw)


def test_line_ends_become_newlines(in_folder: Path) -> None:
    (in_folder / "text.txt").write_bytes(b"one\r\ntwo\rthree\n\r\nfour")
    assert read_sources(["text.txt"])[0].text == "one\ntwo\nthree\n\nfour"
