"""JSON of unknown origin: refused where it is ambiguous, no JSON, or would grow far beyond its text."""

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

MOST_MARKS = 6_000_000  # commas and brackets: a vocabulary of a million merges has 4 million
MOST_DIGITS = 20  # of a whole number


def parse_json(text: str, *, depth: int) -> Any:
    """Parse a JSON text whose objects and arrays lie at most `depth` in each other.

    Raises ValueError for what is no JSON, an object with a key twice, a number that is not finite or very long, and, before it
    parses anything, for text with too many values or too deep.

    >>> parse_json('{"a": [1, 2]}', depth=2)
    {'a': [1, 2]}
    """
    _check_extent(text, depth)
    return json.loads(
        text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite_float, parse_int=_short_int
    )


def _check_extent(text: str, depth: int) -> None:
    """Raise ValueError for too many marks or brackets too deep, those outside strings counted."""
    bare = text.replace("\\\\", "").replace('\\"', "")  # every quotation mark now begins a string or ends one
    if bare.count('"') > 2 * MOST_MARKS:
        raise ValueError("its JSON holds too many values")
    outside = "".join(bare.split('"')[::2])
    if sum(map(outside.count, ",[]{}")) > MOST_MARKS:
        raise ValueError("its JSON holds too many values")
    brackets = re.sub(r"[^\[\]{}]+", "", outside)
    if max(accumulate(1 if one in "[{" else -1 for one in brackets), default=0) > depth:
        raise ValueError(f"its JSON is nested deeper than {depth}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"its JSON holds {twice!r:.40} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"its JSON holds {name}, which is no number")


def _finite_float(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"its JSON holds {digits:.40}, which is no finite number")
    return number


def _short_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"its JSON holds a number of {len(digits)} digits")
    return int(digits)
