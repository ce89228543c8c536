"""Check the loading of a file: the only right outcomes are a model and a single ModelFileError."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from chargen.errors import ChargenError, ModelFileError
from chargen.network.model_file import TextModel, load_model
from chargen.settings.writing import WritingOptions
from chargen.writing.classifier import TextClassifier, load_classifier
from chargen.writing.prompt import Prompt
from chargen.writing.request import Request

MOST_CHARACTERS = 400  # characters of a message, in addition to the path


def refusal(path: Path, *, use: bool = False) -> str | None:
    """Load a file and return the message of its ModelFileError, or None for a model; other errors are not caught.

    use: also use the model. Raises AssertionError unless the message is one printable line with the path of the file.
    """
    try:
        try:
            model: TextModel | TextClassifier = load_model(path)
        except ModelFileError as error:
            if "holds a classifier" not in error.message:
                raise
            model = load_classifier(path)
    except ModelFileError as error:
        message = error.message
        assert str(path) in message, "the message does not name the file"
        assert message.isprintable(), "the message is not one printable line"
        assert len(message) <= len(str(path)) + MOST_CHARACTERS, "the message is long"
        return message
    if use:
        _use(model)
    return None


def _use(model: TextModel | TextClassifier) -> None:
    """Write a short text, or classify one. With any weights, only a ChargenError may be raised."""
    ids = np.array([1], np.uint8)
    with np.errstate(all="ignore"), suppress(ChargenError):
        if isinstance(model, TextClassifier):
            model.log_probabilities([ids])
        else:
            Request(model, Prompt("", ids), WritingOptions(length=3, count=2, random_seed=1)).write()
