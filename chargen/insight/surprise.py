"""Measure the surprise of a text for a model: the bits of each character, and the expected alternatives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.windows import TokenStream, join_documents
from chargen.insight.passages import Line, Passage, lines_of
from chargen.network.average import log_softmax
from chargen.network.cells import Floats
from chargen.writing.ensemble import AnyModel
from chargen.writing.reading import cached_expectations, expectations
from chargen.writing.sampling import Doubles

ALTERNATIVES = 5


class TokenMeasures(NamedTuple):
    """The measures of each token: bits, (T,); ids and probabilities of the most probable tokens, (T, 5)."""

    bits: Doubles
    choices: npt.NDArray[np.integer]
    chances: Floats

    def part(self, positions: slice) -> "TokenMeasures":
        """Return the measures of some tokens."""
        return TokenMeasures(self.bits[positions], self.choices[positions], self.chances[positions])


class Alternative(NamedTuple):
    """A possible token; None for the end of a line."""

    token: str | None
    probability: float


@dataclass(frozen=True, kw_only=True)
class Surprise:
    """A text in pieces, one per token, with the bits of each, by lines.

    For a model of lines the pieces are those of its lines including their ends, without blank lines. names: the text of each id
    of the vocabulary, None for the end. end_bits: the bits of the end of a text that is read as a whole.
    """

    pieces: Sequence[str]
    measured: TokenMeasures
    lines: tuple[Line, ...]
    names: Sequence[str | None]
    end_bits: float | None = None

    @property
    def characters(self) -> int:
        """The number of characters of all pieces; the end of a line or of the text counts as one."""
        return sum(map(len, self.pieces)) + (self.end_bits is not None)

    @property
    def bits_per_character(self) -> float:
        """The bits of the whole text including its end, divided by its characters."""
        return (float(self.measured.bits.sum()) + (self.end_bits or 0.0)) / self.characters

    def line_bits(self, line: Line) -> float:
        """Return the bits of a line divided by its characters."""
        characters = sum(map(len, self.pieces[line.start : line.stop]))
        return float(self.measured.bits[line.start : line.stop].sum()) / max(1, characters)

    def worst_lines(self) -> list[Line]:
        """Return the non-blank lines, those with the most bits a character first."""
        written = [line for line in self.lines if "".join(self.pieces[line.start : line.stop]).strip()]
        return sorted(written, key=lambda line: (-self.line_bits(line), line.number))

    def worst_pieces(self, line: Line, count: int, least: float) -> list[int]:
        """Return the positions of at most `count` pieces of a line with the most bits, each `least` or more, in order."""
        positions = sorted(range(line.start, line.stop), key=lambda position: -self.measured.bits[position])[:count]
        return sorted(position for position in positions if self.measured.bits[position] >= least)

    def alternatives(self, position: int) -> list[Alternative]:
        """Return the most probable tokens at a position, the best first."""
        pairs = zip(self.measured.choices[position].tolist(), self.measured.chances[position].tolist(), strict=True)
        return [Alternative(self.names[token], chance) for token, chance in pairs if chance > 0]


def measure_surprise(model: AnyModel, passages: Sequence[Passage], *, cache: bool = False) -> Surprise:
    """Read passages as `evaluate` does and return the bits of every piece, so that the means agree.

    The probabilities are those at temperature 1; cache: whether what was read before is expected again. An unknown word
    costs the bits of the unknown token and of its spelling, in which all characters are equally probable.
    """
    by_line = model.reading == "line"
    ids = [one.ids for one in passages]
    measured = _measure(model, join_documents(ids, model.start_id, model.vocabulary), cache)
    pieces: list[str] = []
    lines: list[Line] = []
    parts: list[TokenMeasures] = []
    position = 0
    for passage in passages:
        own = ["\n"] if by_line else []
        taken = slice(position, position + len(passage.ids) + len(own))
        shown, kept = _whole_characters([*passage.pieces, *own], _with_spelling(model, passage, measured.part(taken)))
        position += len(passage.ids) + 1
        lines += list(lines_of(shown, passage.line, start=len(pieces)))
        pieces += shown
        parts.append(kept)
    return Surprise(
        pieces=pieces,
        measured=TokenMeasures(*map(np.concatenate, zip(*parts, strict=True))),
        lines=tuple(lines),
        names=[None, *model.vocabulary, *model.vocabulary.labels],
        end_bits=None if by_line else float(measured.bits[-1]),
    )


def _with_spelling(model: AnyModel, passage: Passage, measured: TokenMeasures) -> TokenMeasures:
    """Return the measures with the bits of spelling unknown words added."""
    if model.vocabulary.kind != "word":
        return measured
    bits = measured.bits.copy()
    bits[: len(passage.pieces)] += np.array(list(map(model.vocabulary.spelling_nats, passage.pieces))) / math.log(2)
    return measured._replace(bits=bits)


def _whole_characters(pieces: list[str], measured: TokenMeasures) -> tuple[list[str], TokenMeasures]:
    """Join the bytes of each character: add their bits, and keep the alternatives of the last byte."""
    ends = [position for position, piece in enumerate(pieces) if piece or position == len(pieces) - 1]
    if len(ends) == len(pieces):
        return pieces, measured
    bits = np.add.reduceat(measured.bits, [0, *(end + 1 for end in ends[:-1])])
    return [pieces[end] for end in ends], TokenMeasures(bits, measured.choices[ends], measured.chances[ends])


def _measure(model: AnyModel, stream: TokenStream, cache: bool) -> TokenMeasures:
    """Return the measures of each token of a stream except the first boundary."""
    count = min(ALTERNATIVES, len(model.vocabulary))
    bits = np.empty(stream.span)
    choices = np.empty((stream.span, count), model.vocabulary.dtype)
    chances = np.empty((stream.span, count), np.float32)
    for expected in cached_expectations(model, stream) if cache else expectations(model, stream):
        nats = log_softmax(expected.logits)
        bits[expected.places] = -nats[np.arange(len(nats)), expected.targets] / math.log(2)
        possible = _possible(model, stream, expected.places, nats)
        best = _best(possible, count)
        choices[expected.places] = best
        chances[expected.places] = np.exp(np.take_along_axis(possible, best, -1))
    return TokenMeasures(bits, choices, chances)


def _possible(model: AnyModel, stream: TokenStream, positions: npt.NDArray[np.int64], nats: Doubles) -> Doubles:
    """Return log-probabilities, (N, V), with minus infinity for tokens that are never drawn."""
    possible = nats.copy()
    possible[:, stream.first_label :] = -np.inf
    possible[~np.full(len(nats), model.ends) | np.isin(positions, stream.starts), BOUNDARY] = -np.inf
    return possible


def _best(nats: Doubles, count: int) -> npt.NDArray[np.intp]:
    """Return the ids of the most probable tokens, the best first, (N, count), from log-probabilities, (N, V)."""
    best = np.argpartition(-nats, count - 1, axis=-1)[:, :count]
    order = np.argsort(-np.take_along_axis(nats, best, -1), axis=-1, kind="stable")
    return np.take_along_axis(best, order, -1)
