"""Download public texts once and find them by name afterwards, like the shipped texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chargen.errors import CorpusError, DownloadError
from chargen.files import CACHE_VARIABLE, cache_folder

TIMEOUT = 30.0  # seconds until the first byte, and between two bytes
CHUNK = 1 << 16  # bytes


@dataclass(frozen=True, kw_only=True)
class PublicText:
    """A text at a stable address; `size` is in bytes."""

    name: str
    about: str
    url: str
    sha256: str
    size: int


PUBLIC_TEXTS = (
    PublicText(
        name="tinyshakespeare.txt",
        about="40,000 lines of Shakespeare's plays, from char-rnn; public domain",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/d1d7aa34fdb3626174bce1d753e6cc6845ce7087"
        "/data/tinyshakespeare/input.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        size=1_115_394,
    ),
    PublicText(
        name="nietzsche.txt",
        about="Nietzsche's prose in English, from the examples of Keras; public domain",
        url="https://s3.amazonaws.com/text-datasets/nietzsche.txt",
        sha256="23cf69874ab69d3d256099ab530ea4be24d47d9675b673bcc67cbcd6298ec647",
        size=600_901,
    ),
    PublicText(
        name="names.txt",
        about="32,033 given names, from makemore; public records of the United States",
        url="https://raw.githubusercontent.com/karpathy/makemore/988aa59e4d8fefa526d06f3b453ad116258398d4/names.txt",
        sha256="0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        size=228_145,
    ),
)


def find_public(name: str) -> PublicText | None:
    """Return the public text of this name, with or without .txt; None for other names."""
    return next((text for text in PUBLIC_TEXTS if name in (text.name, Path(text.name).stem)), None)


def fetched_path(text: PublicText) -> Path | None:
    """Return the path of a downloaded public text, or None if it was never downloaded."""
    path = cache_folder("corpora") / text.name
    return path if path.is_file() else None


def fetch(text: PublicText) -> Path:
    """Download a text unless it is in the cache, and return its path.

    The file appears complete and with the expected SHA-256, or not at all. Raises DownloadError if the download fails, and
    CorpusError if the folder cannot be written.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it logs each step
    folder = cache_folder("corpora")
    with fetch_errors(text, folder):
        pooch.retrieve(text.url, f"sha256:{text.sha256}", fname=text.name, path=folder, downloader=_Download(text))
    return folder / text.name


class _Download:
    """Downloads a text with requests, up to its known size."""

    def __init__(self, text: PublicText) -> None:
        self._text = text

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        from pooch.downloaders import HTTPDownloader

        with Path(output_file).open("wb") as file:
            try:
                HTTPDownloader(chunk_size=CHUNK, timeout=TIMEOUT)(url, _Limited(file, self._text), pooch)
            except ValueError as error:
                raise failed(self._text, _reason(error)) from error
            if (received := file.tell()) < self._text.size:
                raise failed(self._text, f"the connection ended after {received:,} of {self._text.size:,} bytes")


class _Limited:
    """A file that refuses bytes beyond the size of a text."""

    def __init__(self, file: IO[bytes], text: PublicText) -> None:
        self._file, self._text = file, text

    def write(self, data: bytes) -> None:
        """Write data. Raises DownloadError for data beyond the size."""
        if self._file.tell() + len(data) > self._text.size:
            raise failed(self._text, f"it sends more than the {self._text.size:,} bytes", hint=_CHANGED)
        self._file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


_CHANGED = "the text may have changed; if you trust it, download it by hand and give the file"
_AGAIN = "try again later, or download it by hand and give the file"


def failed(text: PublicText, why: str, *, hint: str = _AGAIN) -> DownloadError:
    """Return the error for a text that could not be downloaded."""
    return DownloadError(f"cannot fetch {text.name} from {text.url}: {why}", hint=hint)


@contextmanager
def fetch_errors(text: PublicText, folder: Path) -> Iterator[None]:
    """Turn the errors of downloading a text into a folder into one clear line."""
    from requests import RequestException

    try:
        yield
    except RequestException as error:
        raise failed(text, _reason(error)) from error
    except ValueError as error:  # raised for another SHA-256
        raise failed(text, "its sha256 is not the expected one", hint=_CHANGED) from error
    except OSError as error:
        why = error.strerror or "permission denied"
        raise CorpusError(f"cannot write to {folder}: {why}", hint=f"choose another folder with {CACHE_VARIABLE}") from error


def _reason(error: Exception) -> str:
    """Return the reason for a failed request in plain words."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    reasons = {
        exceptions.TooManyRedirects: "too many redirects",
        exceptions.Timeout: f"no answer within {TIMEOUT:.0f} seconds",
        exceptions.SSLError: "its certificate is not valid",
        exceptions.ChunkedEncodingError: "the connection was cut",
        exceptions.ConnectionError: "the server cannot be reached or stopped answering",
    }
    return next((reason for kind, reason in reasons.items() if isinstance(error, kind)), "the answer cannot be read")
