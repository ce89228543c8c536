"""Open files at the addresses that fsspec knows: s3://, gs://, sftp:// and others, each by a package of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from typing import IO, NamedTuple

from chargen.corpus import fetching
from chargen.corpus.fetching import PublicText, failed
from chargen.errors import CorpusError

WEB = ("https", "http")
_OTHERS = "s3://, gs://, sftp:// and others"
_LONGEST = 200  # characters of what a library says


class Sent(NamedTuple):
    """What an address sends: bytes piece by piece, how many there should be if that is known, and the ending of its kind."""

    blocks: Iterator[bytes]
    size: int | None
    suffix: str = ""


@contextmanager
def open_remote(text: PublicText, scheme: str) -> Iterator[Sent]:
    """Open a file at an address that is not of the web.

    Raises CorpusError for an address of a kind that is not known or needs a package, and for a folder, and DownloadError for
    whatever the file system raises.
    """
    if find_spec("fsspec") is None:
        raise CorpusError(
            f"{text.url} is not an address of the web (https:// or http://)",
            hint=f"pip install 'chargen[remote]' reads {_OTHERS}",
        )
    from fsspec.core import url_to_fs

    with _told(text):
        _check_scheme(text.url, scheme)
        system, path = url_to_fs(text.url)
        found = system.info(path)
    if found["type"] == "directory":
        raise CorpusError(f"{text.url} is a folder, expected a file", hint="give the address of a file in it")
    with _told(text):
        file = system.open(path, "rb")
    with file:
        yield Sent(_blocks(file, text), found.get("size"))


def _check_scheme(url: str, scheme: str) -> None:
    """Raise CorpusError for a kind of address that nobody knows, and ImportError for one whose package is missing."""
    from fsspec import available_protocols, get_filesystem_class

    try:
        get_filesystem_class(scheme)
    except ValueError as error:
        nearest = get_close_matches(scheme, [*WEB, *available_protocols()], n=1)
        meant = f"did you mean {nearest[0]}://?" if nearest else "copy the file here, and give its path"
        raise CorpusError(f"{url} is not an address that can be read (https://, {_OTHERS})", hint=meant) from error


def _blocks(file: IO[bytes], text: PublicText) -> Iterator[bytes]:
    block = b" "
    while block:
        with _told(text):
            block = file.read(fetching.CHUNK)
        yield block


@contextmanager
def _told(text: PublicText) -> Iterator[None]:
    """Turn what a file system raises, which may be anything, into one line."""
    try:
        yield
    except CorpusError:
        raise
    except ImportError as error:
        raise CorpusError(f"{text.url} needs a package that is not installed", hint=_install(error)) from error
    except FileNotFoundError as error:
        raise failed(text, "there is no such file", hint="check the address") from error
    except PermissionError as error:
        raise failed(text, "access is denied", hint="check your credentials") from error
    except Exception as error:
        what = " ".join(str(error).split())[:_LONGEST]
        raise failed(text, f"{type(error).__name__}: {what}" if what else type(error).__name__) from error


def _install(error: ImportError) -> str:
    """Return how to install what is missing; where fsspec calls a package by another name than Python, in fsspec's words."""
    said, missing = str(error), getattr(error.__cause__, "name", None)
    return f"pip install {missing} reads it" if missing and missing in said else said
