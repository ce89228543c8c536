"""Call Keras callbacks in chargen's own training loop, with Keras's names of figures.

Nothing here imports Keras: a callback is whatever has the methods of `keras.callbacks.Callback`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

import numpy as np

from chargen.errors import ChargenError, ConfigError, TrainingError
from chargen.network.cells import Floats
from chargen.runs.metrics import with_keras_names
from chargen.training.planning.plan import Plan
from chargen.training.recording.results import EpochResult, Figures
from chargen.training.trainer import Trainer

LOGS = ("loss", "accuracy", "val_loss", "val_accuracy", "bits_per_character", "learning_rate")
RARE_HOOKS = ("train_batch_begin", "train_batch_end", "test_begin", "test_end")


def check_callbacks(callbacks: Sequence[Any]) -> None:
    """Raise ConfigError for what is not a callback."""
    for one in callbacks:
        if not callable(getattr(one, "on_epoch_end", None)) or isinstance(one, type):
            raise ConfigError(f"callbacks holds {one!r:.60}, expected objects of keras.callbacks.Callback")


@final
class Callbacks:
    """The callbacks of a training. A callback that raises ends the training with a TrainingError that names it."""

    def __init__(self, callbacks: Sequence[Any], plan: Plan, trainer: Trainer) -> None:
        self._callbacks, self._model = callbacks, CallbackModel(plan, trainer)
        self._params = {"epochs": plan.settings.training.epochs, "steps": plan.training.num_steps, "verbose": 0}
        self._overriding = {name: [one for one in callbacks if _overrides(one, name)] for name in RARE_HOOKS}

    def train_begins(self) -> None:
        """Call `on_train_begin`, with the model and the parameters set."""
        for one in self._callbacks:
            with _named(one):
                one.set_params(self._params)
                one.set_model(self._model)
        self._call(lambda one: one.on_train_begin({}))

    def epoch_begins(self, epoch: int) -> None:
        """Call `on_epoch_begin` of an epoch, counted from 0."""
        self._call(lambda one: one.on_epoch_begin(epoch, {}))

    @property
    def stopped(self) -> bool:
        """Whether a callback has set `model.stop_training`."""
        return self._model.stop_training

    def batch_begins(self, step: int) -> None:
        """Call `on_train_batch_begin` before an execution, with its first step."""
        self._call(lambda one: one.on_train_batch_begin(step, {}), self._overriding["train_batch_begin"])

    def batch_ends(self, step: int, figures: Callable[[], Figures]) -> None:
        """Call `on_train_batch_end` after an execution, with its last step and the means since the epoch began.

        The figures wait for the device: without a callback for them they are not computed.
        """
        if overriding := self._overriding["train_batch_end"]:
            logs = _logs(figures())
            self._call(lambda one: one.on_train_batch_end(step, dict(logs)), overriding)

    def test_begins(self) -> None:
        """Call `on_test_begin` before held-out text is measured."""
        self._call(lambda one: one.on_test_begin({}), self._overriding["test_begin"])

    def test_ends(self, figures: Figures) -> None:
        """Call `on_test_end` with the figures of held-out text."""
        self._call(lambda one: one.on_test_end(_logs(figures)), self._overriding["test_end"])

    def epoch_ends(self, result: EpochResult) -> None:
        """Call `on_epoch_end`."""
        logs = _logs(result.row())
        self._call(lambda one: one.on_epoch_end(result.epoch - 1, dict(logs)))

    def train_ends(self) -> None:
        """Call `on_train_end`."""
        self._call(lambda one: one.on_train_end({}))

    def _call(self, hook: Callable[[Any], object], callbacks: Sequence[Any] | None = None) -> None:
        for one in self._callbacks if callbacks is None else callbacks:
            with _named(one):
                hook(one)


def _overrides(callback: Any, name: str) -> bool:
    """Tell whether a callback has a method of its own for an event; Keras marks those of its base class as default."""
    methods = [getattr(callback, f"on_{one}", None) for one in (name, name.removeprefix("train_"))]  # on_batch_end is an alias
    return any(callable(method) and not getattr(method, "_is_default", False) for method in methods)


def _logs(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that callbacks get, under Keras's names."""
    named = with_keras_names(figures)
    return {name: named[name] for name in LOGS if named.get(name) is not None}


@contextmanager
def _named(callback: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a user's own code may raise anything
        reason = str(error) if isinstance(error, ChargenError) else f"{type(error).__name__}: {error}"
        message = f"the callback {type(callback).__name__} failed: {' '.join(reason.split()) or 'without a reason'}"
        raise TrainingError(message, hint="everything before is saved, and --resume goes on") from error


class CallbackModel:
    """What a callback sees as its `model`: the weights, the learning rate, and `stop_training`, on any backend."""

    train_function: Any = None  # TensorBoard writes the graph of it, if there is one

    def __init__(self, plan: Plan, trainer: Trainer) -> None:
        self.stop_training = False
        self.optimizer = CallbackOptimizer(plan, trainer)
        self._trainer = trainer

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError for the rest of a Keras model, with what there is."""
        raise AttributeError(
            f"the model of a callback in chargen.train has stop_training, get_weights, set_weights and "
            f"optimizer.learning_rate, but no {name!r}"
        )

    def get_weights(self) -> list[Floats]:
        """Return copies of all weights, in the order of `chargen.network.network.weight_shapes`."""
        return list(self._trainer.network().weights.values())

    def set_weights(self, weights: Sequence[Floats]) -> None:
        """Replace all weights."""
        self._trainer.set_weights(dict(zip(self._trainer.network().weights, weights, strict=True)))


class CallbackOptimizer:
    """The learning rate of a training, under the name that Keras's optimizers give it."""

    def __init__(self, plan: Plan, trainer: Trainer) -> None:
        self._training, self._trainer = plan.settings.training, trainer

    @property
    def learning_rate(self) -> "LearningRate":
        """The learning rate of the next step. It can be set, unless a schedule sets it."""
        return LearningRate(self._trainer.learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self._training.rate_is_scheduled or self._training.schedule == "plateau":
            follows = f"schedule={self._training.schedule!r}, warmup_epochs={self._training.warmup_epochs:g}"
            raise ConfigError(f"the learning rate follows {follows}", hint="train with schedule='constant', warmup_epochs=0")
        self._trainer.set_learning_rate(float(value))


class LearningRate(float):
    """A number that is read as the variable of a Keras optimizer is."""

    shape: tuple[int, ...] = ()

    def numpy(self) -> np.float64:
        """Return it as NumPy's number."""
        return np.float64(self)
