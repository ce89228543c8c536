import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus import reading
from chargen.corpus.corpus import Corpus, load_corpus
from chargen.corpus.formats import containers
from chargen.errors import ChargenError, CorpusError
from chargen.settings.schema import CorpusConfig

zstandard = pytest.importorskip("zstandard")

STORY = "Es war einmal ein König, der hatte drei Töchter.\n" * 40


def zipped(files: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files: dict[str, str | bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            raw = content.encode() if isinstance(content, str) else content
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return file.getvalue()


def load(folder: Path, raw: bytes, name: str, **settings: Any) -> Corpus:
    (folder / name).write_bytes(raw)
    return load_corpus(CorpusConfig(files=(str(folder / name),), **settings))


def texts(corpus: Corpus) -> list[str]:
    return [str(text) for text in corpus.texts]


ONE_FILE: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda raw: zstandard.ZstdCompressor().compress(raw),
    "zip": lambda raw: zipped({"folder/story.txt": raw}),
    "tar": lambda raw: tarred({"story.txt": raw}),
    "tar.gz": lambda raw: tarred({"story.txt": raw}, "w:gz"),
    "tgz": lambda raw: tarred({"./story.md": raw}, "w:gz"),
    "tar.xz": lambda raw: tarred({"story.txt": raw}, "w:xz"),
    "gz.zip": lambda raw: zipped({"story.gz": gzip.compress(raw)}),
}


@pytest.mark.parametrize("suffix", ONE_FILE)
@pytest.mark.parametrize("tokens", ["char", "byte"])
def test_a_compressed_file_is_read_through(suffix: str, tokens: str, tmp_path: Path) -> None:
    corpus = load(tmp_path, ONE_FILE[suffix](STORY.encode()), f"story.txt.{suffix}", tokens=tokens)
    assert texts(corpus) == [STORY]
    assert list(tmp_path.iterdir()) == [tmp_path / f"story.txt.{suffix}"]


def test_what_a_file_is_does_not_depend_on_its_name(tmp_path: Path) -> None:
    assert texts(load(tmp_path, gzip.compress(STORY.encode()), "story.txt")) == [STORY]
    assert texts(load(tmp_path, STORY.encode(), "story.gz")) == [STORY]
    assert texts(load(tmp_path, gzip.compress(STORY.encode("cp1252")), "story.gz")) == [STORY]


def test_several_streams_in_one_file_are_all_read(tmp_path: Path) -> None:
    for pack in (gzip.compress, bz2.compress, lzma.compress, ONE_FILE["zst"]):
        assert texts(load(tmp_path, pack(STORY.encode()) + pack(b"The end."), "story")) == [STORY + "The end."]


def test_a_table_may_be_compressed(tmp_path: Path) -> None:
    table = "id,tweet\n1,hello there\n2,good bye\n"
    assert texts(load(tmp_path, gzip.compress(table.encode()), "t.csv.gz")) == ["hello there", "good bye"]
    assert texts(load(tmp_path, zipped({"deep/t.csv": table, "__MACOSX/._t.csv": "x"}), "t.zip")) == ["hello there", "good bye"]


def test_standard_input_may_be_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(STORY.encode()))))
    assert texts(load_corpus(CorpusConfig(files=("-",)))) == [STORY]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_is_read_as_a_folder_is(pack: Callable[[dict[str, str | bytes]], bytes], tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "b/two.txt": "another story " + STORY,
        "a/one.TXT": STORY,
        "a/copy.txt": STORY,
        "readme.md": "a third " + STORY,
        "empty.txt": "",
        "picture.txt": b"\x89PNG\r\n\x1a\n\0\0",
        ".hidden.txt": "no",
        "__MACOSX/a/._one.txt": "no",
        "code.py": "import this",
    }
    corpus = load(tmp_path, pack(files), "all.archive")
    assert texts(corpus) == [files["a/copy.txt"], files["b/two.txt"], files["readme.md"]]
    for note in (
        "all.archive: 3 files",
        "1 file left out, empty or blank: empty.txt",
        "copies of others (--folder-files all reads them): a/one.TXT (of a/copy.txt)",
        "picture.txt is a PNG picture, not text",
        "1 file of other kinds left out: .py 1",
    ):
        assert any(note in one for one in corpus.notes), note
    assert texts(load(tmp_path, pack(files), "all.archive", glob="**/*.py")) == ["import this"]
    labels = load(tmp_path, pack(files), "all.archive", label_by="folder").labels
    assert labels == ("a", "all.archive", "b")


def test_files_are_labelled_by_their_names_without_endings(tmp_path: Path) -> None:
    for name in ("dogs", "cats"):
        (tmp_path / f"{name}.txt.gz").write_bytes(gzip.compress("".join(f"{name} {n}\n" for n in range(30)).encode()))
    files = tuple(str(tmp_path / f"{name}.txt.gz") for name in ("dogs", "cats"))
    assert load_corpus(CorpusConfig(files=files, label_by="file")).labels == ("cats", "dogs")


def test_a_large_compressed_file_stays_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGE_BYTES", 1000)
    monkeypatch.setattr(containers, "IN_MEMORY", 1000)
    monkeypatch.setattr(containers, "BLOCK", 300)
    for suffix in ONE_FILE:
        (text,) = load(tmp_path, ONE_FILE[suffix](STORY.encode()), f"story.{suffix}").texts
        assert not isinstance(text, str)
        assert str(text) == STORY


def nested(depth: int) -> bytes:
    raw = STORY.encode()
    for _ in range(depth):
        raw = gzip.compress(raw)
    return raw


def encrypted() -> bytes:
    raw = bytearray(zipped({"a.txt": STORY}))
    for start in (raw.index(b"PK\3\4") + 6, raw.index(b"PK\1\2") + 8):
        raw[start] |= 1
    return bytes(raw)


def broken(raw: bytes) -> bytes:
    return raw[: len(raw) // 2] + bytes(byte ^ 0x55 for byte in raw[len(raw) // 2 : -8]) + raw[-8:]


def long_header() -> bytes:
    header = tarfile.TarInfo("header")
    header.type, header.size = tarfile.XHDTYPE, 1 << 33
    return header.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


ZEROS = bytes(3_000_000)
NOT_READ = [
    ("bomb.gz", gzip.compress(ZEROS), "bomb.gz unpacks to more than 250 times its size, the limit; unpack it by hand"),
    ("bomb.xz", lzma.compress(ZEROS), "bomb.xz unpacks to more than"),
    ("bomb.bz2", bz2.compress(ZEROS), "bomb.bz2 unpacks to more than"),
    ("bomb.zst", ONE_FILE["zst"](ZEROS), "bomb.zst unpacks to more than"),
    ("bomb.gz", gzip.compress(gzip.compress(ZEROS)), "bomb.gz unpacks to more than"),
    ("bomb.zip", zipped({f"{n}.txt": ZEROS[:500_000] for n in range(9)}), "bomb.zip unpacks to more than"),
    ("bomb.zip", zipped({"inner.zip": zipped({"a.txt": ZEROS})}), "bomb.zip unpacks to more than"),
    ("bomb.tgz", gzip.compress(tarred({"a.txt": ZEROS})), "bomb.tgz unpacks to more than"),
    ("deep.gz", nested(6), "deep.gz nests more than 4 archives or compressed files"),
    ("cut.gz", gzip.compress(STORY.encode())[:-20], "cut.gz is damaged: "),
    ("cut.xz", lzma.compress(STORY.encode())[:-20], "cut.xz is damaged: it ends too early"),
    ("cut.bz2", bz2.compress(STORY.encode())[:-20], "cut.bz2 is damaged: "),
    ("cut.zip", zipped({"a.txt": STORY})[:-30], "cut.zip is damaged: "),
    ("cut.tar", tarred({"a.txt": STORY})[:900], "cut.tar is damaged: "),
    ("broken.zip", broken(zipped({"a.txt": STORY})), "broken.zip is damaged: "),
    ("secret.zip", encrypted(), "secret.zip is encrypted"),
    ("none.zip", zipped({}), "no file in none.zip"),
    ("other.zip", zipped({"a.png": "x", "b.png": "x"}), "no .txt or .md file in other.zip, only .png 2"),
    ("header.tar", long_header(), "header.tar is damaged: a header is too long"),
]


@pytest.mark.parametrize(("name", "raw", "message"), NOT_READ, ids=[f"{n} {one[0]}" for n, one in enumerate(NOT_READ)])
def test_what_is_not_unpacked_is_refused_in_one_line(
    name: str, raw: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "ALWAYS_ALLOWED", 100_000)
    with pytest.raises(CorpusError) as refused:
        load(tmp_path, raw, name)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_bound_is_absolute_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_BYTES", 100_000)
    rng = random.Random(1)
    noise = "".join(chr(rng.randrange(97, 123)) for _ in range(110_000))
    with pytest.raises(CorpusError, match="unpacks to more than"):
        load(tmp_path, gzip.compress(noise.encode()), "noise.gz")


def test_what_an_archive_points_at_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a secret", encoding="utf-8")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for kind, target in ((tarfile.SYMTYPE, str(tmp_path / "secret.txt")), (tarfile.LNKTYPE, "../secret.txt")):
            link = tarfile.TarInfo(f"link{kind!r}.txt")
            link.type, link.linkname = kind, target
            archive.addfile(link)
        member = tarfile.TarInfo("../../outside.txt")
        member.size = len(STORY.encode())
        archive.addfile(member, io.BytesIO(STORY.encode()))
    assert texts(load(tmp_path, file.getvalue(), "links.tar")) == [STORY]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links.tar", "secret.txt"]
    corpus = load(tmp_path, zipped({"../../outside.txt": STORY, "C:\\x\\b.txt": STORY + "!"}), "names.zip")
    assert len(texts(corpus)) == 2


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("photo.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "photo.jpg is a JPEG picture, not text; save it as plain text"),
        (
            "notes.doc",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0",
            "notes.doc is a Word, Excel or PowerPoint document of before 2007",
        ),
        ("notes.rtf", b"{\\rtf1\\ansi Good day}", "notes.rtf is an RTF document, not text"),
        ("song.mp3", b"ID3\3\0\0\0\0", "song.mp3 is an MP3 recording"),
        ("a.out", b"\x7fELF\2\1\1\0", "a.out is a program for Linux"),
        ("b.sqlite", b"SQLite format 3\0", "b.sqlite is an SQLite database"),
        ("t.parquet", b"PARE\x15\4\0", "t.parquet is an encrypted Parquet table, not text"),
        ("c.7z", b"7z\xbc\xaf\x27\x1c\0\4", "c.7z is a 7-Zip archive"),
        ("p.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1", "p.heic is an HEIC picture"),
        ("p.webp", b"RIFF\x24\0\0\0WEBPVP8 ", "p.webp is a WebP picture"),
        ("s.wav", b"RIFF\x24\0\0\0WAVEfmt ", "s.wav is a WAV recording"),
        ("k.mobi", b"\0" * 60 + b"BOOKMOBI", "k.mobi is a Kindle book"),
        ("f.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0", "f.mp4 is an MP4 film or recording"),
        ("m.safetensors", b'\x40\0\0\0\0\0\0\0{"__metadata__":{}}', "m.safetensors is a safetensors model"),
    ],
)
def test_other_files_are_refused_by_name(name: str, raw: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as refused:
        load(tmp_path, raw, name)
    assert message in str(refused.value)
    assert texts(load(tmp_path, raw, name, tokens="byte"))[0].encode("utf-8", "surrogateescape") == raw


def test_a_text_that_begins_like_another_file_is_a_text(tmp_path: Path) -> None:
    for text in ("MZ is the beginning of this text.", "BM, said he.", "ID3 tags are described here.", "BZh", "PK"):
        assert texts(load(tmp_path, text.encode(), "text.txt")) == [text]


def test_any_file_can_be_read_as_it_is(tmp_path: Path) -> None:
    raw = gzip.compress(STORY.encode())
    assert load(tmp_path, raw, "story.gz", tokens="byte", format="text").num_characters == len(
        raw.decode("utf-8", "surrogateescape")
    )


@given(seed=st.integers(0, 2**32), kind=st.sampled_from(sorted(ONE_FILE)))
@settings(max_examples=150)
def test_any_damage_gives_a_text_or_one_line(seed: int, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(seed)
    raw = bytearray(ONE_FILE[kind](STORY.encode()))
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(raw))
        raw[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    try:
        message = "" if load(tmp_path_factory.getbasetemp(), bytes(raw), "damaged").num_characters else "\n"
    except ChargenError as error:
        message = str(error)
    assert "\n" not in message


def test_names_beyond_ascii_are_no_encryption(tmp_path: Path) -> None:
    corpus = load(tmp_path, zipped({"\u00e9t\u00e9.txt": STORY, "ver\u00e3o.txt": STORY[::-1]}), "names.zip")
    assert [file.name for file in corpus.files] == ["ver\u00e3o.txt", "\u00e9t\u00e9.txt"]


@pytest.mark.parametrize("beginning", ["ORCs are near", "BM is a name", "ID3 is a tree", "ftyp", "PAR1", "PARENTS"])
def test_texts_that_begin_like_other_files_are_texts(beginning: str, tmp_path: Path) -> None:
    text = f"{beginning}. {STORY}"
    assert texts(load(tmp_path, text.encode(), "a.txt", reading="document")) == [text]


def test_damaged_files_are_read_as_bytes_with_a_note(tmp_path: Path) -> None:
    raw = zipped({"a.txt": STORY})[:-30]
    with pytest.raises(CorpusError, match=r"a\.zip is damaged: file is not a zip file; download or save it again"):
        load(tmp_path, raw, "a.zip")
    corpus = load(tmp_path, raw, "a.zip", tokens="byte")
    assert "a.zip is damaged: file is not a zip file; its bytes are read as they are" in corpus.notes
    assert "".join(texts(corpus)).encode("utf-8", "surrogateescape") == raw
