import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary, name_characters
from chargen.errors import UnknownTokenError

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts)
def test_a_text_comes_back_as_it_was(text: str, other: str) -> None:
    vocabulary = CharacterVocabulary.of([text, other])
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert len(ids) == len(text)
    assert BOUNDARY not in ids
    assert list(vocabulary) == sorted(set(text + other))


@given(st.permutations("aé日\U0001f600z"))
def test_any_order_of_characters_will_do(order: list[str]) -> None:
    vocabulary = CharacterVocabulary(order)
    assert vocabulary.encode("".join(order)).tolist() == [1, 2, 3, 4, 5]


def test_the_boundary_stands_for_no_text() -> None:
    assert CharacterVocabulary("ab").decode([BOUNDARY, 1, BOUNDARY, 2]) == "ab"


@pytest.mark.parametrize(("characters", "dtype"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, np.uint32)])
def test_ids_take_the_narrowest_type(characters: int, dtype: type) -> None:
    vocabulary = CharacterVocabulary(map(chr, range(0x10000, 0x10000 + characters)))
    ids = vocabulary.encode(vocabulary.characters)
    assert ids.dtype == dtype
    assert ids.max() == characters == len(vocabulary) - 1


def test_it_speaks_python() -> None:
    vocabulary = CharacterVocabulary("abé")
    assert len(vocabulary) == 4
    assert "é" in vocabulary
    assert "ab" not in vocabulary
    assert vocabulary == CharacterVocabulary.of(["éa", "b"])
    assert vocabulary != CharacterVocabulary("ab")
    assert len({vocabulary, CharacterVocabulary("abé")}) == 1
    with pytest.raises(ValueError, match="twice"):
        CharacterVocabulary("aa")


def test_unknown_characters_are_named() -> None:
    with pytest.raises(UnknownTokenError, match=r"'Ж' \(U\+0416\)") as refused:
        CharacterVocabulary("ab").encode("aЖb")
    assert "--on-unknown" in str(refused.value.hint)
    with pytest.raises(UnknownTokenError, match="and more"):
        CharacterVocabulary("ab").encode("uvwxyz")


@pytest.mark.parametrize(
    ("text", "choice", "expected"),
    [("aЖb", "skip", "ab"), ("ЖЖ", "skip", ""), ("AB", "nearest", "ab"), ("àÉ", "nearest", "ae"), ("c", "nearest", "b")],
)
def test_unknown_characters_are_skipped_or_replaced(text: str, choice: str, expected: str) -> None:
    vocabulary = CharacterVocabulary("abe")
    assert vocabulary.decode(vocabulary.encode(text, on_unknown=choice)) == expected


def test_five_characters_are_named_at_most() -> None:
    assert name_characters("ba") == "'a' (U+0061), 'b' (U+0062)"
    assert name_characters("abcde").endswith("'e' (U+0065)")
    assert name_characters("abcdef").endswith("'e' (U+0065) and more")
