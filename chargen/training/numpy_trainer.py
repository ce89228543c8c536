"""Training by hand, in NumPy: what `chargen.scratch` computes, step by step. Nothing here or there loads a backend."""

import time
from collections.abc import Iterator, Mapping

import numpy as np

from chargen.corpus.windows import Batch, BatchPlan
from chargen.errors import ConfigError
from chargen.network.cells import Floats
from chargen.network.network import Network, NetworkState
from chargen.scratch.initializers import initial_weights
from chargen.scratch.network import ScratchNetwork, check_supported
from chargen.scratch.optimizers import optimizer_type
from chargen.training.backend import keep_freed_memory
from chargen.training.plan import TrainingPlan
from chargen.training.recording import EpochRecorder
from chargen.training.schedules import learning_rate
from chargen.training.signals import RequestedSignal
from chargen.training.trainer import PROBE_SECONDS

BATCHES_AT_ONCE = 16  # gathered from the text together


class NumpyTrainer:
    """A hand-written network and optimizer. Raises ConfigError for what only Keras can do."""

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan, self._training = plan, plan.settings.training
        if self._training.precision != "float32":
            raise ConfigError("the NumPy trainer has no training.precision but float32", hint="use --backend tensorflow")
        check_supported(plan.settings.network)
        keep_freed_memory()
        seed = self._training.random_seed
        self._weights = initial_weights(plan.settings.network, len(plan.vocabulary), np.random.default_rng([seed, 0]))
        self._network = ScratchNetwork(plan.settings.network, len(plan.vocabulary), self._weights)
        self._optimizer = optimizer_type(self._training.optimizer)(
            self._training.learning_rate, clip_norm=self._training.clip_norm, clip_value=self._training.clip_value
        )

    def network(self) -> Network:
        copies = {name: weight.copy() for name, weight in self._weights.items()}
        return Network(self._plan.settings.network, len(self._plan.vocabulary), copies)

    def set_weights(self, weights: Mapping[str, Floats]) -> None:
        for name, weight in weights.items():
            self._weights[name][:] = weight

    def fit(self, recorder: EpochRecorder, requested: RequestedSignal) -> None:
        recorder.begins()
        for epoch in range(self._training.epochs):
            recorder.epoch_begins(epoch + 1)
            with np.errstate(all="ignore"):  # the recorder ends a training whose loss is no longer finite
                loss = self._train_epoch(epoch, recorder, requested)
            recorder.validation_begins()
            validation = self._measure(self._plan.validation, requested) if self._plan.validation else None
            rate = self._rate(recorder.progress.rate_factor)
            recorder.epoch_ends(epoch + 1, cross_entropy=loss, validation=validation, rate=rate, network=self.network())
            if recorder.progress.stop:
                return

    def seconds_per_step(self) -> float:
        began, steps = time.perf_counter(), 0
        state = self._network.zero_state(self._plan.windows.batch_size)
        for batch in _batches(self._plan.training, 0):
            self._step(batch, state)
            steps += 1
            if time.perf_counter() - began > PROBE_SECONDS:
                break
        return (time.perf_counter() - began) / steps

    def _train_epoch(self, epoch: int, recorder: EpochRecorder, requested: RequestedSignal) -> float:
        """Take the optimizer steps of an epoch and return the mean loss in nats a token."""
        mean, zeros = WeightedMean(), self._network.zero_state(self._plan.windows.batch_size)
        state = zeros
        for step, batch in enumerate(_batches(self._plan.training, epoch)):
            requested.check()
            if recorder.wants_loss and step:
                recorder.step(step, mean.value)
            self._optimizer.learning_rate = self._rate(recorder.progress.rate_factor)
            loss, after = self._step(batch, state)
            state = after if self._training.stateful else zeros
            mean.add(loss, batch)
        return mean.value

    def _step(self, batch: Batch, state: NetworkState) -> tuple[float, NetworkState]:
        dropout = np.random.default_rng([self._training.random_seed, 1, self._optimizer.num_steps])
        loss, gradients, after = self._network.loss_and_gradients(batch, state, dropout)
        self._optimizer.update(self._weights, gradients)
        return loss, after

    def _measure(self, plan: BatchPlan, requested: RequestedSignal) -> float:
        """Return the mean loss of held-out batches in nats a token."""
        mean, zeros = WeightedMean(), self._network.zero_state(self._plan.windows.batch_size)
        state = zeros
        for batch in _batches(plan, 0):
            requested.check()
            loss, after = self._network.loss(batch, state)
            state = after if self._training.stateful else zeros
            mean.add(loss, batch)
        return mean.value

    def _rate(self, factor: float) -> float:
        """Return the learning rate of the next step."""
        steps_per_epoch = self._plan.training.num_steps
        return factor * float(learning_rate(self._optimizer.num_steps, self._training, steps_per_epoch=steps_per_epoch, xp=np))


class WeightedMean:
    """The mean of summed losses over all positions that weigh."""

    def __init__(self) -> None:
        self._loss = self._weight = 0.0

    def add(self, loss: float, batch: Batch) -> None:
        """Add the summed loss of a batch."""
        self._loss += loss
        self._weight += float(batch.weights.sum())

    @property
    def value(self) -> float:
        """The mean in nats a token."""
        return self._loss / max(self._weight, 1.0)


def _batches(plan: BatchPlan, epoch: int) -> Iterator[Batch]:
    """Yield the batches of an epoch; several are gathered at once."""
    for first in range(0, plan.num_steps, BATCHES_AT_ONCE):
        stacked = plan.batches(epoch, first, min(BATCHES_AT_ONCE, plan.num_steps - first))
        for inputs, targets, weights in zip(*stacked, strict=True):
            yield Batch(inputs, targets, weights)
