"""Write text with any Keras model, by calling it once for each character."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.errors import ConfigError
from chargen.keras.reading import check_size
from chargen.writing.generation import count_characters
from chargen.writing.sampling import Sampler
from chargen.writing.scoring import IdArray

Write = Callable[[IdArray, Sampler, np.random.Generator], str]  # of a prompt's ids, its continuation

Shape = tuple[int | None, ...]

SMALLEST = 1e-30  # a probability whose logarithm is taken
CLOSE_TO_ONE = 1e-3


class KerasWriter:
    """A model that reads the last `context_length` tokens, from the zero state, for each new one.

    primer: the ids that precede a prompt shorter than that. input_shape: of the model. Raises ConfigError for a model whose
    output does not fit the vocabulary, or whose inputs are neither ids, (B, T), nor vectors, (B, T, V).
    """

    def __init__(
        self,
        model: keras.Model,
        vocabulary: Vocabulary,
        primer: tuple[int, ...],
        *,
        input_shape: Shape,
        context_length: int,
        length: int,
    ) -> None:
        self._model, self._vocabulary, self._primer = model, vocabulary, primer
        self._input_shape, self._context_length, self._length = input_shape, context_length, length
        output_shape = _output_shape(model, input_shape)
        if len(input_shape) not in (2, 3) or len(output_shape) not in (2, 3):
            raise ConfigError(
                f"the model goes from {input_shape} to {output_shape}",
                hint="SampleText is for models from ids, (batch, time), or one-hot vectors to tokens",
            )
        self._size = int(output_shape[-1] or 0)
        check_size(vocabulary, self._size)
        self._first = len(vocabulary) - self._size  # the id that the model calls 0

    def __call__(self, prompt: IdArray, sampler: Sampler, rng: np.random.Generator) -> str:
        """Return the text that continues a prompt, (P,)."""
        ids = [*self._primer, *prompt.tolist()]
        drawn: list[int] = []
        with _states_kept(self._model):
            while count_characters(self._vocabulary, np.array(drawn, np.intp)) < self._length:
                logits = self._logits((ids + drawn)[-self._context_length :])
                drawn.append(int(sampler(logits[None], rng, position=len(drawn))[0]))
        return self._vocabulary.decode(drawn)[: self._length]

    def _logits(self, window: list[int]) -> npt.NDArray[np.float64]:
        """Return the logits of the token after a window, (V,)."""
        ids = np.maximum(np.array(window) - self._first, 0)
        if self._input_shape[1] is not None:
            ids = np.pad(ids, (self._context_length - len(ids), 0), mode="edge")
        inputs = np.eye(self._size, dtype=np.float32)[ids] if len(self._input_shape) == 3 else ids
        rows = self._input_shape[0] or 1  # a stateful model reads as many as in training
        for layer in _recurrent_layers(self._model):
            layer.reset_states()
        outputs = np.asarray(self._model.predict_on_batch(np.repeat(inputs[None], rows, axis=0)), np.float64)[0]
        last = outputs[-1] if outputs.ndim == 2 else outputs
        logits = np.full(len(self._vocabulary), -np.inf)
        logits[self._first :] = np.log(np.maximum(last, SMALLEST)) if _is_distribution(last) else last
        logits[[BOUNDARY, *self._vocabulary.silent_ids]] = -np.inf
        return logits


def _output_shape(model: keras.Model, input_shape: Shape) -> Shape:
    """Return the shape of the outputs; a subclass of keras.Model knows it only after a call."""
    if hasattr(model, "output_shape"):
        return tuple(model.output_shape)
    return tuple(np.shape(model.predict_on_batch(np.zeros([size or 1 for size in input_shape], np.float32))))


def _is_distribution(values: npt.NDArray[np.float64]) -> bool:
    """Tell probabilities from logits."""
    return bool(values.min() >= 0 and abs(values.sum() - 1) < CLOSE_TO_ONE)


def _recurrent_layers(model: keras.Model) -> list[Any]:
    """Return the layers that carry states from batch to batch."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN) and layer.stateful]


@contextmanager
def _states_kept(model: keras.Model) -> Iterator[None]:
    """Give stateful layers back, at the end, the states that they have now."""
    variables = [state for layer in _recurrent_layers(model) for state in keras.tree.flatten(layer.states or ())]
    before = [np.array(keras.ops.convert_to_numpy(one)) for one in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
