"""Random damage to model files: to their bytes, and to their content."""

import copy
import json
from typing import Any

import numpy as np

from chargen.network.tensor_file import NO_CHECKSUM
from tests.hostile.craft import build, join, parts, split

ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 64, 65, 255, 2**16, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**19, 0.0, -0.5, 1.5, 1e308,
    "", "a", "lstm", "gru", "\x00", "\x1b[2J", "\u2028", "\ud800", "../../etc/passwd", "/etc/passwd", "{}", "%s%n", "a" * 300,
    [], [[]], {}, {"a": {}}, [0], [-1], [1, 1], [1.5], ["a", "a"], [[1, 2], [3]], {"": ""},
]  # fmt: skip
ODD_TOKENS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000, "[" * 1000, '{"a":' * 500, "\\", '"', "nul", "01"]


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a valid file at random; many results have the right checksum."""
    ways = (flip_bits, truncate, splice, change_metadata, change_header, change_json_text, change_weights, change_tensors)
    return ways[rng.integers(len(ways))](content, rng)


def flip_bits(content: bytes, rng: np.random.Generator, count: int | None = None) -> bytes:
    """Flip one bit, or a few."""
    damaged = bytearray(content)
    for place in rng.choice(8 * len(content), count or rng.integers(1, 9), replace=False).tolist():
        damaged[place // 8] ^= 1 << place % 8
    return bytes(damaged)


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut the end off."""
    return content[: rng.integers(len(content))]


def splice(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace bytes by random ones, or by other bytes of the file."""
    first, last = sorted(rng.integers(0, len(content), 2).tolist())
    first = max(first, last - 50)
    begin = int(rng.integers(len(content)))
    new = rng.bytes(int(rng.integers(0, 50))) if rng.random() < 0.5 else content[begin : begin + 50]
    return content[:first] + new + content[last:]


def change_metadata(content: bytes, rng: np.random.Generator) -> bytes:
    """Change values of the metadata; the checksum is right."""
    metadata, header, data = parts(content)
    for _ in range(rng.integers(1, 4)):
        _change_value(metadata, rng)
    return build(metadata, header, data)


def change_header(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the descriptions of tensors in the header; the checksum is right."""
    metadata, header, data = parts(content)
    for _ in range(rng.integers(1, 4)):
        _change_value(header, rng)
    return build(metadata, header, data)


def change_json_text(content: bytes, rng: np.random.Generator) -> bytes:
    """Insert odd tokens into the JSON text of the header or of the metadata; the checksum is right if it still exists."""
    metadata, header, data = parts(content)
    if rng.random() < 0.5:
        return build(_insert_token(json.dumps(metadata), rng), header, data)
    raw, data = split(build(metadata, header, data))
    return join(_insert_token(raw.decode(), rng), data)


def change_tensors(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits of the tensors, such as those of a memory's tree; the checksum is right."""
    metadata, header, data = parts(content)
    return build(metadata, header, flip_bits(data, rng, int(rng.integers(1, 4))))


def change_weights(content: bytes, rng: np.random.Generator) -> bytes:
    """Set some weights to odd values; the checksum is right."""
    metadata, header, data = parts(content)
    end = len(data) // 4 * 4  # the arrays of a memory may end anywhere
    values = np.frombuffer(data[:end], np.float32).copy()
    odd = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0, 1e9]
    values[rng.integers(len(values), size=5)] = odd[rng.integers(len(odd))]
    return build(metadata, header, values.tobytes() + data[end:])


def _insert_token(text: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(len(text)))
    return text[:place] + ODD_TOKENS[rng.integers(len(ODD_TOKENS))] + text[place + int(rng.integers(0, 3)) :]


def _change_value(tree: Any, rng: np.random.Generator) -> None:
    """Change, remove or rename something in a tree of dicts and lists, in place."""
    holder = tree
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        inner = holder[key]
        if not isinstance(inner, dict | list) or rng.random() < 0.15:
            break
        holder = inner
    _change_item(holder, key, rng)


def _change_item(holder: Any, key: Any, rng: np.random.Generator) -> None:
    way = rng.integers(5)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[str(ODD_VALUES[rng.integers(len(ODD_VALUES))])] = holder.pop(key)
    elif way == 2 and type(holder[key]) is int:
        holder[key] += int(rng.choice([-1, 1, 4, 2**20, -(2**20)]))
    elif holder[key] != NO_CHECKSUM:
        holder[key] = copy.deepcopy(ODD_VALUES[rng.integers(len(ODD_VALUES))])
