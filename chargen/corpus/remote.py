"""Open files at addresses that fsspec supports, such as s3://, gs:// and sftp://, each through its own package."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import IO, NamedTuple

from chargen.corpus import fetching
from chargen.corpus.fetching import PublicText, failed
from chargen.errors import CorpusError
from chargen.suggestions import most_similar

WEB = ("https", "http")
_OTHERS = "s3://, gs://, sftp:// and others"
_LONGEST = 200  # characters of a library's message


class RemoteFile(NamedTuple):
    """A remote file: its bytes block by block, the expected number of bytes if known, and the suffix of its type."""

    blocks: Iterator[bytes]
    size: int | None
    suffix: str = ""


@contextmanager
def open_remote(text: PublicText, scheme: str) -> Iterator[RemoteFile]:
    """Open a file at an address outside of the web.

    Raises CorpusError for an unsupported scheme, a missing package and a folder, and DownloadError for any error of the file
    system.
    """
    if find_spec("fsspec") is None:
        raise CorpusError(
            f"{text.url} is not a web address (https:// or http://)",
            hint=f"pip install 'chargen[remote]' reads {_OTHERS}",
        )
    from fsspec.core import url_to_fs

    with _remote_errors(text):
        _check_scheme(text.url, scheme)
        system, path = url_to_fs(text.url)
        found = system.info(path)
    if found["type"] == "directory":
        raise CorpusError(f"{text.url} is a folder, expected a file", hint="give the address of a file in it")
    with _remote_errors(text):
        file = system.open(path, "rb")
    with file:
        yield RemoteFile(_blocks(file, text), found.get("size"))


def _check_scheme(url: str, scheme: str) -> None:
    """Raise CorpusError for an unknown scheme, and ImportError for a scheme whose package is missing."""
    from fsspec import available_protocols, get_filesystem_class

    try:
        get_filesystem_class(scheme)
    except ValueError as error:
        nearest = most_similar(scheme, [*WEB, *available_protocols()])
        meant = f"did you mean {nearest[0]}://?" if nearest else "copy the file to this machine and give its path"
        raise CorpusError(f"{url} is not a supported address (https://, {_OTHERS})", hint=meant) from error


def _blocks(file: IO[bytes], text: PublicText) -> Iterator[bytes]:
    block = b" "
    while block:
        with _remote_errors(text):
            block = file.read(fetching.CHUNK)
        yield block


@contextmanager
def _remote_errors(text: PublicText) -> Iterator[None]:
    """Turn the errors of a file system, which may be of any type, into one clear line."""
    try:
        yield
    except CorpusError:
        raise
    except ImportError as error:
        raise CorpusError(f"{text.url} needs a package that is not installed", hint=_install(error)) from error
    except FileNotFoundError as error:
        raise failed(text, "no such file", hint="check the address") from error
    except PermissionError as error:
        raise failed(text, "access is denied", hint="check your credentials") from error
    except Exception as error:
        what = " ".join(str(error).split())[:_LONGEST]
        raise failed(text, f"{type(error).__name__}: {what}" if what else type(error).__name__) from error


def _install(error: ImportError) -> str:
    """Return how to install a missing package: the name that Python reports, or fsspec's own hint."""
    said, missing = str(error), getattr(error.__cause__, "name", None)
    return f"pip install {missing} reads it" if missing and missing in said else said
