"""Turn a trained network into a Keras model."""

from dataclasses import replace

import keras

from chargen.network.model_file import TextModel
from chargen.settings.schema import TrainingConfig
from chargen.terminal import echo
from chargen.training.model import make_optimizer
from chargen.training.stock_keras import set_weights, stock_model


def trained_model(model: TextModel, training: TrainingConfig, *, softmax: bool) -> keras.Model:
    """Return a trained network in Keras's own layers, compiled with the loss and the optimizer of its training.

    The optimizer has the training's learning rate at its highest, and begins without the averages of that training. Instead of
    Muon it is AdamW, because a saved model would need our Muon to be loaded.
    """
    network = model.one_network.config
    length = model.context_length if network.cell == "dense" else None
    built = stock_model(network, len(model.vocabulary), context_length=length, softmax=softmax)
    set_weights(built, model.one_network.weights)
    if network.weight_drop:
        echo(
            f"trained with --weight-drop {network.weight_drop:g}, which Keras's layers do not have: `fit` goes without",
            err=True,
        )
    optimizer = "adamw" if training.optimizer == "muon" else training.optimizer
    constant = replace(training, optimizer=optimizer, schedule="constant", warmup_epochs=0.0, precision="float32")
    built.compile(
        make_optimizer(constant), keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax), metrics=["accuracy"]
    )
    return built
