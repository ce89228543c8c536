"""Build a recurrent layer from Dense layers, as the Nietzsche lesson does."""

import keras
from keras import layers, ops


class DenseRecurrent:
    """A SimpleRNN as a graph of shared Dense layers: one from input to hidden, one from hidden to hidden.

    It starts from the zero state, so that the first position has no recurrent term.
    """

    def __init__(self, units: int, activation: str, *, return_sequences: bool, name: str) -> None:
        self.input_to_hidden = layers.Dense(units, name=f"{name}_input_to_hidden")
        self.hidden_to_hidden = layers.Dense(units, use_bias=False, name=f"{name}_hidden_to_hidden")
        self.activation = keras.activations.get(activation)
        self.return_sequences = return_sequences

    def __call__(self, vectors: keras.KerasTensor) -> keras.KerasTensor:
        """Return the hidden states, (B, T, H), or the last one, (B, H), of vectors, (B, T, D)."""
        projected = self.input_to_hidden(vectors)  # (B, T, H)
        hidden = self.activation(projected[:, 0])
        hiddens = [hidden]
        for position in range(1, vectors.shape[1]):
            hidden = self.activation(projected[:, position] + self.hidden_to_hidden(hidden))
            hiddens.append(hidden)
        return ops.stack(hiddens, axis=1) if self.return_sequences else hidden
