import math
from collections.abc import Callable

import numpy as np
import pytest

from chargen.corpus.vocabulary import BOUNDARY, ByteVocabulary, CharacterVocabulary
from chargen.corpus.words import WordVocabulary
from chargen.insight.passages import read_passages
from chargen.insight.surprise import Surprise, measure_surprise
from chargen.network.model_file import TextModel
from chargen.writing import reading
from chargen.writing.sampling import softmax

MakeModel = Callable[..., TextModel]


def measured(model: TextModel, text: str) -> Surprise:
    return measure_surprise(model, read_passages(model, text))


def expected_bits(model: TextModel, ids: list[int]) -> list[float]:
    """Return the bits of each token, from the network's logits over the start token and the tokens."""
    logits, _ = model.network.logits(np.array([[model.start_id, *ids]]), model.network.zero_state(1))
    return [-math.log2(row[token]) for row, token in zip(softmax(logits[0]), ids, strict=False)]


@pytest.mark.parametrize("at_once", [1, 100, 1 << 20])
def test_bits_are_those_of_the_networks_probabilities(
    at_once: int, random_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LOGITS_AT_ONCE", at_once)
    model = random_model()
    text = "aHb\nab\u00e9cc\n" * 3
    result = measured(model, text)
    *expected, end = expected_bits(model, [*model.vocabulary.encode(text).tolist(), BOUNDARY])
    np.testing.assert_allclose(result.measured.bits, expected, rtol=1e-5)
    assert result.end_bits == pytest.approx(end, rel=1e-5)
    assert result.pieces == list(text)
    assert [(one.number, one.start, one.stop) for one in result.lines][:3] == [(1, 0, 4), (2, 4, 10), (3, 10, 14)]
    assert result.characters == len(text) + 1
    assert result.bits_per_character == pytest.approx((sum(expected) + end) / (len(text) + 1))


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_every_line_is_read_from_its_own_beginning_to_its_end(
    rows: int, random_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", rows)
    model = random_model(reading="line", characters="abH")
    result = measured(model, "aHb\n\nb\nbbHab")
    expected = [expected_bits(model, [*model.vocabulary.encode(line).tolist(), 0]) for line in ("aHb", "b", "bbHab")]
    np.testing.assert_allclose(result.measured.bits, np.concatenate(expected), rtol=1e-5)
    assert "".join(result.pieces) == "aHb\nb\nbbHab\n"
    assert [one.number for one in result.lines] == [1, 3, 4]
    np.testing.assert_allclose([result.line_bits(one) for one in result.lines], [np.mean(bits) for bits in expected], rtol=1e-5)


def test_alternatives_are_the_most_probable_tokens(random_model: MakeModel) -> None:
    model = random_model(reading="line", characters="abcdH")
    result = measured(model, "aHb")
    for place in range(4):
        alternatives = result.alternatives(place)
        chances = [one.probability for one in alternatives]
        assert chances == sorted(chances, reverse=True)
        assert len(alternatives) == 5
        chance = 2 ** -result.measured.bits[place]
        token = None if place == 3 else "aHb"[place]
        among = {one.token: one.probability for one in alternatives}
        assert among.get(token, chance) == pytest.approx(chance, rel=1e-5)
        assert token in among or chance <= chances[-1] + 1e-6
    assert None not in [one.token for one in result.alternatives(0)]


def test_a_model_of_few_tokens_has_few_alternatives(random_model: MakeModel) -> None:
    assert [len(measured(random_model(characters="ab"), "aba").alternatives(place)) for place in range(3)] == [2, 2, 2]


def test_the_bytes_of_a_character_add_up(random_model: MakeModel) -> None:
    model = random_model(vocabulary=ByteVocabulary())
    text = "a\u00e9\u20ac\n"
    result = measured(model, text)
    each = expected_bits(model, model.vocabulary.encode(text).tolist())
    assert result.pieces == list(text)
    np.testing.assert_allclose(result.measured.bits, [each[0], sum(each[1:3]), sum(each[3:6]), each[6]], rtol=1e-5)


def test_labels_and_unknown_words(random_model: MakeModel) -> None:
    labelled = random_model(reading="line", vocabulary=CharacterVocabulary("ab", ("x", "y"))).with_label("y")
    np.testing.assert_allclose(measured(labelled, "abba").measured.bits, expected_bits(labelled, [1, 2, 2, 1, 0]), rtol=1e-5)
    words = random_model(vocabulary=WordVocabulary(["a", " b"], num_characters=5))
    result = measured(words, "a zebra b")
    assert result.pieces == ["a", " zebra", " b"]
    plain = expected_bits(words, words.vocabulary.encode("a zebra b").tolist())
    spelling = [0, 7 * math.log2(6), 0]  # six characters and the end of the word, of five characters and the end
    np.testing.assert_allclose(result.measured.bits, np.add(plain, spelling), rtol=1e-5)


def test_the_worst_come_first(random_model: MakeModel) -> None:
    result = measured(random_model(), "aaaa\n\nHHHH\nabab\n")
    lines = result.worst_lines()
    assert [result.line_bits(one) for one in lines] == sorted([result.line_bits(one) for one in lines], reverse=True)
    assert {one.number for one in lines} == {1, 3, 4}
    line = lines[0]
    bits = result.measured.bits
    worst = result.worst_pieces(line, 2, 0.0)
    assert worst == sorted(sorted(range(line.start, line.stop), key=lambda place: -bits[place])[:2])
    assert result.worst_pieces(line, 2, 1000.0) == []
