from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary
from chargen.errors import ConfigError
from chargen.insight.passages import read_passages
from chargen.insight.properties import PROPERTIES, property_values
from chargen.insight.units import Activations, RankedUnit, Unit, record_units
from chargen.network.model_file import TextModel
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig

MakeModel = Callable[..., TextModel]

PROPERTY_EXAMPLES = {
    "quotes": [('a "b" c', "0011000"), ("\u201ca\u201d b", "11000"), ("\u201ea\u201c b", "11000"), ('"a\n\nb', "11100")],
    "line-position": [("ab\nc\n\nd", "1201001")],
    "brackets": [("a(b[c])d", "01122100"), (")(", "01")],
    "indent": [("  a b\n\tc", "12222011")],
    "words": [("It's a_b, c", "12340123001")],
}


@pytest.fixture
def layered(random_model: MakeModel) -> Callable[..., TextModel]:
    """Make an untrained model of two layers of three units."""

    def make(cell: str, **options: object) -> TextModel:
        config = NetworkConfig(cell=cell, num_layers=2, hidden_size=3, embedding_size=4)
        model = random_model(**options)
        rng = np.random.default_rng(1)
        shapes = weight_shapes(config, len(model.vocabulary))
        weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        return replace(model, network=Network(config, len(model.vocabulary), weights))

    return make


def recorded(model: TextModel, text: str) -> Activations:
    return record_units(model, read_passages(model, text))


def activations(values: list[list[float]], **properties: list[float]) -> Activations:
    """Make units of one layer with given activations."""
    return Activations(
        pieces=["a"] * len(values[0]),
        lines=(),
        units=tuple(Unit(1, number, "hidden") for number in range(1, len(values) + 1)),
        values=np.array(values, np.float32),
        properties={name: np.array(one) for name, one in properties.items()},
    )


@pytest.mark.parametrize("cell", ["simplernn", "lstm", "mlstm", "gru"])
def test_units_are_those_of_a_step_by_step_run(cell: str, layered: Callable[..., TextModel]) -> None:
    model, text = layered(cell), "aHb\nab\u00e9c"
    result = recorded(model, text)
    stepper = model.network.stepper(model.network.zero_state(1))
    for token in model.primer[-model.context_length :]:
        stepper.step(np.array([token]))
    states = ("hidden", "cell") if cell in ("lstm", "mlstm") else ("hidden",)
    assert len(result.units) == 2 * 3 * len(states)
    for place, token in enumerate(model.vocabulary.encode(text)):
        stepper.step(np.array([token]))
        for layer, state, unit in product((1, 2), states, (1, 2, 3)):
            value = getattr(stepper.state[layer - 1], state)[0, unit - 1]
            wanted = np.tanh(value) if state == "cell" else value
            assert result.of(Unit(layer, unit, state))[place] == pytest.approx(wanted, abs=1e-5)
    assert result.pieces == list(text)


def test_lines_are_read_each_from_its_beginning(layered: Callable[..., TextModel]) -> None:
    model = layered("gru", reading="line", characters="abH")
    result, alone = recorded(model, "aHb\n\nabb"), recorded(model, "abb")
    np.testing.assert_array_equal(result.values[:, 3:], alone.values)
    assert [(one.number, one.start, one.stop) for one in result.lines] == [(1, 0, 3), (3, 3, 6)]
    assert result.properties["line-position"].tolist() == [1, 2, 3, 1, 2, 3]


def test_bytes_of_a_character_are_one_place(layered: Callable[..., TextModel]) -> None:
    result = recorded(layered("lstm", vocabulary=ByteVocabulary()), "a\u00e9b")
    assert (result.pieces, result.values.shape) == (["a", "\u00e9", "b"], (12, 3))


def test_a_unit_without_a_bound_is_scaled(random_model: MakeModel) -> None:
    config = NetworkConfig(cell="simplernn", activation="relu", hidden_size=1, embedding_size=0)
    vocabulary = CharacterVocabulary("ab")
    shapes = weight_shapes(config, 3)
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    model = replace(random_model(vocabulary=vocabulary), network=Network(config, 3, weights))  # it counts by two
    values = recorded(model, "abab").values[0]
    np.testing.assert_allclose(values, [8 / 14, 10 / 14, 12 / 14, 1])


def test_correlations_are_pearsons() -> None:
    rng = np.random.default_rng(0)
    values, wanted = rng.normal(size=(4, 50)), rng.normal(size=50)
    values[2] = 0.25
    result = activations(values.tolist(), quotes=wanted.tolist())
    expected = [0 if number == 2 else np.corrcoef(values[number], wanted)[0, 1] for number in range(4)]
    np.testing.assert_allclose(result.correlations("quotes"), expected, atol=1e-6)
    ranked = result.ranked("quotes")
    assert [one.unit.unit for one in ranked] == [1 + int(one) for one in np.argsort(-np.abs(expected))]


def test_the_unit_that_follows_a_property_is_found() -> None:
    inside = [0, 1, 1, 1, 0, 0, 1, 0]
    result = activations([[0.1] * 8, [-one for one in inside], [1, 0, 0, 0, 1, 0, 0, 0]], quotes=inside)
    assert result.ranked("quotes")[0] == RankedUnit(Unit(1, 2, "hidden"), pytest.approx(-1))
    with pytest.raises(ConfigError, match="brackets is constant in the text"):
        result.ranked("brackets")


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties_by_hand(name: str) -> None:
    for text, values in PROPERTY_EXAMPLES[name]:
        assert "".join(str(int(one)) for one in PROPERTIES[name](text)) == values, text


def test_a_piece_has_the_value_of_its_last_character() -> None:
    assert property_values("line-position", ["ab", "c\n", "d", "efg"]).tolist() == [2, 0, 1, 4]


def test_some_units_only(layered: Callable[..., TextModel]) -> None:
    result = recorded(layered("lstm"), "abab")
    second = result.only(layer=2, state="cell")
    assert second.units == tuple(Unit(2, unit, "cell") for unit in (1, 2, 3))
    np.testing.assert_array_equal(second.of(Unit(2, 3, "cell")), result.of(Unit(2, 3, "cell")))
    for unit, message in ((Unit(3, 1, "cell"), "--layer is 3, the network has 2"), (Unit(1, 4, "cell"), "a layer has 3")):
        with pytest.raises(ConfigError, match=message):
            result.of(unit)
    with pytest.raises(ConfigError, match="--layer is 3"):
        result.only(layer=3, state=None)
    with pytest.raises(ConfigError, match="--state cell is for LSTMs"):
        recorded(layered("gru"), "abab").only(layer=None, state="cell")
