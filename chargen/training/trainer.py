"""Train a network as planned, into a run directory."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import keras

from chargen.config import TrainingConfig
from chargen.network.model_file import save_model
from chargen.run import RunDirectory
from chargen.tracking import Tracker
from chargen.training.callbacks import EpochEnd, Interruption, ResetStates, StopAtLoss, TrainingInterrupted
from chargen.training.dataset import num_executions, repeated_data, training_data
from chargen.training.display import Display
from chargen.training.model import build_model, compile_model
from chargen.training.parallel import ShardedModel, num_shards
from chargen.training.plan import TrainingPlan
from chargen.training.results import TrainingOutcome

PROBE_SECONDS = 1.0
FORWARD_SHARE = 3  # a training step costs three times its forward pass


def train(plan: TrainingPlan, run: RunDirectory, *, display: Display, tracker: Tracker) -> TrainingOutcome:
    """Train until the planned epochs are over, or patience is, or a signal comes.

    The run directory holds the best and the last model at any moment after the first epoch, and after a signal. Raises
    TrainingError if the loss is no longer finite.
    """
    model = _new_model(plan)
    epoch_end = EpochEnd(plan, run, display, tracker)
    tracker.start(run.name, run.path, plan.settings.to_mapping())
    interrupted_by, finished = None, False
    try:
        with display.running(), deferred_signals() as requested:
            _fit(model, plan, [Interruption(requested.get), epoch_end])
        finished = True
    except TrainingInterrupted as interruption:
        interrupted_by = interruption.signal_number
        _save_interrupted(run, epoch_end)
    finally:
        tracker.finish(failed=not finished)
    return TrainingOutcome(results=tuple(epoch_end.results), interrupted_by=interrupted_by)


def measure_seconds_per_epoch(plan: TrainingPlan) -> float:
    """Train a second or so of a fresh model and return how long an epoch with its validation would take, in seconds."""
    model, steps = _new_model(plan), plan.steps_per_execution
    data = training_data(plan.training, steps_per_execution=steps)

    def seconds(executions: int) -> float:
        began = time.perf_counter()
        model.fit(data, steps_per_epoch=executions, shuffle=False, verbose=0)
        return time.perf_counter() - began

    seconds(1)  # compiles
    executions = max(1, round(PROBE_SECONDS / seconds(1)))
    validation = plan.validation.num_steps / FORWARD_SHARE if plan.validation else 0
    return seconds(executions) / (executions * steps) * (plan.training.num_steps + validation)


def _new_model(plan: TrainingPlan) -> ShardedModel:
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


def _fit(model: ShardedModel, plan: TrainingPlan, callbacks: list[keras.callbacks.Callback]) -> None:
    training = plan.settings.training
    if training.stateful:
        callbacks = [ResetStates(), *callbacks]
    callbacks = [*callbacks, *_stopping(training, monitor="val_cross_entropy" if plan.validation else "cross_entropy")]
    steps = plan.steps_per_execution
    model.fit(
        training_data(plan.training, steps_per_execution=steps),
        steps_per_epoch=num_executions(plan.training, steps),
        validation_data=repeated_data(plan.validation, steps_per_execution=steps) if plan.validation else None,
        validation_steps=num_executions(plan.validation, steps) if plan.validation else None,
        epochs=training.epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )


def _stopping(training: TrainingConfig, *, monitor: str) -> list[keras.callbacks.Callback]:
    """Return what looks at an epoch's loss and slows training down or ends it."""
    callbacks: list[keras.callbacks.Callback] = []
    if training.patience:
        callbacks.append(keras.callbacks.EarlyStopping(monitor=monitor, mode="min", patience=training.patience))
    if training.schedule == "plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor=monitor, mode="min", factor=training.decay_factor, patience=training.decay_epochs, min_delta=0
            )
        )
    if training.until_loss is not None:
        callbacks.append(StopAtLoss(training.until_loss))
    return callbacks


def _save_interrupted(run: RunDirectory, epoch_end: EpochEnd) -> None:
    """Keep the weights as they are; before the first epoch's end they are also the best there is."""
    results = epoch_end.results
    model = epoch_end.text_model()
    save_model(run.last_model, model)
    if not results:
        save_model(run.model, model)


class RequestedSignal:
    """The first SIGINT or SIGTERM that came, or None; the second one acts at once."""

    def __init__(self) -> None:
        self._number: int | None = None

    def get(self) -> int | None:
        """Return the signal's number."""
        return self._number

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal."""
        if self._number is not None:
            raise SystemExit(128 + number)
        self._number = number


@contextmanager
def deferred_signals() -> Iterator[RequestedSignal]:
    """Hold the first Ctrl-C or SIGTERM back within, for the step that is under way to finish."""
    requested = RequestedSignal()
    previous = {number: signal.signal(number, requested.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
