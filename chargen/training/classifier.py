"""The Keras model of a classifier."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from chargen.config import NetworkConfig
from chargen.network.model_file import num_class_outputs
from chargen.training.classifier_plan import ClassifierPlan
from chargen.training.keras_trainer import KerasTrainer
from chargen.training.model import compile_model, dtype_policy, recurrent_stack
from chargen.training.parallel import ShardedModel, num_shards


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


def classifier_trainer(plan: ClassifierPlan) -> KerasTrainer:
    """Return what trains a fresh classifier."""
    return KerasTrainer(new_classifier(plan), plan, num_outputs=num_class_outputs(len(plan.labels)))
