"""Offer Keras's recurrent layers with chargen's loops and kernels, for any Keras model.

They take the same arguments, have the same weights and config, and give the same results; `MultiplicativeLSTM` is one that
Keras does not have. With masks, dropout inside the layer, other activations than Keras's defaults, other precisions than
float32, or on a GPU, they are Keras's own layers, or run in Keras's own loop.
"""

from typing import Any

import keras

from chargen.cores import num_cores
from chargen.training.layers.recurrent import FusedGRU, FusedLSTM, FusedMultiplicativeLSTM, FusedRecurrent, FusedSimpleRNN

Tensor = Any  # of the backend


class _Compiled(FusedRecurrent):
    """Compile the loop over the steps with XLA, where the model around it is not: TensorFlow's `fit` on a CPU.

    Stands before a fused layer in the bases of each. Keras compiles whole models on the other backends.
    """

    drops_on_kernels = False  # the masks are drawn outside of what is compiled here

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._compiled: Any = None
        self.threads = num_cores()

    def inner_loop(self, sequences: Tensor, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Run all steps; return the last output, (B, H), all outputs, (B, T, H), and the last states."""
        if mask is not None or keras.backend.backend() != "tensorflow" or not self.fusable:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        if self._compiled is None:
            self._compiled = self._compile()
        states = map(keras.ops.copy, keras.tree.flatten(initial_state))  # those of a stateful layer are variables
        return self._compiled(sequences, *states)

    def _compile(self) -> Any:
        import tensorflow as tf

        run = super().inner_loop
        return tf.function(lambda sequences, *states: run(sequences, list(states), None), jit_compile=True, autograph=False)


@keras.saving.register_keras_serializable(package="chargen")
class SimpleRNN(_Compiled, FusedSimpleRNN):
    """Replace `keras.layers.SimpleRNN`; fast with the activations tanh and relu.

    >>> SimpleRNN(8).get_config()["units"]
    8
    """


@keras.saving.register_keras_serializable(package="chargen")
class LSTM(_Compiled, FusedLSTM):
    """Replace `keras.layers.LSTM`; fast with Keras's default activations and with biases.

    A model that holds it is saved and loaded as any other; `import chargen.keras` before `keras.models.load_model`.

    >>> LSTM(8, return_sequences=True)(keras.Input((40, 5))).shape
    (None, 40, 8)
    """


@keras.saving.register_keras_serializable(package="chargen")
class MultiplicativeLSTM(_Compiled, FusedMultiplicativeLSTM):
    """A multiplicative LSTM (Krause et al. 2016), which Keras does not have, with the arguments of `LSTM`.

    Where an LSTM reads its hidden state, it reads a product of the inputs and of that state, so what is remembered depends more
    on the token that is read. It has five gates' columns in its kernels: those of an LSTM, then those of the product.

    >>> MultiplicativeLSTM(8)(keras.Input((40, 5))).shape
    (None, 8)
    """


@keras.saving.register_keras_serializable(package="chargen")
class GRU(_Compiled, FusedGRU):
    """Replace `keras.layers.GRU`; fast with Keras's default activations, with biases and `reset_after`.

    >>> GRU(8).get_config()["reset_after"]
    True
    """
