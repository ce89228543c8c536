"""Write sample text after an epoch of `model.fit`, as Keras's text generation example does."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from chargen.corpus.vocabulary import CharacterVocabulary, Vocabulary
from chargen.errors import ConfigError, UnknownTokenError
from chargen.keras.saving import primer_of, text_model
from chargen.keras.slow_writing import KerasWriter, Shape, Write
from chargen.keras.text_windows import Windows, read_text
from chargen.keras.vocabularies import AnyVocabulary, as_vocabulary
from chargen.runs.samples import sample_layout
from chargen.settings.layers import check_value
from chargen.settings.schema import Setting
from chargen.settings.writing import SamplingOptions
from chargen.terminal import echo
from chargen.tracking.active_run import log_samples
from chargen.tracking.tracker import SampleRow
from chargen.writing.generation import sample_texts
from chargen.writing.prompt import read_prompt
from chargen.writing.sampling import Sampler

DEFAULT_LENGTH = 40  # tokens read before the first one is written, where the model reads windows of any length


class SampleText(keras.callbacks.Callback):
    """Print text that the model writes, after every `every` epochs: one text for each `diversity` (temperature).

    corpus_or_vocabulary: what `windows` returned, a text, a file or several, of which each prompt is a random piece; or the
    vocabulary alone, with a `prompt`: characters in the order of their ids, a mapping such as `char_indices`, or the vocabulary
    of a trained run. The model reads ids, (B, T), or one-hot vectors, (B, T, V), and predicts the next token, of the last
    position or of each; it may be stateful, whose states stay as they are. `length` is in characters. The texts are in
    `samples`, as (epoch, prompt, diversity, text), and in a table of Weights & Biases if a run is active.

    A model that `save` takes writes a text in some milliseconds, because chargen computes it in NumPy. Any other model is
    called once for each character. Raises ConfigError for a model whose output does not fit the vocabulary.

    >>> data = windows("hello world, hello moon", context_length=4, stride=1, validation_split=0)
    >>> model = keras.Sequential([keras.Input((4, data.vocab_size)), LSTM(8), keras.layers.Dense(data.vocab_size, "softmax")])
    >>> model.compile("adam", "categorical_crossentropy")
    >>> history = model.fit(data.training, epochs=1, verbose=0, callbacks=[SampleText(data, diversity=(0.5,), length=20)])
    ----- Generating text after epoch 1
    ...
    """

    def __init__(
        self,
        corpus_or_vocabulary: AnyVocabulary | str | os.PathLike[str] | Sequence[str],
        diversity: float | Sequence[float] = (0.5, 1.2),
        every: int = 1,
        prompt: str | None = None,
        length: int = 200,
        random_seed: int = 1,
    ) -> None:
        super().__init__()
        self.every = check_value("every", every, int, Setting(help="", minimum=1))
        self.length = check_value("length", length, int, Setting(help="", minimum=1))
        self.diversity = check_value("diversity", diversity, tuple[float, ...], Setting(help="", minimum=0.0))
        self._samplers = [Sampler(SamplingOptions(temperature=(one,))) for one in self.diversity]
        self._text, self.vocabulary = _read(corpus_or_vocabulary)
        self._windows = corpus_or_vocabulary if isinstance(corpus_or_vocabulary, Windows) else None
        self._context_length = getattr(corpus_or_vocabulary, "context_length", DEFAULT_LENGTH)
        self._prompt, self._random_seed = prompt, random_seed
        self.samples: list[SampleRow] = []
        if prompt is None and self._text is None:
            raise ConfigError("a vocabulary alone gives no prompt", hint="give prompt, or the text")
        if prompt is not None:
            try:
                read_prompt(self.vocabulary, prompt)
            except UnknownTokenError as error:  # whose hint is for commands
                raise UnknownTokenError(error.message, hint="leave it out of the prompt") from error

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Print the texts, if it is their turn; Keras counts epochs from 0."""
        if (epoch + 1) % self.every == 0:
            rows = self.write(epoch + 1)
            self.samples += rows
            echo(sample_layout(rows))
            log_samples(self.samples)

    def write(self, epoch: int) -> list[SampleRow]:
        """Return the texts of an epoch, counted from 1, at each diversity from one prompt."""
        rng = np.random.default_rng([self._random_seed, epoch])
        input_shape = self._input_shape()
        length = input_shape[1] or self._context_length
        prompt = self._piece(length, rng) if self._prompt is None else self._prompt
        write = self._writer(input_shape, length)
        texts = [write(self.vocabulary.encode(prompt), sampler, rng) for sampler in self._samplers]
        return [(epoch, prompt, one, prompt + text) for one, text in zip(self.diversity, texts, strict=True)]

    def _input_shape(self) -> Shape:
        """Return the shape of the model's inputs: a subclass of keras.Model does not know it, but the windows do."""
        if hasattr(self.model, "input_shape"):
            return tuple(self.model.input_shape)
        if self._windows is None:
            raise ConfigError(
                f"{type(self.model).__name__} is a subclass of keras.Model, which does not know the shape of its inputs",
                hint="give SampleText what windows(...) returned",
            )
        return (None, *self._windows.training[0][0].shape[1:])

    def _writer(self, input_shape: Shape, length: int) -> Write:
        """Return what continues a prompt with the model as it is now, which reads windows of a length."""
        try:
            model = text_model(self.model, self.vocabulary, text=self._text, context_length=length)
        except ConfigError:  # of a kind that chargen does not compute
            primer = primer_of(self.vocabulary, self._text, length)
            sizes: Any = {"context_length": length, "length": self.length}
            return KerasWriter(self.model, self.vocabulary, primer, input_shape=input_shape, **sizes)
        return lambda ids, sampler, rng: sample_texts(model, ids, count=1, length=self.length, sampler=sampler, rng=rng)[0]

    def _piece(self, length: int, rng: np.random.Generator) -> str:
        """Return a random piece of the text."""
        text = self._text or ""
        start = int(rng.integers(max(1, len(text) - length)))
        return text[start : start + length]


def _read(given: Any) -> tuple[str | None, Vocabulary]:
    """Return the text, if one is given, and the vocabulary. Raises what `read_text` and `as_vocabulary` raise."""
    if isinstance(given, Windows):
        return given.text, given.vocabulary
    files = isinstance(given, list | tuple) and any(len(os.fspath(one)) > 1 for one in given)
    if not files and not isinstance(given, str | os.PathLike):
        return None, as_vocabulary(given)
    text = read_text(given)
    return text, CharacterVocabulary.of([text])
