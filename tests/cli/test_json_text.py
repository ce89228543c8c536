"""What commands print as JSON is JSON, whatever the numbers are."""

import json
import math
from pathlib import Path

import numpy as np

import chargen.cli
from chargen.cli.json_text import json_text


def test_numbers_that_json_does_not_have_become_null() -> None:
    value = {"a": [math.nan, 1.5, (math.inf, -math.inf)], "b": np.float64("nan"), "c": {"d": float("inf")}, "e": "NaN"}

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(json_text(value), parse_constant=refuse)
    assert found == {"a": [None, 1.5, [None, None]], "b": None, "c": {"d": None}, "e": "NaN"}


def test_half_a_surrogate_pair_can_be_written() -> None:
    assert json_text("\udcff\u00e9").encode() == b'"\\udcff\xc3\xa9"'


def test_no_command_writes_json_by_itself() -> None:
    for path in Path(chargen.cli.__file__).parent.glob("*.py"):
        assert path.name == "json_text.py" or "json.dumps" not in path.read_text(encoding="utf-8"), path
