"""How surprising a text is to a model: the bits of each character, and what the model would rather have read."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, TokenIds
from chargen.insight.passages import Line, Passage, lines_of
from chargen.network.cells import Floats
from chargen.network.prediction import AnyModel, begin, forbid_end
from chargen.network.sampling import Doubles, Logits, log_softmax

ALTERNATIVES = 5
ROWS = 64  # lines read side by side
VALUES_AT_ONCE = 1 << 20  # logits that are kept until they become bits


class Measured(NamedTuple):
    """What a model thought before each token: bits of the token, (T,); ids and probabilities of the best ones, (T, 5)."""

    bits: Doubles
    choices: npt.NDArray[np.integer]
    chances: Floats


class Alternative(NamedTuple):
    """A token that could have come, None for the end of a line."""

    token: str | None
    probability: float


@dataclass(frozen=True, kw_only=True)
class Surprise:
    """A text in pieces, one a token, with the bits of each, by lines.

    The pieces of a model of lines are those of its lines, each with its end; blank ones are left out. names: what each id of
    the vocabulary stands for, None for the end.
    """

    pieces: Sequence[str]
    measured: Measured
    lines: tuple[Line, ...]
    names: Sequence[str | None]

    @property
    def characters(self) -> int:
        """Characters of all pieces, the end of a line counted as one."""
        return sum(map(len, self.pieces))

    @property
    def bits_per_character(self) -> float:
        """Bits of the whole text divided by its characters."""
        return float(self.measured.bits.sum()) / self.characters

    def line_bits(self, line: Line) -> float:
        """Return the bits of a line divided by its characters."""
        characters = sum(map(len, self.pieces[line.start : line.stop]))
        return float(self.measured.bits[line.start : line.stop].sum()) / max(1, characters)

    def worst_lines(self) -> list[Line]:
        """Return the lines that are not blank, those of the most bits a character first."""
        written = [line for line in self.lines if "".join(self.pieces[line.start : line.stop]).strip()]
        return sorted(written, key=lambda line: (-self.line_bits(line), line.number))

    def worst_pieces(self, line: Line, count: int, least: float) -> list[int]:
        """Return the places of a line's pieces of the most bits, at most `count`, each of `least` bits or more, in order."""
        places = sorted(range(line.start, line.stop), key=lambda place: -self.measured.bits[place])[:count]
        return sorted(place for place in places if self.measured.bits[place] >= least)

    def alternatives(self, place: int) -> list[Alternative]:
        """Return what would have been the most probable at a place, the best first."""
        pairs = zip(self.measured.choices[place].tolist(), self.measured.chances[place].tolist(), strict=True)
        return [Alternative(self.names[token], chance) for token, chance in pairs if chance > 0]


def measure_surprise(model: AnyModel, passages: Sequence[Passage]) -> Surprise:
    """Read passages, each from its own beginning as an empty prompt has it, and return the bits of all of it.

    Probabilities are those at temperature 1 that sampling draws by: a model that cannot end a text never expects the end. But
    an unknown word, which is never drawn, has the bits of the unknown token.
    """
    by_line = model.reading == "line"
    ids = [np.append(one.ids, BOUNDARY) if by_line else one.ids for one in passages]
    measured = [row for first in range(0, len(ids), ROWS) for row in _measure(model, ids[first : first + ROWS])]
    pieces: list[str] = []
    lines: list[Line] = []
    parts: list[Measured] = []
    for passage, one in zip(passages, measured, strict=True):
        told, kept = _whole_characters([*passage.pieces, "\n"] if by_line else passage.pieces, one)
        lines += list(lines_of(told, passage.line, start=len(pieces)))
        pieces += told
        parts.append(kept)
    return Surprise(
        pieces=pieces,
        measured=Measured(*map(np.concatenate, zip(*parts, strict=True))),
        lines=tuple(lines),
        names=[None, *model.vocabulary, *model.vocabulary.labels],
    )


def _whole_characters(pieces: list[str], measured: Measured) -> tuple[list[str], Measured]:
    """Join the bytes of a character: their bits add up, the alternatives are those to the last one."""
    ends = [place for place, piece in enumerate(pieces) if piece or place == len(pieces) - 1]
    if len(ends) == len(pieces):
        return pieces, measured
    bits = np.add.reduceat(measured.bits, [0, *(end + 1 for end in ends[:-1])])
    return [pieces[end] for end in ends], Measured(bits, measured.choices[ends], measured.chances[ends])


def _measure(model: AnyModel, rows: Sequence[TokenIds]) -> Iterator[Measured]:
    """Read rows of ids side by side and yield what the model thought of each."""
    lengths = [len(row) for row in rows]
    ids = np.full((max(lengths), len(rows)), BOUNDARY, np.intp)  # (T, B)
    for column, row in enumerate(rows):
        ids[: len(row), column] = row
    steps = max(1, VALUES_AT_ONCE // (len(rows) * len(model.vocabulary)))
    blocks = list(_blocks(model, ids, steps))
    bits, choices, chances = (np.concatenate(part) for part in zip(*blocks, strict=True))
    for column, length in enumerate(lengths):
        yield Measured(bits[:length, column], choices[:length, column], chances[:length, column])


def _blocks(model: AnyModel, ids: npt.NDArray[np.intp], steps: int) -> Iterator[Measured]:
    """Read ids, (T, B), and yield what was thought of them, (S, B, ...), for some steps at a time."""
    logits, predictor = begin(model, ids[:0, 0], ids.shape[1])
    seen: list[Logits] = []
    for step, tokens in enumerate(ids):
        seen.append(logits.copy())
        forbid_end(model, seen[-1], begun=step > 0)
        seen[-1][:, len(model.vocabulary) - len(model.vocabulary.labels) :] = -np.inf
        if len(seen) == steps or step == len(ids) - 1:
            bits, best, chances = _thought(np.stack(seen), ids[step + 1 - len(seen) : step + 1])
            yield Measured(bits, best.astype(model.vocabulary.dtype), chances)
            seen = []
        if step < len(ids) - 1:
            logits = predictor.step(tokens)


def _thought(logits: Logits, ids: npt.NDArray[np.intp]) -> Measured:
    """Return the bits of ids, (S, B), given the logits before them, (S, B, V), and the best alternatives."""
    nats = log_softmax(logits)
    count = min(ALTERNATIVES, logits.shape[-1])
    best = np.argpartition(-nats, count - 1, axis=-1)[..., :count]
    order = np.argsort(-np.take_along_axis(nats, best, -1), axis=-1, kind="stable")
    best = np.take_along_axis(best, order, -1)
    bits = -np.take_along_axis(nats, ids[..., np.newaxis], -1)[..., 0] / math.log(2)
    return Measured(bits, best, np.exp(np.take_along_axis(nats, best, -1)).astype(np.float32))
