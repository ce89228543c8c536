"""Write values as JSON for all commands."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # from a file name that is not UTF-8; JSON needs an escape


def json_text(value: Any) -> str:
    """Return a value as JSON on one line. Infinity and NaN become null, lone surrogates are escaped.

    >>> json_text({"perplexity": float("inf"), "name": "é"})
    '{"perplexity": null, "name": "é"}'
    """
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return LONE_SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
