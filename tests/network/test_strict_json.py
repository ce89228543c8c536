import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.network.strict_json import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=200), inner),
    max_leaves=10,
)


@given(VALUES)
def test_what_json_writes_is_read(value: object) -> None:
    for ascii_only in (True, False):
        assert parse_json(json.dumps(value, ensure_ascii=ascii_only), depth=20, marks=1000) == value


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{"a": 1, "a": 1}', "'a' twice"),
        ('{"b": {"a": 1, "\\u0061": 2}}', "'a' twice"),
        ("[NaN]", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[1e999]", "1e999"),
        ("1" * 5000, "5000 digits"),
        ('{"' + "a" * 300 + '": 1}', "300 characters"),
        ("[[[[]]]]", "nested deeper than 3"),
        ("[" * 10, "nested deeper than 3"),
        ('[["\\"", [["]]]]"]]]]', "nested deeper than 3"),
        ("[" + "1," * 100 + "1]", "too many"),
        ("", "broken"),
        ("{", "broken"),
        ("[1] 2", "broken"),
        ("'a'", "broken"),
        ('"\n"', "broken"),
        ("\ufeff1", "broken"),
    ],
)
def test_what_is_not_plain_json_is_refused(text: str, result: str) -> None:
    with pytest.raises(ValueError, match=result):
        parse_json(text, depth=3, marks=50)


def test_brackets_in_strings_are_no_depth() -> None:
    assert parse_json('["[[[[[[", "\\\\", "\\"[[[["]', depth=1, marks=4) == ["[[[[[[", "\\", '"[[[[']
