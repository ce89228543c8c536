class ChargenError(Exception):
    """An error that a user can fix, printed in one line.

    The message says what was received and what was expected; the hint says what to do. Library code raises these; only
    `chargen.cli.program` turns them into text and an exit code.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class CorpusError(ChargenError):
    """A text cannot be read, or is too short to train on."""


class ReadingError(CorpusError):
    """A text cannot be read with the given settings; the hint names options of `chargen train` that change them."""


class DamagedFileError(CorpusError):
    """An archive or a document of another program is damaged."""


class DownloadError(CorpusError):
    """A public text with a valid name could not be downloaded."""

    exit_code = 1


class UnknownTokenError(ChargenError):
    """A text has characters that are not in the vocabulary."""


class ConfigError(ChargenError):
    """A setting is unknown, has the wrong type, is out of range, or conflicts with another."""


class RunError(ChargenError):
    """A run directory is missing or cannot be written."""


class ModelFileError(ChargenError):
    """A model file is damaged, has another format, or is not a model of chargen."""


class TrainingError(ChargenError):
    """Training cannot continue, although the user's input was correct."""

    exit_code = 1


class NetworkError(ChargenError):
    """The values of a network exceed float32, so that its probabilities are undefined."""

    exit_code = 1


class SamplingError(ChargenError):
    """Too few texts were found that satisfy the constraints."""

    exit_code = 1
