"""Untidy texts: each is read correctly, from the file to the plan, or refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus import large_text, reading
from chargen.corpus.corpus import load_corpus
from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary, split_words
from chargen.errors import CorpusError, UnknownTokenError
from chargen.settings.schema import CorpusConfig, Settings, TrainingConfig
from chargen.training.planning.text_plan import TextPlan, make_plan

Invoke = Callable[..., Result]

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
COMBINED = "e\u0301 n\u0303 o\u0308\u0304 \u0928\u092e\u0938\u094d\u0924\u0947 "
RIGHT_TO_LEFT = "שלום, عالم! \u200f123\u200e "
FRENCH = "Été comme hiver, le garçon naïf rêvait déjà à Noël ; où était-il passé ? À l'école, bien sûr.\n" * 3
MANY = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
LONG = "on and on " * 30_000

# The bytes of the file, and the text read from it.
READ: dict[str, tuple[bytes, str]] = {
    "two characters": (b"ab", "ab"),
    "UTF-8 with a byte order mark": (b"\xef\xbb\xbfa text with a mark", "a text with a mark"),
    "UTF-16 with a byte order mark": ("a wide té\U0001f600".encode("utf-16"), "a wide té\U0001f600"),
    "UTF-16, the other order": (b"\xfe\xff" + "a wide té".encode("utf-16-be"), "a wide té"),
    "UTF-16 without a mark": ("a wide text of ascii".encode("utf-16-le"), "a wide text of ascii"),
    "UTF-32": ("a wider té".encode("utf-32"), "a wider té"),
    "latin-1": (FRENCH.encode("latin-1"), FRENCH),
    "cut UTF-8 behind a mark": (b"\xef\xbb\xbfabcd\xc3", "abcd"),
    "a stray byte in UTF-8": ("café, naïve".encode() + b" caf\xe9s", "café, naïve cafés"),
    "line ends of Windows": (b"one\r\ntwo\r\n\r\nthree\r", "one\ntwo\n\nthree\n"),
    "control characters": (b"\x01\x1b[31mred\x1b[0m\x7f\x0c\x0b", "\x01\x1b[31mred\x1b[0m\x7f\x0c\x0b"),
    "combining characters": (COMBINED.encode(), COMBINED),
    "emoji with joiners": (f"{FAMILY}, {FAMILY}!".encode(), f"{FAMILY}, {FAMILY}!"),
    "right to left": (RIGHT_TO_LEFT.encode(), RIGHT_TO_LEFT),
    "a mark within": ("one\ufefftwo".encode(), "one\ufefftwo"),
    "not a character": ("a\uffff\ufdd0b\ufffd".encode(), "a\uffff\ufdd0b\ufffd"),
    "one long line": (LONG.encode(), LONG),
    "20,000 distinct characters": (MANY.encode(), MANY),
}

# The bytes of the file, options, and the message.
REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "empty": (b"", {}, "text.txt is empty"),
    "one character": (b"x", {}, "text.txt holds only one character, expected two"),
    "one character of four bytes": ("\U0001f600".encode(), {}, "one character"),
    "a byte order mark": (b"\xef\xbb\xbf", {}, "holds only blank lines"),
    "a wide byte order mark": (b"\xff\xfe", {}, "holds only blank lines"),
    "blank": (b" \r\n\t\n", {}, "holds only blank lines"),
    "shorter than a window": (b"short", {"context_length": 9}, "4 tokens in a row to train on, one window needs 10"),
    "zero bytes": (b"text\0with zeros\0", {}, "text.txt is not text: "),
    "no encoding": (bytes([0x81, 0xFF] * 30), {}, "text.txt is not text: byte 0 is not UTF-8, and no other encoding fits"),
    "invalid UTF-8, forced": (b"ab\xc3\xa9\xff", {"encoding": "utf-8"}, "text.txt is not utf-8 text at byte 4"),
    "cut UTF-8, forced": (b"abcdefgh\xc3", {"encoding": "utf-8"}, "text.txt is not utf-8 text at byte 8"),
    "cut UTF-8 behind a mark, forced": (
        b"\xef\xbb\xbfab\xc3",
        {"encoding": "utf_8_sig"},
        "text.txt is not utf-8 text at byte 5",
    ),
    "surrogates in UTF-8, forced": (b"ab\xed\xa0\x80", {"encoding": "utf-8"}, "is not utf-8 text at byte 2"),
    "cut UTF-16": (b"\xff\xfea\0b\0c", {}, "is not utf-16 text at byte 6"),
    "lone surrogate in UTF-16": (b"\xff\xfea\0\0\xd8b\0", {}, "is not utf-16 text at byte 4"),
    "lone surrogate by escape": (b"ab \\ud800 cd", {"encoding": "unicode_escape"}, "half a surrogate pair, U+D800"),
    "ascii, forced": ("naïve".encode(), {"encoding": "ascii"}, "text.txt is not ascii text at byte 2"),
    "unknown encoding": (b"text", {"encoding": "utf-9"}, "unknown encoding 'utf-9'"),
    "a codec of bytes": (b"text", {"encoding": "hex"}, "unknown encoding 'hex'"),
    "no name of an encoding": (b"text", {"encoding": "utf-8\0"}, r"unknown encoding 'utf-8\x00'"),
}

# The bytes of the file, the requested encoding, and the text read from it.
FORCED: dict[str, tuple[bytes, str, str]] = {
    "zero bytes": (b"a\0b", "utf-8", "a\0b"),
    "a mark": (b"\xef\xbb\xbfabc", "utf-8", "abc"),
    "UTF-16 with a mark": ("abc".encode("utf-16"), "utf-16", "abc"),
    "UTF-16 without a mark": ("abc".encode("utf-16-le"), "UTF16", "abc"),
    "a mark in UTF-16": ("\ufeffabc".encode("utf-16-be"), "utf-16-be", "abc"),
    "latin-1": (b"\xe9t\xe9\x81", "latin-1", "été\x81"),
}


@pytest.fixture(params=["in memory", "in files"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read small files as they are, and as large files, in pieces that cut characters and line ends in two."""
    if request.param == "in files":
        monkeypatch.setattr(reading, "LARGE_BYTES", 1)
        monkeypatch.setattr(large_text, "BLOCK", 1009)


@pytest.fixture
def plan_of(in_folder: Path, size: None) -> Callable[..., TextPlan]:
    """Read a file and plan a training on it."""

    def plan(raw: bytes, *, context_length: int = 1, **options: Any) -> TextPlan:
        (in_folder / "text.txt").write_bytes(raw)
        config = CorpusConfig(files=("text.txt",), validation_split=0.1, **options)
        chosen = Settings(corpus=config, training=TrainingConfig(context_length=context_length))
        return make_plan(chosen, load_corpus(config))

    return plan


def check(plan: TextPlan, text: str) -> None:
    """Assert that a plan is for this text, and that its first batch is one of the text."""
    (document,) = plan.corpus.texts
    assert str(document) == text
    assert plan.vocabulary.decode(plan.vocabulary.encode(text)) == text
    assert plan.training.num_steps > 0
    assert plan.training.batch(0, 0).inputs.max() < len(plan.vocabulary)


@pytest.mark.parametrize("name", READ)
def test_texts_that_are_read(name: str, plan_of: Callable[..., TextPlan]) -> None:
    raw, text = READ[name]
    if len(text) < 3:
        with pytest.raises(CorpusError, match="1 tokens in a row to train on, one window needs 2"):
            plan_of(raw)
        check(plan_of(raw * 2), text * 2)
        return
    check(plan_of(raw), text)


@pytest.mark.parametrize("name", REFUSED)
def test_texts_that_are_refused(name: str, plan_of: Callable[..., TextPlan]) -> None:
    raw, options, message = REFUSED[name]
    with pytest.raises(CorpusError) as refused:
        plan_of(raw, **options)
    assert message in refused.value.message
    assert refused.value.hint
    assert "\n" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize("name", FORCED)
def test_encodings_that_are_forced(name: str, plan_of: Callable[..., TextPlan]) -> None:
    raw, encoding, text = FORCED[name]
    check(plan_of(raw, encoding=encoding), text)


ODD_BYTES = [
    b"a",
    b"b ",
    b"\r",
    b"\n",
    b"\0",
    b"\xc3",
    b"\xa9",
    b"\xe9",
    b"\x81",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\xbd",
    b"\xed\xb8\x80",
]
ODD_ENCODINGS = ["auto", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp932", "utf-7"]


@given(st.lists(st.sampled_from(ODD_BYTES)).map(b"".join) | st.binary(), st.sampled_from(ODD_ENCODINGS))
@settings(max_examples=500, deadline=None)
def test_the_size_of_a_file_changes_nothing(tmp_path_factory: pytest.TempPathFactory, raw: bytes, encoding: str) -> None:
    path = tmp_path_factory.getbasetemp() / "text.txt"
    path.write_bytes(raw)
    outcomes = []
    for large in (1 << 26, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "LARGE_BYTES", large)
            patch.setattr(large_text, "BLOCK", 7)
            try:
                (source,) = reading.read_sources([str(path)], encoding=encoding)
                outcomes.append((str(source.text), source.notes))
            except CorpusError as error:
                outcomes.append((error.message, str(error.hint)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("kind", ["byte", "word", "bpe"])
@pytest.mark.parametrize("name", [one for one in READ if one != "two characters"])
def test_other_tokens(kind: str, name: str, in_folder: Path) -> None:
    (in_folder / "text.txt").write_text(" ".join([READ[name][1]] * 2), encoding="utf-8", newline="")
    config = CorpusConfig(files=("text.txt",), tokens=kind, validation_split=0)
    training = TrainingConfig(context_length=1)
    plan = make_plan(Settings(corpus=config, training=training), load_corpus(config))
    text = str(next(iter(plan.corpus.texts)))
    assert plan.vocabulary.decode(plan.vocabulary.encode(text)) == text


@pytest.mark.parametrize("name", ["empty", "one character", "zero bytes", "no encoding", "lone surrogate in UTF-16"])
def test_a_refusal_is_one_line(name: str, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "text.txt").write_bytes(REFUSED[name][0])
    result = invoke("train", "text.txt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert not (in_folder / "runs").exists()


@pytest.mark.parametrize(
    ("raw", "options"),
    [
        ("\ufeff".encode() + FRENCH.encode(), []),
        (FRENCH.encode("utf-16"), []),
        (b"a\0b\0\x1b[31mc" * 30, ["--encoding", "utf-8"]),
        (b"a\0b\xff\r\n" * 30, ["--tokens", "byte"]),
        ((COMBINED + FAMILY + RIGHT_TO_LEFT).encode() * 9, []),
        ((COMBINED + FAMILY + RIGHT_TO_LEFT).encode() * 9, ["--tokens", "bpe"]),
        ((COMBINED + FAMILY + RIGHT_TO_LEFT).encode() * 9, ["--tokens", "word"]),
        (MANY[:3000].encode(), []),
        (b"a line without an end " * 200, []),
    ],
    ids=["mark", "wide", "zeros", "bytes", "scripts", "pieces of scripts", "words of scripts", "many", "long line"],
)
def test_from_text_to_text(raw: bytes, options: list[str], invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "text.txt").write_bytes(raw)
    small = ["--backend", "numpy", "--epochs", 1, "--context-length", 5, "--hidden-size", 4, "--sample-length", 20]
    trained = invoke("train", "text.txt", *small, *options)
    assert trained.exit_code == 0, trained.stderr
    written = invoke("sample", "--length", 30, "--random-seed", 1)
    assert (written.exit_code, written.stderr) == (0, "")
    result = json.loads(invoke("sample", "--length", 30, "--random-seed", 1, "--count", 2, "--json").stdout)
    assert len(result["texts"]) == 2


@pytest.mark.parametrize("name", ["a" * 300 + ".txt", "\udcff.txt", "a\0b.txt", "line\nbreak.txt"])
def test_names_of_files_that_are_not_there(name: str, invoke: Invoke) -> None:
    result = invoke("train", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "internal" not in result.stderr


# Every code point of texts; half a surrogate pair can come only from the raw bytes of a file.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
any_texts = st.text(st.characters(), max_size=40)
WORDS = ["the", " the", "e\u0301", FAMILY, "שלום", "\r\n", "\0", " ", "\n", "\x1b[", "日本", "\ufeff", "\ufffd\ufffd"]
joined = st.lists(st.sampled_from(WORDS) | texts, max_size=8).map("".join)


def comes_back(vocabulary: Vocabulary, text: str) -> bool:
    ids = vocabulary.encode(text)
    return vocabulary.decode(ids) == text and ids.dtype == vocabulary.dtype


@given(any_texts)
@settings(max_examples=5000, deadline=None)
def test_characters_come_back(text: str) -> None:
    assert comes_back(CharacterVocabulary.of([text]), text)


@given(joined)
@settings(max_examples=5000, deadline=None)
def test_bytes_come_back(text: str) -> None:
    assert comes_back(ByteVocabulary(), text)


@given(joined)
@settings(max_examples=5000, deadline=None)
def test_words_come_back(text: str) -> None:
    assert comes_back(WordVocabulary.of([text], max_size=10_000), text)


@given(joined, st.integers(0, 9))
@settings(max_examples=5000, deadline=None)
def test_pieces_come_back(text: str, num_merges: int) -> None:
    words = [word for word in split_words(text) if len(word) > 1][:num_merges]
    merges = [(word[0], word[1]) for word in words] + [(word[:2], word[2]) for word in words if len(word) > 2]
    assert comes_back(BpeVocabulary("".join(sorted(set(text))), merges), text)


@given(st.lists(texts, min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_pieces_that_the_library_found_come_back(parts: list[str]) -> None:
    text = "".join(parts) * 5 + "ab"
    assert comes_back(BpeVocabulary.of([text], max_size=60), text)


def test_a_long_word_takes_no_longer_than_its_length() -> None:
    word = "aab" * 50_000
    vocabulary = BpeVocabulary("ab", [("a", "a"), ("aa", "b"), ("aab", "aab")])
    assert vocabulary.encode(word).tolist() == [vocabulary.pieces.index("aabaab") + 1] * 25_000


def test_pieces_that_were_left_out_once_are_still_unknown() -> None:
    vocabulary = BpeVocabulary("abc", [("a", "b")])
    assert vocabulary.decode(vocabulary.encode("abxc", on_unknown="skip")) == "abc"
    with pytest.raises(UnknownTokenError, match=r"never seen 'x' \(U\+0078\)"):
        vocabulary.encode("abxc")
