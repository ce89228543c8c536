"""Write a Keras model as a model file that every command of chargen reads."""

import os
from pathlib import Path

import keras

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.errors import ConfigError, ModelFileError
from chargen.keras.reading import read_model
from chargen.keras.text_windows import Windows
from chargen.keras.vocabularies import AnyVocabulary, as_vocabulary
from chargen.network.model_file import MODEL_SUFFIX, TextModel, save_model

LINE_STARTS = ("\n", " ")  # after which a text may begin, the best first


def save(
    model: keras.Model, vocabulary: AnyVocabulary, path: str | os.PathLike[str], *, context_length: int | None = None
) -> None:
    """Write a Keras model with its vocabulary as a model file, for `chargen sample --run FILE` and all other commands.

    model: Sequential or functional: an Embedding, or one-hot vectors as inputs; SimpleRNN, LSTM, GRU or MultiplicativeLSTM
    layers of one size, Keras's or chargen's; LayerNormalization between them; Dropout anywhere; a Dense layer with relu; a
    Dense output with softmax or none. vocabulary: `windows` of the text, a vocabulary, or characters in the order of their ids,
    such as `sorted(set(text))`. context_length: the tokens of a window, where neither the model nor `windows` says. Raises
    ConfigError for other models and for a vocabulary of another size, ModelFileError where the file cannot be written.

    >>> data = windows("hello world", context_length=4, stride=1, validation_split=0)
    >>> model = keras.Sequential([keras.Input((4, data.vocab_size)), LSTM(8), keras.layers.Dense(data.vocab_size, "softmax")])
    >>> save(model, data, "hello.safetensors")
    """
    target = Path(path)
    if target.suffix != MODEL_SUFFIX:
        raise ConfigError(f"the file is {target}, expected a name that ends in {MODEL_SUFFIX}")
    text = vocabulary.text if isinstance(vocabulary, Windows) else None
    length = context_length or getattr(vocabulary, "context_length", None)
    written = text_model(model, as_vocabulary(vocabulary), text=text, context_length=length)
    try:
        save_model(target, written)
    except OSError as error:
        raise ModelFileError(f"cannot write {target}: {error.strerror}") from error


def text_model(model: keras.Model, vocabulary: Vocabulary, *, text: str | None, context_length: int | None) -> TextModel:
    """Return a Keras model as the model that a file holds, its weights copied.

    text: what a short prompt is preceded by a piece of. context_length: for models of windows of any length. Raises
    ConfigError as `save` does.
    """
    read = read_model(model)
    length = read.context_length or context_length
    if length is None:
        raise ConfigError("the model reads windows of any length", hint="give context_length")
    return TextModel(
        network=read.network(vocabulary),
        vocabulary=vocabulary,
        reading="document",
        context_length=length,
        primer=primer_of(vocabulary, text, length),
        ends=False,
        carried=read.config.targets == "all",
    )


def primer_of(vocabulary: Vocabulary, text: str | None, length: int) -> tuple[int, ...]:
    """Return the ids that precede a short prompt: a piece of the text up to the end of a line, or a line's end alone."""
    if text is None:
        starts = [one for one in LINE_STARTS if one in vocabulary.pieces]
        return tuple(vocabulary.encode(starts[0]).tolist()) if starts else (BOUNDARY,)
    end = text.rstrip("\n").rfind("\n") + 1
    piece = text[:end] if end >= length else text
    return tuple(vocabulary.encode(piece[-length:])[-length:].tolist())
