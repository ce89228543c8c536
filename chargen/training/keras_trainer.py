"""Train with Keras on the loaded backend."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import keras
import numpy as np

from chargen.network.cells import Floats
from chargen.network.network import Network, weight_shapes
from chargen.runs.checkpoints import Arrays
from chargen.scratch.initializers import initial_weights
from chargen.settings.schema import NetworkConfig
from chargen.training.devices.backend import accelerated
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.engines.dataset import Executions
from chargen.training.engines.engine import Engine
from chargen.training.engines.losses import FIGURES_OF_TEXT, Summed
from chargen.training.engines.sharing import Sharing, choose_sharing
from chargen.training.export import export_network, find_variable
from chargen.training.measurer import Measurer, steps_at_once
from chargen.training.model import build_model, make_optimizer, runs_on_kernels
from chargen.training.planning.plan import Plan
from chargen.training.planning.text_plan import TextPlan
from chargen.training.planning.validation import Validation
from chargen.training.recording.results import Figures
from chargen.training.signals import RequestedSignal
from chargen.training.trainer import resets_state

Build = Callable[[int], keras.Model]  # makes a model for so many rows
BuildMeasured = Callable[[int, bool], keras.Model]  # makes a model that measures so many rows, with a carried state or not


class KerasTrainer:
    """A Keras model that an engine trains, several optimizer steps at a time."""

    def __init__(
        self,
        plan: Plan,
        build: Build,
        build_measured: BuildMeasured,
        figures: Mapping[str, Summed],
        *,
        num_outputs: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Train the model that `build` makes for the rows of a shard, with weights drawn from the random seed.

        `build_measured` makes the model that measures held-out text with the same weights. num_outputs: the size of the output
        layer, by default that of the vocabulary.
        """
        self._plan, self._num_outputs, self._ranks = plan, num_outputs, ranks
        self._build_measured, self._figures = build_measured, figures
        self._measurers: dict[int, Measurer] = {}  # by the id() of their Validation
        self._steps = plan.steps_per_execution(gpu=accelerated())
        self._engine = _engine(plan, build, figures, self._steps, ranks)
        network, seed = plan.settings.network, plan.settings.training.seed_of_network
        rng = np.random.default_rng([seed, 0])
        self.set_weights(initial_weights(network, len(plan.vocabulary), rng, num_outputs=num_outputs))
        rows = plan.training.batch_size // ranks.count
        own = plan.training.of_rows(range(ranks.rank * rows, (ranks.rank + 1) * rows))
        self._training = Executions(own, steps=self._steps)

    def network(self) -> Network:
        config, vocab_size = self._plan.settings.network, len(self._plan.vocabulary)
        return export_network(self._engine.model, config, vocab_size, num_outputs=self._num_outputs)

    def set_weights(self, weights: Mapping[str, Floats]) -> None:
        for name, weight in weights.items():
            find_variable(self._engine.model, name).assign(weight)

    def prepare(self) -> None:
        before = self.state()
        self._engine.train(self._plan.training.batches(0, 0, 1))
        if self._plan.validation:
            self._measurer(self._plan.validation).prepare()
        self._engine.figures()  # waits until it is done
        self.restore(before)

    def begin_epoch(self) -> None:
        self._engine.reset_figures()
        self._engine.reset_states()

    def train(self, epoch: int, first: int) -> int:
        if resets_state(self._plan.settings.training, epoch, first, self._steps):
            self._engine.reset_states()
        batches = self._training.take(epoch, first)
        self._engine.train(batches)
        return len(batches.inputs)

    def move_schedule(self, steps: int) -> None:
        self._engine.optimizer.iterations.assign_add(steps)

    def figures(self) -> Figures:
        return self._engine.figures()

    def measure(self, validation: Validation, requested: RequestedSignal) -> Figures:
        measurer = self._measurer(validation)
        for name in self._weight_names():  # copied, because JAX reuses the memory of donated arrays
            weight = np.array(keras.ops.convert_to_numpy(find_variable(self._engine.model, name)))
            find_variable(measurer.engine.model, name).assign(weight)
        return measurer.measure(requested)

    def _measurer(self, validation: Validation) -> Measurer:
        """Return the measurer of a validation, which is made at the first call."""
        if id(validation) not in self._measurers:
            self._measurers[id(validation)] = self._make_measurer(validation)
        return self._measurers[id(validation)]

    def _make_measurer(self, validation: Validation) -> Measurer:
        sharing, rows = self._engine.sharing, validation.batches.batch_size
        steps = steps_at_once(validation, self._steps)
        engine = engine_type(distributed=self._ranks.num_devices is not None)(
            self._build_measured(rows // sharing.shards, validation.carried),
            keras.optimizers.SGD(),  # which is never used
            self._figures,
            sharing=sharing,
            largest=validation.batches.batches(0, 0, steps),
        )
        return Measurer(engine, validation, tuple(self._figures), steps=steps)

    def _weight_names(self) -> Iterable[str]:
        return weight_shapes(self._plan.settings.network, len(self._plan.vocabulary), num_outputs=self._num_outputs)

    @property
    def learning_rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self._engine.optimizer.learning_rate))

    def set_learning_rate(self, learning_rate: float) -> None:
        self._engine.optimizer.learning_rate = learning_rate

    def state(self) -> Arrays:
        return self._engine.state()

    def restore(self, state: Arrays) -> None:
        self._engine.restore(state)


def _engine(plan: Plan, build: Callable[[int], keras.Model], figures: Mapping[str, Summed], steps: int, ranks: Ranks) -> Engine:
    """Return the engine of the loaded backend, for executions of at most so many steps."""
    network, training = plan.settings.network, plan.settings.training
    random.seed(training.seed_of_network)  # Keras's random layers draw seeds from it
    if ranks.num_devices:
        sharing = Sharing(shards=ranks.num_devices)
    else:
        batch_size, context_length = plan.training.batch_size, plan.training.context_length
        on_kernels = runs_on_kernels(network, training.precision)
        sharing = choose_sharing(network, batch_size, context_length, on_kernels=on_kernels)
    model = build(plan.training.batch_size // sharing.shards)
    optimizer = make_optimizer(training, steps_per_epoch=plan.training.num_steps)
    largest = plan.training.batches(0, 0, steps)
    engine = engine_type(distributed=ranks.num_devices is not None)
    return engine(model, optimizer, figures, sharing=sharing, largest=largest)


def engine_type(*, distributed: bool = False) -> type[Engine]:
    """Return the engine of the loaded backend, without importing another backend."""
    if distributed:
        from chargen.training.engines.distributed_engine import DistributedEngine

        return DistributedEngine
    if keras.backend.backend() == "jax":
        from chargen.training.engines.jax_engine import JaxEngine

        return JaxEngine
    if keras.backend.backend() == "torch":
        from chargen.training.engines.torch_engine import TorchEngine

        return TorchEngine
    from chargen.training.engines.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine


def text_trainer(plan: TextPlan, ranks: Ranks = ALONE) -> KerasTrainer:
    """Return the trainer of a network that writes text, with initial weights."""
    settings = plan.settings

    def build(rows: int) -> keras.Model:
        return build_model(
            settings.network,
            vocab_size=len(plan.vocabulary),
            context_length=plan.windows.context_length,
            batch_size=rows if settings.training.stateful else None,
            precision=settings.training.precision,
        )

    def build_measured(rows: int, carried: bool) -> keras.Model:
        return build_model(
            _measured_network(settings.network, carried=carried),
            vocab_size=len(plan.vocabulary),
            context_length=plan.windows.context_length,
            batch_size=rows if carried else None,
        )

    return KerasTrainer(plan, build, build_measured, FIGURES_OF_TEXT, ranks=ranks)


def _measured_network(network: NetworkConfig, *, carried: bool) -> NetworkConfig:
    """Return the network that measures a text: without dropout, and with a carried state it predicts at every position."""
    network = network.undropped()
    if not carried:
        return network
    cell = "simplernn" if network.cell == "dense" else network.cell  # the same network, which can carry its state
    return replace(network, cell=cell, targets="all")
