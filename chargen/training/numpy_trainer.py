"""Train in NumPy with `chargen.scratch`, without a backend."""

import math
from collections.abc import Mapping

import numpy as np

from chargen.corpus.windows import Batch
from chargen.errors import ConfigError, NetworkError
from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.runs.checkpoints import Arrays
from chargen.scratch.initializers import initial_weights
from chargen.scratch.network import ScratchNetwork, check_supported
from chargen.scratch.optimizers import optimizer_type
from chargen.training.devices.backend import keep_freed_memory
from chargen.training.planning.text_plan import TextPlan
from chargen.training.planning.validation import Validation
from chargen.training.recording.results import Figures
from chargen.training.schedules import scheduled_learning_rate
from chargen.training.signals import RequestedSignal
from chargen.training.trainer import resets_state
from chargen.writing.reading import expectations

STEPS_AT_ONCE = 16  # whose batches are read from the text together


class NumpyTrainer:
    """A network and an optimizer written in NumPy. Raises ConfigError for settings that need Keras."""

    def __init__(self, plan: TextPlan) -> None:
        self._plan, self._training = plan, plan.settings.training
        if self._training.precision != "float32":
            raise ConfigError(
                "the NumPy trainer does not support training.precision other than float32", hint="use --backend tensorflow"
            )
        check_supported(plan.settings.network)
        keep_freed_memory()
        seed = self._training.seed_of_network
        self._weights = initial_weights(plan.settings.network, len(plan.vocabulary), np.random.default_rng([seed, 0]))
        self._network = ScratchNetwork(plan.settings.network, len(plan.vocabulary), self._weights)
        self._optimizer = optimizer_type(self._training.optimizer)(
            self._training.learning_rate,
            clip_norm=self._training.clip_norm,
            clip_value=self._training.clip_value,
            beta_2=self._training.beta_2,
            weight_decay=self._training.weight_decay,
        )
        self._rate_factor, self._num_moved = 1.0, 0
        self.begin_epoch()

    def network(self) -> Network:
        copies = {name: weight.copy() for name, weight in self._weights.items()}
        return Network(self._plan.settings.network, len(self._plan.vocabulary), copies)

    def set_weights(self, weights: Mapping[str, Floats]) -> None:
        for name, weight in weights.items():
            self._weights[name][:] = weight

    def prepare(self) -> None:
        """Do nothing: there is nothing to compile."""

    def begin_epoch(self) -> None:
        self._mean = WeightedMean()
        self._state = self._network.zero_state(self._plan.windows.batch_size)

    def train(self, epoch: int, first: int) -> int:
        plan = self._plan.training
        stacked = plan.batches(epoch, first, min(STEPS_AT_ONCE, plan.num_steps - first))
        if resets_state(self._training, epoch, first, STEPS_AT_ONCE):
            self._state = self._network.zero_state(self._plan.windows.batch_size)
        with np.errstate(all="ignore"):  # the recorder raises TrainingError for a loss that is not finite
            for batch in map(Batch, *stacked):
                self._step(batch)
        return len(stacked.inputs)

    def _step(self, batch: Batch) -> None:
        self._optimizer.learning_rate = self.learning_rate
        dropout = np.random.default_rng([self._training.seed_of_network, 1, self._optimizer.num_steps])
        loss, gradients, state = self._network.loss_and_gradients(batch, self._state, dropout)
        self._optimizer.update(self._weights, gradients)
        self._mean.add(loss, batch)
        if self._training.stateful:
            self._state = state

    def move_schedule(self, steps: int) -> None:
        self._num_moved += steps

    def figures(self) -> Figures:
        return {"cross_entropy": self._mean.value}

    def measure(self, validation: Validation, requested: RequestedSignal) -> Figures:
        stream, model = validation.stream, self._plan.text_model(self.network(), {})
        assert stream is not None
        nats = 0.0
        try:
            for expected in expectations(model, stream):
                requested.check()
                nats += float(expected.nats.sum())
        except NetworkError:
            nats = np.inf  # for which the recorder raises TrainingError
        return {"cross_entropy": nats / stream.num_targets}

    @property
    def learning_rate(self) -> float:
        steps_per_epoch = self._plan.training.num_steps
        step = self._optimizer.num_steps + self._num_moved
        planned = scheduled_learning_rate(step, self._training, steps_per_epoch=steps_per_epoch, xp=np)
        return self._rate_factor * float(planned)

    def set_learning_rate(self, learning_rate: float) -> None:
        self._rate_factor = learning_rate / self._training.learning_rate

    def state(self) -> Arrays:
        numbers = [
            self._optimizer.num_steps,
            self._mean.total_loss,
            self._mean.total_weight,
            self._rate_factor,
            self._num_moved,
        ]
        arrays = {"numbers": np.array(numbers, np.float64)} | {f"weight.{name}": one for name, one in self._weights.items()}
        for name, slots in self._optimizer.slots.items():
            arrays |= {f"slot.{number}.{name}": slot for number, slot in enumerate(slots)}
        for layer, state in enumerate(self._state):
            arrays |= {f"state.{layer}.{number}": array for number, array in enumerate(state)}
        return {name: np.array(array) for name, array in arrays.items()}

    def restore(self, state: Arrays) -> None:
        num_steps, loss, weight, self._rate_factor, num_moved = state["numbers"].tolist()
        self._optimizer.num_steps, self._num_moved = int(num_steps), int(num_moved)
        self._mean = WeightedMean(loss, weight)
        self.set_weights({name: state[f"weight.{name}"] for name in self._weights})
        count = len(self._optimizer.slot_starts)
        if num_steps:
            self._optimizer.slots = {
                name: [state[f"slot.{number}.{name}"] for number in range(count)] for name in self._weights
            }
        zeros = self._network.zero_state(self._plan.windows.batch_size)
        self._state = tuple(
            type(one)(*[state[f"state.{layer}.{number}"] for number in range(len(one))]) for layer, one in enumerate(zeros)
        )


class WeightedMean:
    """The mean loss of all positions, each with its weight."""

    def __init__(self, total_loss: float = 0.0, total_weight: float = 0.0) -> None:
        self.total_loss, self.total_weight = total_loss, total_weight

    def add(self, loss: float, batch: Batch) -> None:
        """Add the summed loss of a batch."""
        self.total_loss += loss
        self.total_weight += float(batch.sample_weights.sum())

    @property
    def value(self) -> float:
        """The mean in nats a token, NaN if no token was predicted."""
        return self.total_loss / self.total_weight if self.total_weight else math.nan
