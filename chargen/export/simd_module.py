"""Assemble the WebAssembly module of the page: products of a matrix and a vector, and activations, four numbers at a time.

The module has two functions, in the memory that it imports as `page.memory`; addresses are in bytes, numbers are float32.

- `product(weights, rows, blocks, inputs, sums)` adds the product of the inputs, (rows,), and the weights, (rows, 16 * blocks),
  to the sums, (16 * blocks,). The weights are stored block by block, each a (rows, 16) matrix.
- `squash(values, count, steepness)` replaces values, (count,), by s / (1 + exp(-s * value)) - (s - 1): the logistic function
  for a steepness s of 1, tanh for 2. count is a multiple of 4.

The binary format is that of https://webassembly.github.io/spec/core/binary/.
"""

import math
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

I32, F32, V128 = 0x7F, 0x7D, 0x7B
BLOCK = 16  # columns of the weights that are summed together
LANES = BLOCK // 4
LANE = 16  # bytes of four numbers
LARGEST_EXPONENT = 87.0  # exp of more is beyond float32
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # ln 2, of which the first part has few digits (Cody and Waite)
EXPONENT_BIAS, FRACTION_BITS = 127, 23  # of float32


class Function(NamedTuple):
    """A function of the module: its parameters and further variables with their types, in order, and its instructions."""

    name: str
    parameters: Mapping[str, int]
    variables: Mapping[str, int]
    body: bytes


def assemble() -> bytes:
    """Return the module."""
    functions = (product(), squash())
    types = (b"\x60" + _list([bytes([kind]) for kind in one.parameters.values()]) + _list([]) for one in functions)
    memory = _name("page") + _name("memory") + b"\x02\x00\x01"
    sections = {
        1: _list(types),
        2: _list([memory]),
        3: _list([_number(index) for index in range(len(functions))]),
        7: _list([_name(one.name) + b"\x00" + _number(index) for index, one in enumerate(functions)]),
        10: _list(map(_code, functions)),
    }
    return b"\x00asm\x01\x00\x00\x00" + b"".join(bytes([number]) + _sized(content) for number, content in sections.items())


def product() -> Function:
    """Return the function that multiplies. It goes through the rows of a block while its 16 sums stay in registers."""
    parameters = dict.fromkeys(("weights", "rows", "blocks", "inputs", "sums"), I32)
    variables = {"row": I32, "end": I32, "input": V128} | {f"sum{lane}": V128 for lane in range(LANES)}
    _ = Names(parameters, variables)
    lanes = range(LANES)
    one_row = [
        _.put("input", _.get("row"), LOAD_SPLAT),
        *(_.put(f"sum{lane}", _.get(f"sum{lane}"), _.get("input"), _.get("weights"), _load(lane), MUL, ADD) for lane in lanes),
        _.increase("weights", 4 * BLOCK),
        _.increase("row", 4),
    ]
    one_block = [
        *(_.put(f"sum{lane}", _.get("sums"), _load(lane)) for lane in lanes),
        _.put("row", _.get("inputs")),
        _loop([*one_row, _.get("row"), _.get("end"), I32_LT]),
        *(_.get("sums") + _.get(f"sum{lane}") + _store(lane) for lane in lanes),
        _.increase("sums", 4 * BLOCK),
        _.increase("blocks", -1),
    ]
    body = [
        _.put("end", _.get("inputs"), _.get("rows"), _i32(2), I32_SHL, I32_ADD),
        _loop([*one_block, _.get("blocks")]),
    ]
    return Function("product", parameters, variables, b"".join(body))


def squash() -> Function:
    """Return the activation function. exp(x) is 2^n exp(r), with r at most ln 2 / 2, for which a polynomial is exact enough."""
    parameters = {"values": I32, "count": I32, "steepness": F32}
    variables = {"end": I32, "s": V128, "x": V128, "n": V128, "exp": V128}
    _ = Names(parameters, variables)
    coefficients = [1 / math.factorial(power) for power in range(7, -1, -1)]
    exponential = [
        _.put("n", _.get("x"), _splat(1 / math.log(2)), MUL, NEAREST),
        _.put("x", _.get("x"), _.get("n"), _splat(LN2_HIGH), MUL, SUB, _.get("n"), _splat(LN2_LOW), MUL, SUB),
        _.put("exp", _splat(coefficients[0])),
        *(_.put("exp", _.get("exp"), _.get("x"), MUL, _splat(one), ADD) for one in coefficients[1:]),
        _.get("n") + TRUNCATE + _i32(EXPONENT_BIAS) + I32X4_SPLAT + I32X4_ADD + _i32(FRACTION_BITS) + I32X4_SHL,
        _.get("exp") + MUL + _.set("exp"),
    ]
    four_numbers = [
        _.put("x", _splat(0), _.get("s"), SUB, _.get("values"), _load(0), MUL),
        _.put("x", _.get("x"), _splat(-LARGEST_EXPONENT), MAX, _splat(LARGEST_EXPONENT), MIN),
        *exponential,
        _.get("values") + _.get("s") + _splat(1) + _.get("exp") + ADD + DIV + _.get("s") + _splat(1) + SUB + SUB + _store(0),
        _.increase("values", LANE),
    ]
    body = [
        _.put("end", _.get("values"), _.get("count"), _i32(2), I32_SHL, I32_ADD),
        _.put("s", _.get("steepness"), F32X4_SPLAT),
        _loop([*four_numbers, _.get("values"), _.get("end"), I32_LT]),
    ]
    return Function("squash", parameters, variables, b"".join(body))


class Names:
    """Instructions on the variables of a function, by name."""

    def __init__(self, *kinds: Mapping[str, int]) -> None:
        self._names = [name for some in kinds for name in some]

    def get(self, name: str) -> bytes:
        """Return the instruction that reads a variable."""
        return b"\x20" + _number(self._names.index(name))

    def set(self, name: str) -> bytes:
        """Return the instruction that sets a variable."""
        return b"\x21" + _number(self._names.index(name))

    def put(self, name: str, *code: bytes) -> bytes:
        """Return the code that sets a variable to a value."""
        return b"".join(code) + self.set(name)

    def increase(self, name: str, by: int) -> bytes:
        """Return the code that increases an integer."""
        return self.put(name, self.get(name), _i32(by), I32_ADD)


def _simd(number: int) -> bytes:
    return b"\xfd" + _number(number)


def _number(value: int) -> bytes:
    """Return an unsigned integer in LEB128."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _number(rest) if rest else bytes([low])


def _signed(value: int) -> bytes:
    """Return a signed integer in LEB128."""
    low, rest = value & 0x7F, value >> 7
    last = rest == (-1 if low & 0x40 else 0)
    return bytes([low]) if last else bytes([low | 0x80]) + _signed(rest)


def _list(items: Iterable[bytes]) -> bytes:
    found = list(items)
    return _number(len(found)) + b"".join(found)


def _sized(content: bytes) -> bytes:
    return _number(len(content)) + content


def _name(text: str) -> bytes:
    return _sized(text.encode("ascii"))


def _code(function: Function) -> bytes:
    variables = _list([b"\x01" + bytes([kind]) for kind in function.variables.values()])
    return _sized(variables + function.body + b"\x0b")


def _i32(value: int) -> bytes:
    return b"\x41" + _signed(value)


def _splat(value: float) -> bytes:
    """Return the instruction for four equal constants."""
    return _simd(0x0C) + struct.pack("<4f", *[value] * 4)


def _loop(code: Iterable[bytes]) -> bytes:
    """Return a loop that is repeated while the code leaves a number other than 0."""
    return b"\x03\x40" + b"".join(code) + b"\x0d\x00\x0b"


def _load(lane: int) -> bytes:
    return _simd(0x00) + _number(2) + _number(LANE * lane)


def _store(lane: int) -> bytes:
    return _simd(0x0B) + _number(2) + _number(LANE * lane)


I32_LT, I32_ADD, I32_SHL = b"\x49", b"\x6a", b"\x74"
LOAD_SPLAT = _simd(0x09) + _number(2) + _number(0)
I32X4_SPLAT, F32X4_SPLAT = _simd(0x11), _simd(0x13)
NEAREST, TRUNCATE = _simd(0x6A), _simd(0xF8)
I32X4_SHL, I32X4_ADD = _simd(0xAB), _simd(0xAE)
ADD, SUB, MUL, DIV, MIN, MAX = map(_simd, range(0xE4, 0xEA))
