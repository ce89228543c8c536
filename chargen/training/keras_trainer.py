"""Training with Keras."""

import time
from collections.abc import Mapping

import keras

from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.training.callbacks import Interruption, Recording, ResetStates
from chargen.training.dataset import num_executions, repeated_data, training_data
from chargen.training.export import export_network, find_variable
from chargen.training.model import build_model, compile_model
from chargen.training.parallel import ShardedModel, num_shards
from chargen.training.plan import TrainingPlan
from chargen.training.recording import EpochRecorder
from chargen.training.signals import RequestedSignal
from chargen.training.trainer import PROBE_SECONDS


class KerasTrainer:
    """A Keras model of the planned network and its `fit`."""

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan, self._model = plan, new_model(plan)

    def network(self) -> Network:
        return export_network(self._model, self._plan)

    def set_weights(self, weights: Mapping[str, Floats]) -> None:
        for name, weight in weights.items():
            find_variable(self._model, name).assign(weight)

    def fit(self, recorder: EpochRecorder, requested: RequestedSignal) -> None:
        plan, steps = self._plan, self._plan.steps_per_execution
        callbacks = [Interruption(requested.check), Recording(plan, recorder)]
        if plan.settings.training.stateful:
            callbacks.insert(0, ResetStates())
        self._model.fit(
            training_data(plan.training, steps_per_execution=steps),
            steps_per_epoch=num_executions(plan.training, steps),
            validation_data=repeated_data(plan.validation, steps_per_execution=steps) if plan.validation else None,
            validation_steps=num_executions(plan.validation, steps) if plan.validation else None,
            epochs=plan.settings.training.epochs,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )

    def seconds_per_step(self) -> float:
        steps = self._plan.steps_per_execution
        data = training_data(self._plan.training, steps_per_execution=steps)

        def seconds(executions: int) -> float:
            began = time.perf_counter()
            self._model.fit(data, steps_per_epoch=executions, shuffle=False, verbose=0)
            return time.perf_counter() - began

        seconds(1)  # compiles
        executions = max(1, round(PROBE_SECONDS / seconds(1)))
        return seconds(executions) / (executions * steps)


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
