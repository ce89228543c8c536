"""Convert a Keras model to the NumPy network that writes text."""

import keras
import numpy as np

from chargen.network.cells import Floats
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig


def export_network(model: keras.Model, config: NetworkConfig, vocab_size: int, *, num_outputs: int | None = None) -> Network:
    """Return a NumPy network with copies of the weights; num_outputs: by default one for each token."""
    shapes = weight_shapes(config, vocab_size, num_outputs=num_outputs)
    return Network(config, vocab_size, {name: _weight(model, name) for name in shapes})


def _weight(model: keras.Model, name: str) -> Floats:
    """Find a weight by its name in `weight_shapes`: the layer's name, then the variable's."""
    value = keras.ops.convert_to_numpy(find_variable(model, name))
    return np.array(value, np.float32)


def find_variable(model: keras.Model, name: str) -> keras.Variable:
    """Return the variable of a weight named in `weight_shapes`."""
    layer_name, _, attribute = name.rpartition(".")
    if not layer_name:
        layer_name, attribute = name, "embeddings"
    layer_name = layer_name.replace(".", "_")  # PyTorch has no dots in names
    by_name = {layer.name: layer for layer in model._flatten_layers()}
    if f"{layer_name}_input_to_hidden" in by_name:  # the graph of Dense layers keeps the two kernels apart
        place = "hidden_to_hidden" if attribute == "recurrent_kernel" else "input_to_hidden"
        return getattr(by_name[f"{layer_name}_{place}"], attribute.removeprefix("recurrent_"))
    layer = by_name[layer_name]
    layer = getattr(layer, "layer", layer)  # of TimeDistributed
    return getattr(getattr(layer, "cell", layer), attribute)
