"""Training with Keras."""

from collections.abc import Mapping
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from chargen.checkpoints import Arrays
from chargen.corpus.vocabulary import Vocabulary
from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.training.dataset import Executions
from chargen.training.export import export_network, find_variable
from chargen.training.model import build_model, compile_model
from chargen.training.parallel import ShardedModel, num_shards
from chargen.training.plan import TrainingPlan
from chargen.training.recording import Figures
from chargen.training.signals import RequestedSignal
from chargen.training.trainer import TrainedPlan, begins_afresh


class ExecutedPlan(TrainedPlan, Protocol):
    """What this trainer has to know of a plan."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the ids."""

    @property
    def steps_per_execution(self) -> int:
        """Optimizer steps that are taken without returning to Python."""


class KerasTrainer:
    """A compiled Keras model, several optimizer steps taken at a time."""

    def __init__(self, model: ShardedModel, plan: ExecutedPlan, *, num_outputs: int | None = None) -> None:
        """Train `model` as planned; `num_outputs` is the width of its output layer where that is not the vocabulary's."""
        self._model, self._plan, self._num_outputs = model, plan, num_outputs
        self._stateful = plan.settings.training.stateful
        signature = tuple(tf.TensorSpec((None, *array.shape), array.dtype) for array in plan.training.batch(0, 0))
        self._train = tf.function(model.train_step, input_signature=[signature])
        self._test = tf.function(model.test_step, input_signature=[signature])
        steps = plan.steps_per_execution
        self._training = Executions(plan.training, steps=steps)
        self._validation = Executions(plan.validation, steps=steps, same_epoch=True) if plan.validation else None

    def network(self) -> Network:
        config, vocab_size = self._plan.settings.network, len(self._plan.vocabulary)
        return export_network(self._model, config, vocab_size, num_outputs=self._num_outputs)

    def set_weights(self, weights: Mapping[str, Floats]) -> None:
        for name, weight in weights.items():
            find_variable(self._model, name).assign(weight)

    def begin_epoch(self) -> None:
        self._model.reset_metrics()
        if self._stateful:
            self._model.reset_states()

    def train(self, epoch: int, first: int) -> int:
        if begins_afresh(self._plan.settings.training, epoch, first, self._plan.steps_per_execution):
            self._model.reset_states()
        batches = self._training.take(epoch, first)
        self._train(tuple(batches))
        return len(batches.inputs)

    def leave_out(self, steps: int) -> None:
        self._model.optimizer.iterations.assign_add(steps)

    def figures(self) -> Figures:
        return {name: float(value) for name, value in self._model.get_metrics_result().items()}

    def measure(self, requested: RequestedSignal) -> Figures:
        assert self._validation is not None
        self.begin_epoch()
        step = 0
        while step < self._validation.num_steps:
            requested.check()
            batches = self._validation.take(0, step)
            self._test(tuple(batches))
            step += len(batches.inputs)
        return self.figures()

    @property
    def rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self._model.optimizer.learning_rate))

    def set_rate(self, rate: float) -> None:
        self._model.optimizer.learning_rate = rate

    def state(self) -> Arrays:
        return {name: np.asarray(array) for name, array in self._model.training_state().items()}

    def restore(self, state: Arrays) -> None:
        self._model.restore_training_state(state)


def new_model(plan: TrainingPlan) -> ShardedModel:
    """Build and compile the planned network, its weights drawn from the random seed."""
    settings = plan.settings
    keras.utils.set_random_seed(settings.training.random_seed)
    # Statistics over a batch are over the whole batch, on any number of cores.
    shards = 1 if settings.network.embedding_norm == "batch" else num_shards(plan.windows.batch_size)
    model = build_model(
        settings.network,
        vocab_size=len(plan.vocabulary),
        context_length=plan.windows.context_length,
        batch_size=plan.windows.batch_size // shards if settings.training.stateful else None,
        precision=settings.training.precision,
    )
    compile_model(model, settings.training, shards=shards, steps_per_epoch=plan.training.num_steps)
    return model
