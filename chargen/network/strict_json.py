"""Parse untrusted JSON: refuse ambiguous or invalid JSON, and JSON that would need far more memory than its text."""

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

LONGEST_NAME = 200  # characters of an object's key
MAX_DIGITS = 20  # digits of an integer


def parse_json(text: str, *, depth: int, marks: int) -> Any:
    """Parse a JSON text with at most `marks` commas and brackets, nested at most `depth` levels.

    Raises ValueError for invalid JSON, an object with a duplicate key, a number that is not finite or very long, and, before
    parsing, for too many values or too many levels.

    >>> parse_json('{"a": [1, 2]}', depth=2, marks=5)
    {'a': [1, 2]}
    """
    _check_extent(text, depth, marks)
    hooks: Any = {"parse_constant": _no_constant, "parse_float": _finite_float, "parse_int": _short_int}
    try:
        return json.loads(text, object_pairs_hook=_object, **hooks)
    except json.JSONDecodeError as error:
        raise ValueError(f"its JSON is broken: {error}") from error


def _check_extent(text: str, depth: int, marks: int) -> None:
    """Raise ValueError for too many commas and brackets, or too many levels, outside of strings."""
    bare = text.replace("\\\\", "").replace('\\"', "")  # now every quotation mark begins or ends a string
    outside = re.sub(r'"[^"]*"', "", bare)
    if sum(map(outside.count, ",[]{}")) > marks:
        raise ValueError("its JSON holds too many values")
    brackets = re.sub(r"[^\[\]{}]+", "", outside)
    if max(accumulate(1 if one in "[{" else -1 for one in brackets), default=0) > depth:
        raise ValueError(f"its JSON is nested deeper than {depth}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"its JSON holds {name!r:.40} twice")
        if len(name) > LONGEST_NAME:
            raise ValueError(f"its JSON holds a name of {len(name):,} characters")
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"its JSON holds {name}, which is not a number")


def _finite_float(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"its JSON holds {digits:.40}, which is not a finite number")
    return number


def _short_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"its JSON holds a number of {len(digits)} digits")
    return int(digits)
