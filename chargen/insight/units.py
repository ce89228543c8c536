"""Record the activations of each hidden unit while a network reads a text, and find the unit that follows a property best.

After Karpathy, Johnson and Fei-Fei (2015), Visualizing and understanding recurrent networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chargen.corpus.vocabulary import Ids
from chargen.errors import ConfigError
from chargen.insight.passages import Line, Passage, lines_of
from chargen.insight.properties import PROPERTIES, property_values
from chargen.network.cells import Floats, LSTMState
from chargen.network.model_file import TextModel
from chargen.writing.prediction import primer_for, warm_up, windows_of
from chargen.writing.sampling import Doubles

STATES = ("hidden", "cell")


class Unit(NamedTuple):
    """One unit of a recurrent layer, both numbered from 1, and its state: "hidden", or "cell" for an LSTM."""

    layer: int
    unit: int
    state: str

    def __str__(self) -> str:
        return f"layer {self.layer}, unit {self.unit}, {self.state} state"


class RankedUnit(NamedTuple):
    """A unit and its correlation with a property, from -1 to 1."""

    unit: Unit
    correlation: float


@dataclass(frozen=True, kw_only=True)
class Activations:
    """A text in pieces, and the activation of every unit after each piece, (U, N), from -1 to 1; cell states c as tanh(c)."""

    pieces: Sequence[str]
    lines: tuple[Line, ...]
    units: tuple[Unit, ...]
    values: Floats
    properties: dict[str, Doubles]  # the properties that vary in the text, (N,) each

    def of(self, unit: Unit) -> Floats:
        """Return the activations of a unit, (N,). Raises ConfigError for a unit that does not exist."""
        if unit in self.units:
            return self.values[self.units.index(unit)]
        layers = max(one.layer for one in self.units)
        if unit.layer > layers:
            raise ConfigError(f"--layer is {unit.layer}, the network has {layers}")
        if unit.state not in {one.state for one in self.units}:
            raise ConfigError("--state cell is for LSTMs, and this network has none", hint="leave it out")
        size = max(one.unit for one in self.units)
        raise ConfigError(f"--unit is {unit.unit}, a layer has {size}")

    def correlations(self, name: str) -> Doubles:
        """Return Pearson's correlation of every unit with a property, (U,); 0 for a constant unit.

        Raises ConfigError for a property that is constant in the text.
        """
        if name not in self.properties:
            raise ConfigError(f"{name} is constant in the text", hint="give another text, or a longer part with --length")
        wanted = self.properties[name] - self.properties[name].mean()
        spread = self.values.std(axis=1, dtype=np.float64) * self.properties[name].std()
        shared = self.values.astype(np.float64) @ wanted / len(wanted)
        return np.divide(shared, spread, out=np.zeros_like(shared), where=spread > 1e-12)

    def ranked(self, name: str) -> list[RankedUnit]:
        """Return all units, the best followers of a property first. Raises the errors of `correlations`."""
        correlations = self.correlations(name)
        order = np.argsort(-np.abs(correlations), kind="stable")
        return [RankedUnit(self.units[number], float(correlations[number])) for number in order]

    def only(self, *, layer: int | None, state: str | None) -> "Activations":
        """Return the activations of one layer, or of one state of the units. Raises ConfigError if there are none."""
        kept = [number for number, one in enumerate(self.units) if layer in (None, one.layer) and state in (None, one.state)]
        if not kept:
            self.of(Unit(layer or 1, 1, state or STATES[0]))
        return Activations(
            pieces=self.pieces,
            lines=self.lines,
            units=tuple(self.units[number] for number in kept),
            values=self.values[kept],
            properties=self.properties,
        )


def record_units(model: TextModel, passages: Sequence[Passage]) -> Activations:
    """Read passages, each from the initial state of an empty prompt, and return the activations of all units."""
    pieces: list[str] = []
    lines: list[Line] = []
    values, properties = [], {name: list[Doubles]() for name in PROPERTIES}
    for passage in passages:
        ends = [position for position, piece in enumerate(passage.pieces) if piece]  # the last byte of a character
        shown = [passage.pieces[end] for end in ends]
        lines += list(lines_of(shown, passage.line, start=len(pieces)))
        pieces += shown
        values.append(_read(model, passage.ids)[ends])
        for name, parts in properties.items():
            parts.append(property_values(name, shown))
    read = np.concatenate(values).T  # (U, N)
    joined = {name: np.concatenate(parts) for name, parts in properties.items()}
    return Activations(
        pieces=pieces,
        lines=tuple(lines),
        units=tuple(_units(model)),
        values=np.ascontiguousarray(read / max(1.0, np.abs(read).max())),  # a ReLU has no upper bound
        properties={name: one for name, one in joined.items() if one.min() < one.max()},
    )


def _units(model: TextModel) -> list[Unit]:
    """Return the units in the order of `_state_values`."""
    return [
        Unit(layer, unit, state)
        for layer, cell in enumerate(model.one_network.cells, start=1)
        for state in STATES[: len(cell.state_type._fields)]
        for unit in range(1, cell.hidden_size + 1)
    ]


def _read(model: TextModel, ids: Ids) -> Floats:
    """Return the activations of all units after each id, (T, U)."""
    if not model.carried:
        return _read_windows(model, ids)
    _, state = warm_up(model, ids[:0])
    rows = []
    for token in ids:
        _, state = model.network.advance(np.array([token], np.intp), state)
        rows.append(np.concatenate([_state_values(one) for one in state], axis=1))
    return np.concatenate(rows)


def _read_windows(model: TextModel, ids: Ids) -> Floats:
    """Return the activations of all units after the window that ends with each id, (T, U)."""
    given = np.concatenate([primer_for(model, ids[:0]), ids.astype(np.intp)])
    windows = windows_of(model, given)[len(given) - len(ids) :]
    state = model.network.zero_state(len(windows))
    for column in windows.T:
        _, state = model.network.advance(column, state)
    return np.concatenate([_state_values(one) for one in state], axis=1)


def _state_values(state: object) -> Floats:
    """Return the activations of a layer's units, (B, U)."""
    if isinstance(state, LSTMState):
        return np.concatenate([state.hidden, np.tanh(state.cell)], axis=1)
    return state.hidden  # type: ignore[attr-defined]
