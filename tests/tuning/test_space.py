import random

import pytest

from chargen.errors import ConfigError
from chargen.settings.layers import resolve
from chargen.settings.schema import Settings
from chargen.tuning.space import Choices, Range, Space, default_space, draw_other, parse_space, same_values, values_of


def parse(spec: str) -> Range | Choices:
    (one,) = parse_space([spec]).values()
    return one


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("network.cell=lstm,gru", Choices(("lstm", "gru"))),
        ("network.hidden_size=64,128", Choices((64, 128))),
        ("network.layer_norm=true,false", Choices((True, False))),
        ("training.context_length=32,64", Choices((32, 64))),
        ("corpus.tokens=char,char,bpe", Choices(("char", "bpe"))),
        ("network.hidden_size=64..512", Range(low=64, high=512)),
        ("network.hidden_size=64..500/64", Range(low=64, high=448, step=64)),
        ("network.dropout=0..0.5/0.1", Range(low=0.0, high=0.5, step=0.1)),
        ("training.learning_rate=1e-4..1e-2", Range(low=1e-4, high=1e-2)),
    ],
)
def test_what_is_searched_is_said_in_one_line(spec: str, expected: Range | Choices) -> None:
    one = parse(spec)
    assert one == expected
    assert parse(f"{spec.partition('=')[0]}={one}") == expected


def test_a_range_over_a_factor_of_ten_is_drawn_from_by_its_logarithm() -> None:
    assert parse("training.learning_rate=1e-3..1e-2").log
    assert not parse("training.learning_rate=1e-3..9e-3").log
    assert not parse("network.dropout=0..0.9").log
    assert not parse("network.hidden_size=8..512/8").log


def test_what_a_range_holds() -> None:
    steps = Range(low=0.0, high=0.5, step=0.05)
    assert 0.35 in steps  # not a multiple of 0.05 in binary
    assert 0.36 not in steps
    assert 0.55 not in steps
    assert 0.36 in Range(low=0.0, high=0.5)
    assert "lstm" not in steps
    assert None not in steps


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("network.cell", "--search network.cell has no values"),
        (
            "network.cell=lstm,transformer",
            "--search network.cell is 'transformer', expected one of simplernn, dense, lstm, mlstm, gru",
        ),
        ("network.hidden_size=many", "'many' is given, expected a whole number"),
        ("network.hidden_size=8.5,9", "'8.5' is given, expected a whole number"),
        ("network.layer_norm=maybe", "'maybe' is given, expected true or false"),
        ("network.dropout=0..2", "--search network.dropout is 2.0, expected 0.95 or less"),
        ("network.dropout=nan", "expected a finite number"),
        ("network.dropout=0.5..0.1", "network.dropout=0.5..0.1 is not a range"),
        ("network.hidden_size=8..64/0", "is not a range"),
        ("network.hidden_size=8..64/100", "is not a range"),
        ("training.learning_rates=1", "no such setting"),
        ("network=1", "no such setting"),
        ("netwrk.cell=lstm", "--search: unknown section [netwrk]"),
        ("training.epochs=1,2", "training.epochs: it must be the same for all trials"),
        ("corpus.validation_split=0.1,0.2", "it must be the same for all trials"),
        ("tracking.wandb=true,false", "it must be the same for all trials"),
    ],
)
def test_what_cannot_be_searched_is_told(spec: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(spec)
    assert message in caught.value.message


def test_a_setting_is_searched_once() -> None:
    with pytest.raises(ConfigError, match=r"network\.cell is given twice"):
        parse_space(["network.cell=lstm", "network.cell=gru"])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("network.hidden_size=3..5", {3, 4, 5}),
        ("network.hidden_size=3..8/2", {3, 5, 7}),
        ("network.dropout=0..0.3/0.1", {0.0, 0.1, 0.2, 0.3}),
        ("network.cell=lstm,gru", {"lstm", "gru"}),
    ],
)
def test_every_value_is_drawn(spec: str, expected: set[object]) -> None:
    rng, one = random.Random(1), parse(spec)
    assert {one.draw(rng) for _ in range(100)} == expected


def test_numbers_of_a_wide_range_are_drawn_by_their_logarithm() -> None:
    rng, wide = random.Random(1), Range(low=1e-4, high=1.0)
    drawn = [wide.draw(rng) for _ in range(1000)]
    assert all(number in wide for number in drawn)
    assert sum(number < 0.01 for number in drawn) == pytest.approx(500, abs=80)  # a standard deviation is 16
    narrow = Range(low=0.0, high=1.0)
    assert sum(narrow.draw(rng) < 0.01 for _ in range(1000)) < 50


def test_other_values_than_those_tried_are_drawn_as_long_as_there_are_any() -> None:
    space = parse_space(["network.dropout=0..0.2/0.1"])
    tried = {same_values({"network.dropout": value}) for value in (0.0, 0.1 + 1e-17)}
    assert draw_other(space, tried, random.Random(1)) == {"network.dropout": 0.2}
    assert draw_other(space, tried | {same_values({"network.dropout": 0.2})}, random.Random(1)) is None


def chosen(**training: object) -> Settings:
    return resolve(("test", {"training": {"context_length": 64, "batch_size": 16} | training})).settings


def names(space: Space) -> set[str]:
    return {name.partition(".")[2] for name in space}


def test_by_default_the_neighbourhood_of_what_train_would_choose_is_searched() -> None:
    settings = chosen(stateful=True)
    space = default_space(settings, fixed=())
    assert names(space) == {
        "hidden_size", "num_layers", "dropout", "weight_drop", "learning_rate", "batch_size", "context_length",
    }  # fmt: skip
    assert all(value in space[name] for name, value in values_of(settings, space).items())
    assert space["network.hidden_size"] == Range(low=64, high=256, step=32)
    assert space["training.batch_size"] == Choices((8, 16, 32))
    assert space["training.learning_rate"].log


def test_what_is_given_or_would_not_go_with_it_is_not_searched_by_default() -> None:
    assert "hidden_size" not in names(default_space(chosen(), fixed={"network.hidden_size"}))
    assert "context_length" not in names(default_space(chosen(), fixed=()))  # windows that start from a zero state
    assert "weight_drop" not in names(default_space(chosen(backend="numpy"), fixed=()))
    dense = resolve(("test", {"network": {"cell": "dense"}, "training": {"context_length": 3, "batch_size": 4}})).settings
    assert "weight_drop" not in names(default_space(dense, fixed=()))
