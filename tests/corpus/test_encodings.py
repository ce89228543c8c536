"""Texts in encodings older than UTF-8 are decoded correctly, by the letters of their languages."""

import io
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import pytest
from click.testing import CliRunner, Result

from benchmarks.encodings import main
from chargen.corpus import large_text, reading
from chargen.corpus.decoding import decode
from chargen.corpus.large_text import LargeText
from chargen.corpus.reading import read_sources
from chargen.corpus.wording import words_with_accents
from chargen.errors import CorpusError

Invoke = Callable[..., Result]

LANGUAGES = tomllib.loads(Path(__file__).with_name("languages.toml").read_text(encoding="utf-8"))
TONES = dict.fromkeys("\u0300\u0301\u0303\u0309\u0323")  # separate combining marks in cp1258


class Sample(NamedTuple):
    """A text and its bytes in an encoding."""

    language: str
    encoding: str
    text: str

    @property
    def raw(self) -> bytes:
        return self.text.encode(self.encoding)


def samples(cut: Callable[[str], str]) -> Iterator[Sample]:
    """Yield a part of each paragraph in each of its encodings."""
    for language, known in LANGUAGES.items():
        for encoding in known["encodings"]:
            text = cut(known["text"].strip())
            yield Sample(language, encoding, with_tone_marks(text) if encoding == "cp1258" else text)


def with_tone_marks(text: str) -> str:
    """Return Vietnamese with its tones as separate characters, as in its encoding."""
    return "".join(map(letter_and_tone, normalize("NFC", text)))


def letter_and_tone(character: str) -> str:
    parts = normalize("NFD", character)
    letter = normalize("NFC", "".join(one for one in parts if one not in TONES))
    whole = character.encode("cp1258", "ignore")
    return character if whole else letter + "".join(one for one in parts if one in TONES)


def test_a_paragraph_is_read_in_its_encoding() -> None:
    found = {one[:2]: decode(one.raw) for one in samples(str)}
    assert [key for key, one in found.items() if not one.decoding.guess] == []
    assert [one[:2] for one in samples(str) if found[one[:2]].text != one.text] == []
    doubtful = [key for key, one in found.items() if one.decoding.guess and one.decoding.guess.is_doubtful]
    assert len(doubtful) <= 0.1 * len(found), doubtful


def test_a_sentence_is_read_in_its_encoding_or_reported_as_doubtful() -> None:
    sentences = [one for one in samples(lambda text: text.split("\n")[0][:100]) if one.raw]
    found = [decode(one.raw) for one in sentences]
    right = [one.text == sentence.text for one, sentence in zip(found, sentences, strict=True)]
    sure = [one.decoding.guess is not None and not one.decoding.guess.is_doubtful for one in found]
    assert len(sentences) > 80
    assert sum(right) >= 0.97 * len(right)
    assert [one[:2] for one, is_right, is_sure in zip(sentences, right, sure, strict=True) if is_sure and not is_right] == []
    assert sum(sure) >= 0.75 * len(sure)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_wide_encodings_need_no_mark(language: str, encoding: str) -> None:
    text = LANGUAGES[language]["text"]
    decoded = decode(text.encode(encoding))
    assert (decoded.text, decoded.decoding.encoding) == (text, encoding)


def test_chinese_without_line_ends_in_utf_16() -> None:
    text = LANGUAGES["simplified-chinese"]["text"].replace("\n", "")
    assert decode(text.encode("utf-16-le")).text == text


@pytest.mark.parametrize("raw", [b"a ~{ brace }~ here", b"\x1b[31mred\x1b[0m", b"\x1b$ and no more", b"2 + 2 +AGE- 4"])
def test_ascii_that_looks_like_a_shift_stays_ascii(raw: bytes) -> None:
    assert decode(raw) == (raw.decode(), decode(b"abc").decoding)


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("japanese", "cp932"),
        ("japanese", "euc_jp"),
        ("korean", "cp949"),
        ("simplified-chinese", "gb18030"),
        ("french", "cp1252"),
    ],
)
@pytest.mark.parametrize("damage", ["start", "end", "within"])
def test_damage_does_not_change_the_encoding(language: str, encoding: str, damage: str) -> None:
    text = LANGUAGES[language]["text"] * 3
    raw = text.encode(encoding)
    damaged = {"start": raw[1:], "end": raw[:-2], "within": raw[:301] + b"\xff" + raw[301:]}[damage]
    decoded = decode(damaged)
    assert decoded.decoding.encoding in (encoding, "euc_jis_2004")
    read = str(decoded.text).replace("\ufffd", "")
    assert read.endswith(text[-200:]) if damage == "start" else read.startswith(text[:-3] if damage == "end" else text[:99])


def test_cut_characters_are_counted_and_told(in_folder: Path) -> None:
    Path("text.txt").write_bytes("むかしむかし、山のふもとの小さな村".encode("cp932")[:-1])
    (source,) = read_sources(["text.txt"])
    assert source.notes == (
        "text.txt: not UTF-8, read as cp932, such as 'むかしむかし、山のふもとの小さ な', "
        "1 character that it does not have replaced by U+FFFD (--encoding NAME reads it otherwise)",
    )


@pytest.mark.parametrize("large", [False, True])
def test_a_note_shows_words_and_names_the_option(large: bool, in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(reading, "LARGE_BYTES", 1)
        monkeypatch.setattr(large_text, "BLOCK", 100)
    Path("text.txt").write_bytes("Akşam yağmuru altında küçük kız koşuyordu; ışıklar söndü.\n".encode("cp1254") * 5)
    (source,) = read_sources(["text.txt"])
    assert source.notes[0].startswith("text.txt: not UTF-8, read as cp1254, such as 'Akşam yağmuru")
    assert source.notes[0].endswith("(--encoding NAME reads it otherwise)")


def test_a_doubtful_guess_is_reported_as_such(in_folder: Path) -> None:
    Path("text.txt").write_bytes(b"He said: \x93It\x92s late.\x94\n")
    (source,) = read_sources(["text.txt"])
    assert source.text == "He said: “It’s late.”\n"
    assert source.notes[0].startswith(
        "text.txt: not UTF-8, probably cp1252, such as '“It’s late.”'; if these words look wrong: --enc"
    )


def test_many_files_of_one_encoding_share_a_note(in_folder: Path) -> None:
    Path("songs").mkdir()
    for number in range(60):
        text = f"{LANGUAGES['french']['text']}{number}"
        Path("songs", f"{number:02}.txt").write_bytes(text.encode("cp1252" if number else "utf-8"))
    sources = read_sources(["songs"])
    assert [source.notes for source in sources if source.notes] == [
        ("songs: 60 files",),
        ("59 files: not UTF-8, read as cp1252, such as 'garçon était déjà' (--encoding NAME reads them otherwise)",),
    ]


def test_short_files_are_read_as_the_others_of_their_folder(in_folder: Path) -> None:
    texts = ["Le garçon numéro 1 était déjà là.", "déjà vu", "Où est-il passé ?", LANGUAGES["french"]["text"]]
    Path("songs").mkdir()
    for number, text in enumerate(texts):
        Path("songs", f"{number}.txt").write_bytes(text.encode("cp1252"))
    Path("songs", "russian.txt").write_bytes(LANGUAGES["russian"]["text"].encode("cp1251"))
    assert [source.text for source in read_sources(["songs"])] == [*texts, LANGUAGES["russian"]["text"]]
    assert read_sources(["songs"])[0].notes[1].startswith("4 files: not UTF-8, read as cp1252, such as 'garçon numéro était'")


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz"])
def test_short_files_are_read_as_the_others_of_their_archive(mode: str, in_folder: Path) -> None:
    texts = ["Le garçon numéro 1 était déjà là.", "déjà vu", "Où est-il passé ?", LANGUAGES["french"]["text"]]
    files = {f"{number}.txt": text.encode("cp1252") for number, text in enumerate(texts)}
    files |= {"blank.txt": b"", "photo.txt": b"\x89PNG\r\n\x1a\n", "other.py": b""}
    if mode == "zip":
        with zipfile.ZipFile("songs.archive", "w") as archive:
            for name, raw in files.items():
                archive.writestr(name, raw)
    else:
        with tarfile.open("songs.archive", mode) as tar:
            for name, raw in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(raw)
                tar.addfile(member, io.BytesIO(raw))
    sources = read_sources(["songs.archive"])
    assert [source.text for source in sources] == texts
    assert sources[0].notes == (
        "songs.archive: 4 files",
        "songs.archive: 1 file left out, empty or blank: blank.txt",
        "songs.archive: 1 file left out, not readable: photo.txt is a PNG picture, not text",
        "songs.archive: 1 file of other kinds left out: .py 1 (--glob '**/*.py' reads .py)",
        "4 files: not UTF-8, read as cp1252, such as 'garçon numéro était' (--encoding NAME reads them otherwise)",
    )


def test_an_encoding_beyond_the_sample_is_guessed_from_what_is_around(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargen.corpus.decoding.DETECTION_BYTES", 1000)
    text = "plain text\n" * 1000 + LANGUAGES["russian"]["text"]
    for size in (1, 1 << 26):
        monkeypatch.setattr(reading, "LARGE_BYTES", size)
        Path("text.txt").write_bytes(text.encode("koi8-r"))
        (source,) = read_sources(["text.txt"])
        assert (str(source.text), source.decoding.encoding) == (text, "koi8-r")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x89PNG\r\n\x1a\n\x00\x00\xff" * 9,
        bytes(range(256)) * 4,
        b"text\0" * 9,
        b"\0\5\x16\7\0\2\0\0Mac OS X        \0\2",
        b"\x7fELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0>\0\1\0\0\0",
        bytes([0x81, 0xFF] * 30),
        b"plain text, then " * 9 + b"\0",
    ],
    ids=["png", "all bytes", "zeros", "resource fork", "program", "no encoding", "a zero at the end"],
)
def test_bytes_that_are_no_text_are_refused(raw: bytes) -> None:
    with pytest.raises(CorpusError, match="is not text"):
        decode(raw)


def test_zeros_beyond_the_sample_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargen.corpus.decoding.DETECTION_BYTES", 10)
    with pytest.raises(CorpusError, match="some of its bytes are zero"):
        decode(b"plain text, and then\0")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plain", ""),
        ("It’s “late” - 20 °C", "It’s “late” °C"),
        ("été, (Noël) été ça; encore là", "été Noël ça"),
        ("x" * 99 + "é" * 99, "x" * 15 + "é" * 15 + " "),
        ("猫" * 40, f"{'猫' * 15} {'猫' * 10}"),
        ("a b\xa0 c", "b\xa0"),
    ],
)
def test_the_words_that_show_an_encoding(text: str, words: str) -> None:
    assert words_with_accents(text).startswith(words)
    assert words_with_accents(LargeText([text])).startswith(words)
    assert bool(words) == bool(words_with_accents(text))


def test_the_benchmark_counts_what_is_right(tmp_path: Path) -> None:
    for folder, raw in {
        "windows-1254-turkish": "Akşam yağmuru altında küçük kız koşuyordu.\n".encode("cp1254") * 5,
        "IBM866": (LANGUAGES["russian"]["text"]).encode("cp866"),
        "GB2312": (LANGUAGES["simplified-chinese"]["text"]).encode("gb2312"),
        "KOI8-R": (LANGUAGES["russian"]["text"]).encode("cp1251"),
        "EUC-TW": b"\xa4\xa4",
        "ascii": b"\0",
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_bytes(raw)
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert [line.split()[-2:] for line in result.stdout.splitlines()[:4]] == [
        *(["3", "60.0%"], ["0", "0.0%"], ["0", "0.0%"], ["2", "40.0%"]),
    ]
    assert "KOI8-R/a.txt: koi8-r read as cp1251" in result.stdout
    assert result.stderr == "left out: EUC-TW/a.txt is not in an encoding that Python reads\n"
