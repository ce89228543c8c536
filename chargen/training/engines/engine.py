"""Define an engine, which takes the optimizer steps of a Keras model on a backend."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from chargen.corpus.windows import Batch
from chargen.runs.checkpoints import Arrays
from chargen.training.engines.losses import FIGURES_OF_TEXT, Summed
from chargen.training.engines.sharing import Sharing
from chargen.training.layers.dense import NativeDense
from chargen.training.layers.recurrent import TokenRecurrent, mark_ends

Tensor = Any  # of the backend
Tensors = list[Tensor]

SEED_STATE = "seed_generator_state"  # Keras's name for what its random layers draw from


class Engine(ABC):
    """Trains a functional model, several optimizer steps in each execution.

    A batch is cut into shards of rows. They share the weights, but not the recurrent states or the dropout: the seeds of a
    shard are those of the model plus the shard's number. So the result depends on the number of shards, not on the backend.
    The gradient is that of the mean over the positions with a weight, and the figures are exact means over an epoch.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        figures: Mapping[str, Summed],
        *,
        sharing: Sharing,
        largest: Batch,
    ) -> None:
        """Take a model for the rows of a shard, its optimizer, and the figures to measure, the loss first.

        `largest` holds the batches of the longest execution.
        """
        self.model, self.optimizer, self.sharing = model, optimizer, sharing
        sharing.apply(model)
        self._figures = figures
        self._head = _head_with_loss(model) if list(figures) == list(FIGURES_OF_TEXT) else None
        self._body = keras.Model(model.inputs, self._head.input) if self._head else None
        optimizer.build(model.trainable_variables)
        # The variables of a Keras model do not include the recurrent states of its layers.
        recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]
        self._state_variables = [state for layer in recurrent for state in keras.tree.flatten(layer.states or ())]
        self._carried_variables = [*model.non_trainable_variables, *self._state_variables]
        stops = any(isinstance(layer, TokenRecurrent) and layer.stops_at_ends for layer in model.layers)
        self._marks_ends = stops and not self._state_variables and largest.targets.ndim == largest.inputs.ndim

    @abstractmethod
    def train(self, batches: Batch) -> None:
        """Take K optimizer steps with K batches, (K, B, ...)."""

    @abstractmethod
    def test(self, batches: Batch) -> None:
        """Measure K batches."""

    @abstractmethod
    def _states(self) -> list[Any]:
        """Return the carried states of all recurrent layers, each (B, H)."""

    @abstractmethod
    def _set_states(self, states: Sequence[Any]) -> None:
        """Set the carried states, and reset the seeds of the shards to those of the model."""

    @abstractmethod
    def _sums(self) -> Any:
        """Return the sum of each figure and of the sample weights, (F + 1,) float32."""

    @abstractmethod
    def _set_sums(self, sums: Any) -> None:
        """Set the sums."""

    def reset_states(self) -> None:
        """Set the carried states of all recurrent layers to zero."""
        shapes = [(self.sharing.shards * one.shape[0], *one.shape[1:]) for one in self._state_variables]
        dtypes = [keras.backend.standardize_dtype(one.dtype) for one in self._state_variables]
        self._set_states([ops.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)])

    def roll_states(self) -> None:
        """Give each row the state of the row before it, and the first row the zero state."""
        rolled = [np.roll(np.array(ops.convert_to_numpy(state)), 1, axis=0) for state in self._states()]
        for state in rolled:
            state[0] = 0
        self._set_states(rolled)

    def sums(self) -> npt.NDArray[np.float64]:
        """Return the sum of each figure and of the sample weights, (F + 1,)."""
        return np.array(self._sums(), np.float64)

    def reset_figures(self) -> None:
        """Reset the sums to zero."""
        self._set_sums(np.zeros(len(self._figures) + 1, np.float32))

    def figures(self) -> dict[str, float]:
        """Return the means over all positions since the reset, each with its weight; NaN if there are none."""
        *sums, weight = np.asarray(self._sums()).tolist()
        return {name: total / weight if weight else math.nan for name, total in zip(self._figures, sums, strict=True)}

    def state(self) -> Arrays:
        """Return a copy of everything that is carried from step to step, which does not depend on the number of shards."""
        groups = {name: map(ops.convert_to_numpy, variables) for name, variables in self._variables().items()}
        groups["state"] = map(ops.convert_to_numpy, self._states())
        arrays = {f"{group}.{number}": np.array(array) for group, found in groups.items() for number, array in enumerate(found)}
        return arrays | {"figures": np.array(self._sums())}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        for group, variables in self._variables().items():
            for number, variable in enumerate(variables):
                variable.assign(arrays[f"{group}.{number}"])
        self._set_states([arrays[f"state.{number}"] for number, _ in enumerate(self._state_variables)])
        self._set_sums(arrays["figures"])

    def _variables(self) -> dict[str, list[Any]]:
        return {
            "weight": self.model.trainable_variables,
            "optimizer": self.optimizer.variables,
            "other": self.model.non_trainable_variables,
        }

    def _forward(
        self, values: Tensors, carried: Tensors, ids: Tensor, targets: Tensor, sample_weights: Tensor, *, training: bool
    ) -> tuple[Tensor, Tensors]:
        """Return the sums of the figures of some rows, (F,), and the new carried variables, without changing any variable."""
        if self._marks_ends:
            ids = mark_ends(ids, sample_weights)
        given = zip([*self.model.trainable_variables, *self._carried_variables], [*values, *carried], strict=True)
        with keras.StatelessScope(state_mapping=list(given)) as scope:
            figures = self._measured_figures(ids, targets, sample_weights, training=training)
            after = [scope.get_current_value(variable) for variable in self._carried_variables]
        return ops.stack(figures), after

    def _measured_figures(self, ids: Tensor, targets: Tensor, sample_weights: Tensor, *, training: bool) -> Tensors:
        if self._head and self._body:
            inputs = self._body(ids, training=training)
            return [self._head.sum_cross_entropies(inputs, targets, sample_weights, training=training)]
        logits = self.model(ids, training=training)
        return [summed(logits, targets, sample_weights) for summed in self._figures.values()]


def _head_with_loss(model: keras.Model) -> NativeDense | None:
    """Return the output layer of a model if the kernels compute it and the cross-entropy in one pass."""
    last = model.layers[-1]
    return last if isinstance(last, NativeDense) and last.computes_losses else None
