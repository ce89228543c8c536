"""What became of a file that was loaded: nothing but a model or a single ModelFileError is right."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from chargen.errors import ChargenError, ModelFileError
from chargen.network.model_file import TextModel, load_model
from chargen.settings.writing import WritingOptions
from chargen.writing.classifier import TextClassifier, load_classifier
from chargen.writing.prompt import Prompt
from chargen.writing.request import Request

MOST_CHARACTERS = 400  # of a message, beside the path


def refusal(path: Path, *, use: bool = False) -> str | None:
    """Load a file and return the message that refuses it, None if it is a model; all else that is raised passes through.

    use: also let the model do what it is for. Raises AssertionError for a message that is no single printable line that names
    the file.
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
    """Write a little text, or classify one. Whatever the weights are, nothing but a ChargenError may come of it."""
    ids = np.array([1], np.uint8)
    with np.errstate(all="ignore"), suppress(ChargenError):
        if isinstance(model, TextClassifier):
            model.log_probabilities([ids])
        else:
            Request(model, Prompt("", ids), WritingOptions(length=3, count=2, random_seed=1)).write()
