"""Every kind of token maps text to ids and back, and survives a model file."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.corpus import load_corpus
from chargen.corpus.tokens import build_vocabulary, vocabulary_from_mapping
from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary, split_words
from chargen.errors import ConfigError, UnknownTokenError
from chargen.settings.schema import CorpusConfig

TEXT = "The cat sat on the mat; the dog sat on the log.\nWho sat on the hat?\n" * 5
KINDS = ("char", "byte", "word", "bpe")
LABELS = ("female", "male")


def vocabulary(kind: str, text: str = TEXT, **options: Any) -> Vocabulary:
    return build_vocabulary(CorpusConfig(tokens=kind, **options), [text], LABELS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_encoded_is_decoded(kind: str) -> None:
    tokens = vocabulary(kind)
    ids = tokens.encode(TEXT)
    assert tokens.decode(ids) == TEXT
    assert ids.dtype == tokens.dtype
    assert 0 < ids.min() <= ids.max() < len(tokens) - len(LABELS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_survives_the_model_file(kind: str) -> None:
    tokens = vocabulary(kind)
    again = vocabulary_from_mapping(json.loads(json.dumps(tokens.to_mapping())))
    assert again == tokens
    assert hash(again) == hash(tokens)
    assert again != vocabulary("char", "another")
    np.testing.assert_array_equal(again.encode(TEXT), tokens.encode(TEXT))


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_the_last_ids_and_say_nothing(kind: str) -> None:
    tokens = vocabulary(kind)
    ids = [tokens.label_id(label) for label in LABELS]
    assert ids == [len(tokens) - 2, len(tokens) - 1]
    assert tokens.decode([ids[0], 0, *tokens.encode("The").tolist(), ids[1]]) == "The"
    assert set(ids) <= set(tokens.silent_ids)
    with pytest.raises(UnknownTokenError, match="never seen the label 'other'") as refused:
        tokens.label_id("other")
    assert refused.value.hint == "it knows female, male"


@given(st.text())
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(split_words(text)) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_bytes_joined_are_any_text(text: str) -> None:
    tokens = ByteVocabulary()
    assert tokens.decode(tokens.encode(text)) == text


HEADS = [b"PK\3\4", b"PK\5\6", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"%PDF-1.4", b"PAR1\0", b"{\\rtf", b"SQLite format 3\0"]


@given(st.binary(min_size=1) | st.builds(bytes.__add__, st.sampled_from(HEADS), st.binary()))
def test_bytes_are_the_bytes_of_any_file(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("raw") / "any.bin"
    path.write_bytes(raw + b"ab")
    (document,) = load_corpus(CorpusConfig(files=(str(path),), tokens="byte")).texts
    assert bytes((ByteVocabulary().encode(str(document)) - 1).tolist()) == raw + b"ab"


def test_a_word_vocabulary_is_capped_and_charges_for_what_it_leaves_out() -> None:
    tokens = vocabulary("word", vocab_size=5)
    assert list(tokens) == ["\ufffd", " the", " on", " sat"]
    assert tokens.encode(" the dog").tolist() == [2, 1]
    assert tokens.encode(" the dog", on_unknown="skip").tolist() == [2]
    assert tokens.decode([1]) == ""
    distinct = len(set(TEXT))
    assert tokens.spelling_nats(" the dog") == pytest.approx(5 * np.log(distinct + 1))
    assert vocabulary("word").spelling_nats(TEXT) == 0


def test_pieces_are_merged_as_the_tokenizers_library_merges_them() -> None:
    from tokenizers import Tokenizer, models

    ours = vocabulary("bpe", vocab_size=33)
    assert isinstance(ours, BpeVocabulary)
    assert len(ours.pieces) == 32
    model = models.BPE(vocab={piece: number for number, piece in enumerate(ours, start=1)}, merges=ours.merges)
    theirs = Tokenizer(model)
    for word in sorted(set(split_words(TEXT + "that hats those"))):
        assert ours.encode(word).tolist() == theirs.encode(word).ids


def merged_slowly(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """Merge all places of the pair with the earliest merge, again and again."""
    pieces = list(word)
    while ranks := [merges.index(pair) for pair in pairwise(pieces) if pair in merges]:
        first, second = merges[min(ranks)]
        place = 0
        while place + 1 < len(pieces):
            if (pieces[place], pieces[place + 1]) == (first, second):
                pieces[place : place + 2] = [first + second]
            place += 1
    return pieces


@given(st.data())
def test_pieces_are_merged_as_by_a_slow_search(data: st.DataObject) -> None:
    pieces, merges = list("abc"), list[tuple[str, str]]()
    for _ in range(data.draw(st.integers(1, 8))):
        pair = data.draw(st.tuples(st.sampled_from(pieces), st.sampled_from(pieces)))
        if pair not in merges:
            merges.append(pair)
            pieces.append("".join(pair))
    word = data.draw(st.text("abc", max_size=40))
    tokens = BpeVocabulary("abc", merges)
    assert tokens.encode(word).tolist() == [list(tokens).index(piece) + 1 for piece in merged_slowly(word, merges)]


def test_a_word_as_long_as_a_page_is_cut() -> None:
    tokens = BpeVocabulary("ab", [("a", "b"), ("ab", "a"), ("ab", "ab"), ("abab", "abab")])
    assert tokens.decode(tokens.encode("ab" * 100_000)) == "ab" * 100_000


def test_pieces_of_unknown_characters() -> None:
    tokens = vocabulary("bpe")
    with pytest.raises(UnknownTokenError, match=r"never seen 'é' \(U\+00E9\)"):
        tokens.encode("thé")
    assert tokens.decode(tokens.encode("thé", on_unknown="skip")) == "th"


def test_without_the_library_pieces_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigError, match="needs the tokenizers library") as refused:
        vocabulary("bpe")
    assert refused.value.hint == "pip install 'chargen[bpe]'"


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "syllable"},
        {"kind": "character", "characters": "aa"},
        {"kind": "character", "characters": ["a"]},
        {"kind": "character", "characters": "ab", "labels": "male"},
        {"kind": "word", "words": ["a", "a"], "num_characters": 1},
        {"kind": "word", "words": ["a"], "num_characters": -1},
        {"kind": "word", "words": "a", "num_characters": 1},
        {"kind": "bpe", "characters": "ab", "merges": [["a", "c"]]},
        {"kind": "bpe", "characters": "ab", "merges": [["a"]]},
        {"kind": "bpe", "characters": "ab", "merges": "ab"},
    ],
    ids=str,
)
def test_what_is_no_vocabulary_is_refused(mapping: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"vocabulary|merges"):
        vocabulary_from_mapping(mapping)


def test_the_kinds_are_what_they_are_called() -> None:
    kinds = {"char": CharacterVocabulary, "byte": ByteVocabulary, "word": WordVocabulary, "bpe": BpeVocabulary}
    assert {kind: type(vocabulary(kind)) for kind in KINDS} == kinds


def test_labels_are_files_or_folders(in_folder: Path) -> None:
    for folder in ("plays", "sonnets"):
        (in_folder / folder).mkdir()
        for name in ("one", "two"):
            (in_folder / folder / f"{name}.txt").write_text(f"{folder} {name}", encoding="utf-8")
    by_folder = load_corpus(CorpusConfig(files=(".",), label_by="folder"))
    assert by_folder.labels == ("plays", "sonnets")
    assert {(str(one.text).split()[0], one.label) for one in by_folder.documents} == {
        ("plays", "plays"),
        ("sonnets", "sonnets"),
    }
    by_file = load_corpus(CorpusConfig(files=("plays/one.txt", "sonnets/two.txt"), label_by="file"))
    assert by_file.labels == ("one", "two")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"kind": "character", "characters": ""}, "empty"),
        ({"kind": "character", "characters": "", "labels": ["x"]}, "empty"),
        ({"kind": "word", "words": [], "num_characters": 3}, "empty"),
        ({"kind": "bpe", "characters": "", "merges": []}, "empty"),
        ({"kind": "character", "characters": "a\ud800"}, "surrogate"),
        ({"kind": "word", "words": ["a\udfff"], "num_characters": 3}, "surrogate"),
        ({"kind": "byte", "labels": ["x", "x"]}, "twice"),
        ({"kind": "byte", "labels": [3]}, "not texts"),
        ({"kind": ["byte"]}, "kind"),
        ({"kind": "word", "words": ["a"] * ((1 << 20) + 1), "num_characters": 3}, "at most 1,048,576"),
        ({"kind": "word", "words": ["a"], "num_characters": 0x110001}, "count of characters"),
        ({"kind": "character", "characters": "a" * 0x110001}, "1,114,113 characters"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_no_vocabulary_is_made_of_what_none_can_be(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vocabulary_from_mapping(mapping)
