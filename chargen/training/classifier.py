"""Train a classifier with Keras, into a run directory."""

import math
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from chargen.config import NetworkConfig
from chargen.errors import TrainingError
from chargen.network.classifier import TextClassifier, save_classifier
from chargen.network.model_file import num_class_outputs
from chargen.network.network import Network, weight_shapes
from chargen.run import RunDirectory
from chargen.tracking import Tracker
from chargen.training.callbacks import Interruption
from chargen.training.classifier_plan import ClassifierPlan
from chargen.training.classifier_results import ClassifierEpoch, ClassifierOutcome
from chargen.training.dataset import num_executions, repeated_data, training_data
from chargen.training.display import Display
from chargen.training.export import find_variable
from chargen.training.model import compile_model, dtype_policy, recurrent_stack
from chargen.training.parallel import ShardedModel, num_shards
from chargen.training.plan import CharacterRate
from chargen.training.signals import TrainingInterrupted, deferred_signals
from chargen.training.stopping import Progress

PROBE_SECONDS = 1.0
ACCURACY_DIGITS = 6  # a share of texts has no more in float32


class ClassifierModel(ShardedModel):
    """A sharded model whose outputs are the logits of labels, and which counts how often the largest is the right one."""

    no_figures = np.zeros(2, np.float32)

    def prepare(self, *, shards: int, jit: bool) -> None:
        super().prepare(shards=shards, jit=jit)
        self._accuracy = keras.metrics.Mean("accuracy")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [*super().metrics, self._accuracy]

    def compute_loss(self, *, y: Any, y_pred: Any, sample_weight: Any, **extra: Any) -> tf.Tensor:
        """Return the summed cross-entropy and the number of texts told right, (2,); only the first has a gradient."""
        loss = super().compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight, **extra)
        right = ops.cast(ops.equal(ops.argmax(y_pred, axis=-1), ops.cast(y, "int64")), "float32")
        return tf.stack([loss, tf.stop_gradient(tf.reduce_sum(right * sample_weight))])

    def _note(self, figures: tf.Tensor, total: tf.Tensor) -> None:
        super()._note(figures[0], total)
        self._accuracy.update_state(tf.math.divide_no_nan(figures[1], total), sample_weight=total)


def build_classifier(
    network: NetworkConfig, *, vocab_size: int, context_length: int, num_labels: int, precision: str = "float32"
) -> ClassifierModel:
    """Build the network that `chargen.network.classifier.TextClassifier` computes in NumPy.

    Inputs are ids of shape (B, T), outputs float32 logits of shape (B, labels). For two labels the output layer has one unit,
    whose sigmoid is the probability of the second: the softmax of 0 and its output.
    """
    with dtype_policy(precision):
        ids, values = recurrent_stack(network, vocab_size, context_length, None)
        logits = ops.cast(layers.Dense(num_class_outputs(num_labels), name="output")(values), "float32")
        if num_labels == 2:
            logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
        return ClassifierModel(ids, logits, name="chargen")


def export_classifier(model: keras.Model, plan: ClassifierPlan, results: dict[str, float]) -> TextClassifier:
    """Return everything that a model file holds, the weights copied."""
    config, corpus = plan.settings.network, plan.corpus
    shapes = weight_shapes(config, len(plan.vocabulary), num_outputs=num_class_outputs(len(plan.labels)))
    weights = {name: np.array(ops.convert_to_numpy(find_variable(model, name)), np.float32) for name in shapes}
    return TextClassifier(
        network=Network(config, len(plan.vocabulary), weights),
        vocabulary=plan.vocabulary,
        labels=plan.labels,
        context_length=plan.context_length,
        provenance={"corpus": corpus.name, "sha256": corpus.sha256, "texts": len(corpus.documents)} | results,
    )


class ClassifierEpochEnd(keras.callbacks.Callback):
    """At the end of an epoch: the models, metrics.csv, the display and the tracker."""

    def __init__(self, plan: ClassifierPlan, run: RunDirectory, display: Display, tracker: Tracker) -> None:
        super().__init__()
        self._plan, self._run, self._display, self._tracker = plan, run, display, tracker
        self.results: list[ClassifierEpoch] = []
        self._progress = Progress(plan.settings.training)
        self._epochs = plan.settings.training.epochs
        self._training_seconds = 0.0
        self._epoch_began = self._began = time.perf_counter()

    def on_train_begin(self, logs: object = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._epoch_began = time.perf_counter()
        self._training_seconds = 0.0
        self._display.epoch_begins(epoch + 1, epochs=self._epochs, steps=self._plan.training.num_steps)

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if self._display.due() and batch > 0:
            cross_entropy = float(self.model.get_metrics_result()["cross_entropy"])
            self._display.step(batch * self._plan.steps_per_execution, cross_entropy=cross_entropy)

    def on_test_begin(self, logs: object = None) -> None:
        self._training_seconds = time.perf_counter() - self._epoch_began

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        result = self._result(epoch + 1, logs)
        if not math.isfinite(result.monitored):
            kept = f"; {self._run.model} holds the best model before it" if self.results else ""
            raise TrainingError(
                f"the loss is {result.monitored} after epoch {result.epoch}{kept}",
                hint="try a lower --learning-rate, or --clip-norm 1",
            )
        best = self._progress.update(result)
        self.results.append(result)
        self._keep(best=best)
        seconds_left = (time.perf_counter() - self._began) / result.epoch * (self._epochs - result.epoch)
        self._display.note(result.line(epochs=self._epochs, seconds_left=seconds_left))
        self._tracker.log({name: value for name, value in result.row().items() if value is not None})
        self._go_on()

    def _result(self, epoch: int, logs: dict[str, float]) -> ClassifierEpoch:
        figures = {name: float(value) for name, value in logs.items()}
        shares = {name: round(value, ACCURACY_DIGITS) for name, value in figures.items() if name.endswith("accuracy")}
        return ClassifierEpoch(
            epoch=epoch,
            step=epoch * self._plan.training.num_steps,
            cross_entropy=figures["cross_entropy"],
            accuracy=shares["accuracy"],
            validation_cross_entropy=figures.get("val_cross_entropy"),
            validation_accuracy=shares.get("val_accuracy"),
            learning_rate=float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            seconds=self._training_seconds or time.perf_counter() - self._epoch_began,
            num_targets=self._plan.training.num_targets,
            rate=CharacterRate(),
        )

    def _keep(self, *, best: bool) -> None:
        """Write the last model, and the best where this is it, and metrics.csv."""
        model = self._classifier()
        save_classifier(self._run.last_model, model)
        if best:
            save_classifier(self._run.model, model)
        self._run.write_metrics([one.row() for one in self.results])

    def _go_on(self) -> None:
        """End training, or lower the learning rate, as the losses so far tell."""
        training = self._plan.settings.training
        self.model.stop_training = self._progress.stop
        if training.schedule == "plateau":
            self.model.optimizer.learning_rate = training.learning_rate * self._progress.rate_factor

    def interrupted(self) -> None:
        """Keep the weights as they are; before the first epoch's end they are also the best there is."""
        model = self._classifier()
        save_classifier(self._run.last_model, model)
        if not self.results:
            save_classifier(self._run.model, model)

    def _classifier(self) -> TextClassifier:
        """Return the model as it is now, with the figures of the last finished epoch."""
        last = self.results[-1:]
        known = {"epochs": last[0].epoch, "accuracy": last[0].monitored_accuracy} if last else {}
        return export_classifier(self.model, self._plan, known)


def train_classifier(plan: ClassifierPlan, run: RunDirectory, *, display: Display, tracker: Tracker) -> ClassifierOutcome:
    """Train until the planned epochs are over, or patience is, or a signal comes; keep what `trainer.train` keeps.

    Raises TrainingError if the loss is no longer finite.
    """
    model = new_classifier(plan)
    epoch_end = ClassifierEpochEnd(plan, run, display, tracker)
    tracker.start(run.name, run.path, plan.settings.to_mapping())
    interrupted_by, finished = None, False
    try:
        with display.running(), deferred_signals() as requested:
            _fit(model, plan, [Interruption(requested.check), epoch_end])
        finished = True
    except TrainingInterrupted as interruption:
        interrupted_by = interruption.signal_number
        epoch_end.interrupted()
    finally:
        tracker.finish(failed=not finished)
    return ClassifierOutcome(results=tuple(epoch_end.results), interrupted_by=interrupted_by)


def new_classifier(plan: ClassifierPlan) -> ClassifierModel:
    """Build and compile the planned network, its weights drawn from the random seed."""
    settings = plan.settings
    keras.utils.set_random_seed(settings.training.random_seed)
    # Statistics over a batch are over the whole batch, on any number of cores.
    shards = 1 if settings.network.embedding_norm == "batch" else num_shards(plan.training.batch_size)
    model = build_classifier(
        settings.network,
        vocab_size=len(plan.vocabulary),
        context_length=plan.context_length,
        num_labels=len(plan.labels),
        precision=settings.training.precision,
    )
    compile_model(model, settings.training, shards=shards, steps_per_epoch=plan.training.num_steps)
    return model


def _fit(model: ClassifierModel, plan: ClassifierPlan, callbacks: list[keras.callbacks.Callback]) -> None:
    steps, validation = plan.steps_per_execution, plan.validation
    model.fit(
        training_data(plan.training, steps_per_execution=steps),
        steps_per_epoch=num_executions(plan.training, steps),
        validation_data=repeated_data(validation, steps_per_execution=steps) if validation else None,
        validation_steps=num_executions(validation, steps) if validation else None,
        epochs=plan.settings.training.epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )


def measure_seconds_per_step(plan: ClassifierPlan) -> float:
    """Train a fresh model for a second or so and return how long an optimizer step takes, in seconds."""
    model, steps = new_classifier(plan), plan.steps_per_execution
    data = training_data(plan.training, steps_per_execution=steps)

    def seconds(executions: int) -> float:
        began = time.perf_counter()
        model.fit(data, steps_per_epoch=executions, shuffle=False, verbose=0)
        return time.perf_counter() - began

    seconds(1)  # compiles
    executions = max(1, round(PROBE_SECONDS / seconds(1)))
    return seconds(executions) / (executions * steps)
