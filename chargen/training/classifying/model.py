"""Build the Keras model of a classifier."""

import keras
from keras import layers, ops

from chargen.network.model_file import num_class_outputs
from chargen.settings.schema import NetworkConfig
from chargen.training.classifying.plan import ClassifierPlan
from chargen.training.engines.losses import FIGURES_OF_LABELS
from chargen.training.keras_trainer import KerasTrainer
from chargen.training.model import computing_in, dtype_policy, recurrent_stack


def build_classifier(
    network: NetworkConfig, *, vocab_size: int, context_length: int, num_labels: int, precision: str = "float32"
) -> keras.Model:
    """Build the network that `chargen.writing.classifier.TextClassifier` computes in NumPy.

    Inputs are ids of shape (B, T), outputs float32 logits of shape (B, labels). For two labels the output layer has one unit,
    whose sigmoid is the probability of the second: the softmax of 0 and its output.
    """
    policy, products = computing_in(precision)
    with dtype_policy(policy):
        ids, values = recurrent_stack(network, vocab_size, context_length, None, products=products)
        logits = ops.cast(layers.Dense(num_class_outputs(num_labels), name="output")(values), "float32")
        if num_labels == 2:
            logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
        return keras.Model(ids, logits, name="chargen")


def classifier_trainer(plan: ClassifierPlan) -> KerasTrainer:
    """Return the trainer of a classifier, with initial weights."""
    settings = plan.settings

    def build(network: NetworkConfig, precision: str) -> keras.Model:
        return build_classifier(
            network,
            vocab_size=len(plan.vocabulary),
            context_length=plan.context_length,
            num_labels=len(plan.labels),
            precision=precision,
        )

    return KerasTrainer(
        plan,
        lambda rows: build(settings.network, settings.training.precision),
        lambda rows, carried: build(settings.network.undropped(), "float32"),
        FIGURES_OF_LABELS,
        num_outputs=num_class_outputs(len(plan.labels)),
    )
