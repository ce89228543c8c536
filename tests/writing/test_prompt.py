"""Prompts of models of words, and lengths in characters whatever the tokens are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.errors import ConfigError, SamplingError, UnknownTokenError
from chargen.network.model_file import TextModel
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig
from chargen.settings.writing import WritingOptions
from chargen.writing.beam import beam_search
from chargen.writing.generation import continue_prompt, sample_texts, stream_text
from chargen.writing.prompt import read_prompt
from chargen.writing.request import Request, make_request
from chargen.writing.selection import Constraints, select_texts
from tests.writing.samplers import sampler_of

RandomModel = Callable[..., TextModel]

WORDS = WordVocabulary(["The", " cat", " sat", "sat", ".", "\n"], num_characters=9)
BPE = BpeVocabulary("abc", [("a", "b"), ("ab", "c")])
VOCABULARIES: list[Vocabulary] = [WORDS, BPE, CharacterVocabulary("abc\n"), ByteVocabulary()]
BY_KIND = pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=lambda one: one.kind)


def drawn(seed: int = 1, **options: Any) -> dict[str, Any]:
    return {"sampler": sampler_of(), "rng": np.random.default_rng(seed)} | options


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("dog", "'dog'"),
        ("The dog sat", "'dog'"),
        ("The dog, dog", "'dog', ','"),
        ("The\tcat", "'\\t' (U+0009)"),
        ("The  cat", "' ' (U+0020)"),
        (" ".join("uvwxyz"), "'u', 'v', 'w', 'x', 'y' and more"),
    ],
)
def test_an_unknown_word_is_named(text: str, named: str) -> None:
    with pytest.raises(UnknownTokenError) as raised:
        read_prompt(WORDS, text)
    assert raised.value.message == f"the model has never seen {named}"


@pytest.mark.parametrize(("on_unknown", "ids"), [("skip", [2, 3, 6]), ("nearest", [2, 1, 3, 1, 6])])
def test_an_unknown_word_is_left_out_or_unknown_and_the_text_stays(on_unknown: str, ids: list[int]) -> None:
    prompt = read_prompt(WORDS, "The dog cat, .", on_unknown=on_unknown)
    assert prompt.text == "The dog cat, ."
    assert prompt.ids.tolist() == ids
    names = {"skip": ["The", " cat", "."], "nearest": ["The", " dog", " cat", ",", "."]}
    assert prompt.tokens(WORDS) == names[on_unknown]


def test_a_word_is_known_with_or_without_the_space_before_it() -> None:
    assert read_prompt(WORDS, "cat The.sat").ids.tolist() == [3, 2, 6, 5]
    assert read_prompt(WORDS, "cat sat").ids.tolist() == [3, 4]


def test_a_space_at_the_end_is_that_of_the_next_word(random_model: RandomModel) -> None:
    prompt = read_prompt(WORDS, "The ")
    assert (prompt.ids.tolist(), prompt.fit(" cat"), prompt.fit(".")) == ([2], "cat", ".")
    spaced = WordVocabulary(["The", " "], num_characters=9)
    assert read_prompt(spaced, "The ").ids.tolist() == [2, 3]
    model = random_model(vocabulary=WORDS)
    with_space, without = (
        [one.removeprefix(text) for one in make_request(model, text, WritingOptions(random_seed=3, count=5)).write().texts]
        for text in ("The ", "The")
    )
    assert with_space == [text.removeprefix(" ") for text in without]
    pieces = "".join(Request(model, prompt, WritingOptions(random_seed=3)).stream())
    assert pieces == Request(model, prompt, WritingOptions(random_seed=3)).write().texts[0]
    assert len([one for one in without if one.startswith(" ")]) > 1


def test_an_unknown_character_has_the_nearest_one_in_pieces_of_words_too() -> None:
    assert BPE.encode("aB\u00e7", on_unknown="nearest").tolist() == BPE.encode("abc").tolist()
    assert BPE.encode("aZ", on_unknown="skip").tolist() == BPE.encode("a").tolist()


@BY_KIND
@given(length=st.integers(0, 40), seed=st.integers(0, 99), until=st.sampled_from([None, "a", "cat", "ca"]))
def test_no_text_is_longer_than_its_length(vocabulary: Vocabulary, length: int, seed: int, until: str | None) -> None:
    model = make_model(vocabulary)
    ids = vocabulary.encode("")
    texts = continue_prompt(model, ids, count=3, length=length, until=until, **drawn(seed))
    for text, stopped in texts:
        assert len(text) <= length
        assert stopped == ("until" if until and until in text else "length")
        assert len(text) == length or stopped == "until"
    pieces = stream_text(model, ids, length=length, until=until, **drawn(seed))
    (one,) = continue_prompt(model, ids, count=1, length=length, until=until, **drawn(seed))
    assert collected(pieces) == (one.text, one.stopped)
    found = beam_search(model, ids, width=4, length=min(length, 6), until=until)
    assert {len(one.text) for one in found if one.stopped == "length"} <= {min(length, 6)}
    assert len({one.text for one in found}) == len(found)


def collected(pieces: Any) -> tuple[str, str]:
    """Return what a generator yields as one text, and what it returns."""
    text = ""
    while True:
        try:
            text += next(pieces)
        except StopIteration as end:
            return text, end.value


def make_model(vocabulary: Vocabulary, **fields: Any) -> TextModel:
    """Make a network that draws every token alike."""
    config = NetworkConfig(hidden_size=2, embedding_size=2)
    weights = {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(config, len(vocabulary)).items()}
    network = Network(config, len(vocabulary), weights)
    known: dict[str, Any] = {"reading": "document", "context_length": 3, "primer": (1,), "ends": False}
    return TextModel(network=network, vocabulary=vocabulary, **known | fields)


@BY_KIND
def test_rows_that_have_stopped_do_not_wait_for_others(vocabulary: Vocabulary) -> None:
    """A line that reaches its length in a batch says so, whatever would have come after it."""
    model = make_model(vocabulary, reading="line", ends=True)
    lines = continue_prompt(model, vocabulary.encode(""), count=300, length=5, **drawn())
    assert {one.stopped for one in lines} == {"end", "length"}
    assert all((len(one.text) == 5) == (one.stopped == "length") for one in lines)


def test_a_least_length_is_in_characters(random_model: RandomModel) -> None:
    for vocabulary in VOCABULARIES:
        model = make_model(vocabulary, reading="line", ends=True)
        texts = sample_texts(model, vocabulary.encode(""), count=60, length=50, min_length=7, **drawn())
        assert 7 <= min(map(len, texts)) <= 10


def test_different_texts_are_drawn_until_there_are_enough() -> None:
    model = make_model(CharacterVocabulary("ab"), reading="line", ends=True)
    prompt = read_prompt(model.vocabulary, "")
    options = {"constraints": Constraints(WritingOptions(max_length=2)), "length": 3, "tries": 9999}
    some = select_texts(model, prompt, count=6, distinct=True, **options, **drawn())
    assert sorted(one.text for one in some) == ["a", "aa", "ab", "b", "ba", "bb"]  # all there are
    plain = select_texts(model, prompt, count=600, **options, **drawn())
    assert [one.text for one in some] == list(dict.fromkeys(one.text for one in plain))


def test_where_there_are_no_more_different_texts() -> None:
    model = make_model(CharacterVocabulary("ab"), reading="line", ends=True)
    prompt = read_prompt(model.vocabulary, "")

    def texts(model: TextModel = model, **options: Any) -> list[str]:
        return Request(model, prompt, WritingOptions(**{"count": 5} | options)).write().texts

    assert sorted(texts(max_length=1)) == ["a", "b"]  # without being asked for
    assert len(texts(max_length=1, distinct=False)) == 5
    with pytest.raises(SamplingError, match=r"only 2 different texts among .* drawn, expected 5; .* --no-distinct"):
        texts(max_length=1, distinct=True)
    with pytest.raises(SamplingError, match="only 2 different texts among 5,000 drawn"):
        texts(max_length=1, distinct=True, tries=5000)
    with pytest.raises(SamplingError, match="0 of 300 drawn texts satisfy the conditions, expected 5"):
        Request(model, prompt, WritingOptions(novel=True, count=5, tries=300), lambda *_: False).write()
    assert texts(greedy=True) == ["a"]
    document = make_model(CharacterVocabulary("ab"))
    assert len(texts(document, greedy=True, length=3)) == 5


def test_half_a_surrogate_pair_is_no_byte() -> None:
    with pytest.raises(UnknownTokenError, match="half of a surrogate pair"):
        read_prompt(ByteVocabulary(), "a\ud800")
    assert read_prompt(ByteVocabulary(), "a\udcff").ids.tolist() == [0x62, 0x100]  # which stands for the byte FF


def test_a_beam_search_is_a_request_too() -> None:
    model = make_model(CharacterVocabulary("ab"), reading="line", ends=True)
    prompt = read_prompt(model.vocabulary, "")
    found = Request(model, prompt, WritingOptions(beam=4, length=3, count=2)).write()
    assert found.texts == [one.text for one in beam_search(model, prompt.ids, width=4, length=3)[:2]]
    with pytest.raises(SamplingError, match="the search found 2 of 3 texts; keep more with --beam"):
        Request(model, prompt, WritingOptions(beam=3, max_length=1, count=3)).write()


def test_a_beam_search_excludes_what_needs_draws() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"novel": True}, "--novel"),
        ({"must_contain": "a"}, "--must-contain"),
        ({"tries": 5}, "--tries"),
        ({"temperature": (0.5,)}, "--temp"),
        ({"cache": 0.5}, "--cache"),
    ]
    for options, flag in cases:
        with pytest.raises(ConfigError, match=f"--beam draws nothing, which excludes {flag};"):
            WritingOptions(beam=2, **options)
    assert WritingOptions(beam=2).beam == 2
