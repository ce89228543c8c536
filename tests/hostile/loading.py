"""What became of a file that was loaded: nothing but a model or a single ModelFileError is right."""

from pathlib import Path

from chargen.errors import ModelFileError
from chargen.network.classifier import load_classifier
from chargen.network.model_file import load_model

MOST_CHARACTERS = 400  # of a message, beside the path


def refusal(path: Path) -> str | None:
    """Load a file and return the message that refuses it, None if it is a model; all else that is raised passes through.

    Raises AssertionError for a message that is no single printable line that names the file.
    """
    try:
        try:
            load_model(path)
        except ModelFileError as error:
            if "holds a classifier" not in error.message:
                raise
            load_classifier(path)
    except ModelFileError as error:
        message = error.message
        assert str(path) in message, "the message does not name the file"
        assert message.isprintable(), "the message is not one printable line"
        assert len(message) <= len(str(path)) + MOST_CHARACTERS, "the message is long"
        return message
    return None
