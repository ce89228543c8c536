"""Measure what a text costs a model, or several models together, wherever reading begins."""

from collections.abc import Sequence
from typing import final

import numpy as np

from chargen.errors import ConfigError
from chargen.memory.ngrams import Contexts
from chargen.network.network import NetworkState
from chargen.writing.ensemble import AVERAGE, AnyModel, Ensemble, translation
from chargen.writing.scoring import Doubles, IdArray, Nats, token_nats

States = tuple[tuple[NetworkState, Contexts | None], ...]  # one of each member; contexts of its memory


@final
class Scorer:
    """Costs of tokens by the mean of the members' probabilities; ids are those of the model, or of the first member."""

    def __init__(self, model: AnyModel) -> None:
        """Raise ConfigError for models that take turns: what a text costs those depends on whose turn it begins with."""
        if isinstance(model, Ensemble) and model.how != AVERAGE:
            raise ConfigError("models that take turns cannot be measured together", hint=f"measure them as an {AVERAGE}")
        members = model.members if isinstance(model, Ensemble) else (model,)
        self._members = [(one, translation(model.vocabulary, one.vocabulary)) for one in members]

    def zero_states(self, rows: int) -> States:
        """Return states in which nothing was read, of so many rows."""
        return tuple(
            (model.network.zero_state(rows), model.memory.start(rows) if model.memory else None) for model, _ in self._members
        )

    def nats(self, ids: IdArray, targets: IdArray, states: States) -> tuple[Nats, States]:
        """Read (B, T) ids, and return the nats of each target, (B, T), and the states after the last id."""
        costs, after = [], []
        for (model, there), (state, contexts) in zip(self._members, states, strict=True):
            read, wanted = (ids, targets) if there is None else (there[ids], there[targets])
            found = None if model.memory is None or contexts is None else model.memory.read(read, contexts)
            cost, state = token_nats(model.network, read, wanted, state, memory=model.memory, contexts=found)
            contexts = None if found is None else found[:, -1]
            costs.append(cost)
            after.append((state, contexts))
        return Nats(*map(_mean, zip(*costs, strict=True))), tuple(after)


def _mean(costs: Sequence[Doubles]) -> Doubles:
    """Return the nats of the mean of the probabilities, given those of each."""
    return costs[0] if len(costs) == 1 else np.log(len(costs)) - np.logaddexp.reduce([-one for one in costs])
