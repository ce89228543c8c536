"""From the Keras model to the NumPy network that generation runs."""

import keras
import numpy as np

from chargen.network.cells import Floats
from chargen.network.model_file import TextModel
from chargen.network.network import Network, weight_shapes
from chargen.training.plan import TrainingPlan


def export_network(model: keras.Model, plan: TrainingPlan) -> Network:
    """Return a NumPy network with copies of the model's weights."""
    config, vocab_size = plan.settings.network, len(plan.vocabulary)
    weights = {name: _weight(model, name) for name in weight_shapes(config, vocab_size)}
    return Network(config, vocab_size, weights)


def export_text_model(model: keras.Model, plan: TrainingPlan, results: dict[str, float]) -> TextModel:
    """Return everything that a model file holds. `results` joins what is known of the corpus in its provenance."""
    corpus = plan.corpus
    return TextModel(
        network=export_network(model, plan),
        vocabulary=plan.vocabulary,
        reading=corpus.reading,
        context_length=plan.windows.context_length,
        primer=plan.primer,
        ends=plan.ends,
        provenance={"corpus": corpus.name, "sha256": corpus.sha256, "characters": corpus.num_characters} | results,
    )


def _weight(model: keras.Model, name: str) -> Floats:
    """Find a weight by its name in `weight_shapes`: the layer's name, then the variable's."""
    layer_name, _, variable = name.rpartition(".")
    (layer,) = [one for one in model._flatten_layers() if one.name == (layer_name or name)]
    holder = getattr(layer, "cell", layer)
    value = getattr(holder, variable if layer_name else "embeddings")
    return np.array(keras.ops.convert_to_numpy(value), np.float32)
