"""Damaged UTF-8 is read as UTF-8, and the damage and its repair are reported."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus import utf8
from chargen.corpus.decoding import decode
from chargen.corpus.reading import read_sources
from chargen.errors import CorpusError

FRENCH = "Été comme hiver, le garçon naïf rêvait déjà à Noël.\nOù était-il passé ? À l'école, bien sûr.\n"
RUSSIAN = "Все счастливые семьи похожи друг на друга.\nКаждая несчастливая семья несчастлива по-своему.\n"
CHINESE = "从前有一个老渔夫。\n他和妻子住在海边的一间小屋里。\n"
POLISH = "Książę wyszedł z zamku wcześnie rano.\nMgła leżała nad łąkami, więc włożył płaszcz.\n"
TEXTS = {"cp1252": FRENCH, "cp1251": RUSSIAN, "gb18030": CHINESE, "cp1250": POLISH}


def report(raw: bytes) -> str:
    """Return the report about a damaged text."""
    damage = decode(raw).decoding.damage
    return damage.describe() if damage else ""


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_last_character_that_is_cut_off_is_left_out(text: str) -> None:
    character = next(one for one in text if not one.isascii()).encode()
    for length in range(1, len(character)):
        raw = text.encode() + character[:length]
        assert decode(raw).text == text
        assert f"the last character, at byte {len(text.encode())} (line 3), is incomplete and left out" in report(raw)
        assert "UTF-8 except" not in report(raw)
        assert "--encoding" in report(raw)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_first_character_that_is_cut_off_is_left_out(text: str) -> None:
    character = next(one for one in text if not one.isascii()).encode()
    for length in range(1, len(character)):
        assert decode(character[length:] + text.encode()).text == text
        assert "the first character is incomplete and left out" in report(character[length:] + text.encode())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_stray_quotation_mark_is_one(text: str) -> None:
    first, second = text.splitlines()[:2]
    raw = f"{first}\n".encode() + b"\x92" + second.encode()
    assert decode(raw).text == f"{first}\n’{second}"
    place = len(first.encode()) + 1
    assert report(raw).startswith(f"UTF-8 except for 1 byte, at byte {place} (line 2), read as cp125")


@pytest.mark.parametrize(
    ("text", "raw", "read"),
    [
        (FRENCH, b"caf\xe9s", "cafés"),
        (POLISH, b"ksi\xb9\xbf\xea", "książę"),
        (RUSSIAN, b"\xc4\xe0, ", "Да, "),
        ("“Three” — marks, and else ASCII. " * 3, b"caf\xe9.", "café."),
        (FRENCH, b"\x93caf\xe9\x94", "“café”"),
    ],
    ids=["French", "Polish", "Russian", "mostly ASCII", "two in a row"],
)
def test_a_stray_letter_is_read_in_the_usual_encoding_of_the_language(text: str, raw: bytes, read: str) -> None:
    assert decode(text.encode() + raw + b"\n" + text.encode()).text == f"{text}{read}\n{text}"


@pytest.mark.parametrize(
    ("raw", "read", "message"),
    [
        (
            "Все сч".encode() + b"\xd0" + "стливые".encode(),
            "Все сч\ufffdстливые",
            "1 byte, at byte 11 (line 1), replaced by U+FFFD",
        ),
        ("从前".encode() + b"\xe6\x9c" + "一个".encode(), "从前\ufffd一个", "2 bytes, the first at byte 6 (line 1), replaced"),
        ("é ".encode() * 3 + b"\xc0\x80", "é é é \ufffd", "2 bytes, the first at byte 9 (line 1), replaced by U+FFFD"),
        ("é ".encode() * 3 + b"\xed\xa0\xbd.", "é é é \ufffd.", "3 bytes, the first at byte 9 (line 1), replaced by U+FFFD"),
        ("é ".encode() + b"\xed\xa0\xbd\xed\xb8\x80", "é \U0001f600", "UTF-8; characters in CESU-8 read as such: 1 (--enc"),
    ],
    ids=["lost half", "lost third", "overlong", "half a pair", "pair"],
)
def test_what_is_left_of_a_character(raw: bytes, read: str, message: str) -> None:
    assert decode(raw).text == read
    assert message in report(raw)


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("first", [True, False])
def test_two_encodings_in_one_text_are_each_read(encoding: str, first: bool) -> None:
    text = TEXTS[encoding] * 4
    other = text.encode(encoding)
    raw = other + text.encode() if first else text.encode() + other
    assert decode(raw).text == text * 2
    line = 1 if first else text.count("\n") + 1
    assert f"(line {line})" in report(raw)
    assert f"read as {encoding}, such as '" in report(raw)


@pytest.mark.parametrize(
    "raw",
    [
        FRENCH.encode("cp1252"),
        FRENCH.encode("cp1252") + "É»".encode("cp1252"),
        b"caf\xe9",
        RUSSIAN.encode("koi8-r") + "ещё всё".encode("koi8-r"),
        *(text.encode(encoding) for encoding, text in TEXTS.items()),
    ],
)
def test_other_encodings_are_not_damaged_utf_8(raw: bytes) -> None:
    assert not utf8.is_utf8(raw)
    assert decode(raw).decoding.damage is None


def test_an_encoding_that_is_named_is_not_mended() -> None:
    with pytest.raises(CorpusError, match="is not utf-8 text at byte"):
        decode(FRENCH.encode() + b"\xc3", encoding="utf-8")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff"), min_size=1), st.integers(1, 3))
def test_a_cut_leaves_the_text_before_it(text: str, length: int) -> None:
    before = f"é à {text}"
    raw = before.encode() + "\U0001f600".encode()[:length]
    assert decode(raw).text == before


@given(st.text("é猫a\n\U0001f600"), st.integers(4, 9), st.booleans())
def test_lines_of_any_length_are_decoded(text: str, longest: int, cut: bool) -> None:
    raw = b"\x92 caf\xe9\n" + text.encode() + b"\xe2\x80" * cut
    mender = utf8.Utf8Repairer("é".encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utf8, "LONGEST_PIECE", longest)
        assert "".join(mender.blocks(io.BytesIO(b"x" + raw))) == f"x’ café\n{text}"
    assert mender.damage.num_bytes == 2
    assert mender.damage.cut_end == ((len(raw) - 1, text.count("\n") + 2) if cut else None)


def test_only_the_first_damaged_files_have_notes_of_their_own(in_folder: Path) -> None:
    Path("songs").mkdir()
    for number in range(9):
        Path("songs", f"{number}.txt").write_bytes(f"{number} {FRENCH}".encode() + b"\xc3")
    notes = [note for source in read_sources(["songs"]) for note in source.notes]
    assert len(notes) == 5
    assert notes[1].startswith("0.txt: UTF-8; the last character, at byte ")
    assert notes[4] == "6 more files in damaged UTF-8: 3.txt, 4.txt, 5.txt, 6.txt, 7.txt and 1 more"
