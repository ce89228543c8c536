class ChargenError(Exception):
    """Something a user can mend, told in one line.

    The message says what was received and what was expected; the hint says what to do. Library code raises these;
    `chargen.cli.program` alone turns them into text and an exit code.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class CorpusError(ChargenError):
    """A text that cannot be read, or that is not enough to train on."""


class ReadingError(CorpusError):
    """A text that cannot be read as the settings say; the hint names those of `chargen train` that say otherwise."""


class DamagedFileError(CorpusError):
    """A container or a document of another program that cannot be read to its end."""


class DownloadError(CorpusError):
    """A public text that could not be fetched, though its name is right."""

    exit_code = 1


class UnknownTokenError(ChargenError):
    """Text with characters that a vocabulary does not hold."""


class ConfigError(ChargenError):
    """A setting that is unknown, of the wrong type, out of range, or at odds with another."""


class RunError(ChargenError):
    """A run directory that is missing or cannot be written."""


class ModelFileError(ChargenError):
    """A model file that is damaged, of another format, or not a model of ours."""


class TrainingError(ChargenError):
    """Training that cannot go on, though nothing was wrong with what the user typed."""

    exit_code = 1


class NetworkError(ChargenError):
    """A network whose numbers are beyond what float32 holds, so that it has no probabilities to give."""

    exit_code = 1


class SamplingError(ChargenError):
    """Drawing that found too little of what was asked for."""

    exit_code = 1
