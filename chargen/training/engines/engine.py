"""Define what takes the optimizer steps of a Keras model, on any backend."""

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
from chargen.training.engines.losses import Summed

Tensor = Any  # of the backend
Tensors = list[Tensor]

SEED_STATE = "seed_generator_state"  # Keras's name for what its random layers draw from


class Engine(ABC):
    """A functional model and an optimizer that takes several steps an execution.

    A batch is cut into shards of rows, which share the weights, but neither recurrent states nor what is dropped: the seeds of
    a shard are the model's own plus the shard's number. So the outcome depends on the number of shards, and not on the backend.
    The optimizer sees the gradient of the mean over the positions that weigh; the figures are exact over an epoch however the
    weights fall on its batches.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        figures: Mapping[str, Summed],
        *,
        shards: int,
        largest: Batch,
    ) -> None:
        """Take a model of a shard's rows (bound to them if it carries states) and what is measured, the loss first.

        `largest` is an execution of as many steps as there will be at most.
        """
        self.model, self.optimizer, self.shards = model, optimizer, shards
        self._figures = figures
        optimizer.build(model.trainable_variables)
        # Keras does not count the recurrent states among a model's variables, so they are looked for in its layers.
        recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]
        self._state_variables = [state for layer in recurrent for state in keras.tree.flatten(layer.states or ())]
        self._carried_variables = [*model.non_trainable_variables, *self._state_variables]

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
        """Carry on such states, and the model's own seeds."""

    @abstractmethod
    def _sums(self) -> Any:
        """Return what was measured: the sum of each figure, then that of the weights, (F + 1,) float32."""

    @abstractmethod
    def _set_sums(self, sums: Any) -> None:
        """Go on measuring from such sums."""

    def reset_states(self) -> None:
        """Set the carried states of all recurrent layers to zero."""
        shapes = [(self.shards * one.shape[0], *one.shape[1:]) for one in self._state_variables]
        dtypes = [keras.backend.standardize_dtype(one.dtype) for one in self._state_variables]
        self._set_states([ops.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)])

    def roll_states(self) -> None:
        """Let each row go on where the row before it ended, and the first one from the zero state."""
        rolled = [np.roll(np.array(ops.convert_to_numpy(state)), 1, axis=0) for state in self._states()]
        for state in rolled:
            state[0] = 0
        self._set_states(rolled)

    def sums(self) -> npt.NDArray[np.float64]:
        """Return what was measured: the sum of each figure, then that of the weights, (F + 1,)."""
        return np.array(self._sums(), np.float64)

    def reset_figures(self) -> None:
        """Forget what was measured."""
        self._set_sums(np.zeros(len(self._figures) + 1, np.float32))

    def figures(self) -> dict[str, float]:
        """Return the means over all positions that weighed since they were forgotten, NaN if none did."""
        *sums, weight = np.asarray(self._sums()).tolist()
        return {name: total / weight if weight else math.nan for name, total in zip(self._figures, sums, strict=True)}

    def state(self) -> Arrays:
        """Return all that training carries from step to step, copied; nothing in it is about the number of shards."""
        groups = {name: map(ops.convert_to_numpy, variables) for name, variables in self._variables().items()}
        groups["state"] = map(ops.convert_to_numpy, self._states())
        arrays = {f"{group}.{number}": np.array(array) for group, found in groups.items() for number, array in enumerate(found)}
        return arrays | {"figures": np.array(self._sums())}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
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
        self, values: Tensors, carried: Tensors, ids: Tensor, targets: Tensor, weights: Tensor, *, training: bool
    ) -> tuple[Tensor, Tensors]:
        """Return the summed figures of some rows, (F,), and what is carried on, without changing a variable."""
        given = zip([*self.model.trainable_variables, *self._carried_variables], [*values, *carried], strict=True)
        with keras.StatelessScope(state_mapping=list(given)) as scope:
            logits = self.model(ids, training=training)
            after = [scope.get_current_value(variable) for variable in self._carried_variables]
        return ops.stack([summed(logits, targets, weights) for summed in self._figures.values()]), after
