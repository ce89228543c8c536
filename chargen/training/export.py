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
    value = keras.ops.convert_to_numpy(find_variable(model, name))
    return np.array(value, np.float32)


def find_variable(model: keras.Model, name: str) -> keras.Variable:
    """Return the variable of a weight named in `weight_shapes`."""
    layer_name, _, attribute = name.rpartition(".")
    if not layer_name:
        layer_name, attribute = name, "embeddings"
    by_name = {layer.name: layer for layer in model._flatten_layers()}
    if f"{layer_name}.input_to_hidden" in by_name:  # the graph of Dense layers keeps the two kernels apart
        place = "hidden_to_hidden" if attribute == "recurrent_kernel" else "input_to_hidden"
        return getattr(by_name[f"{layer_name}.{place}"], attribute.removeprefix("recurrent_"))
    layer = by_name[layer_name]
    return getattr(getattr(layer, "cell", layer), attribute)
