"""Download a text from an address once, and read it from the cache afterwards."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import url2pathname

from chargen.corpus import fetching
from chargen.corpus.fetching import PublicText, failed, fetch_errors
from chargen.corpus.remote import WEB, RemoteFile, open_remote
from chargen.errors import CorpusError
from chargen.files import cache_folder

MAX_BYTES = 1 << 34
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_PIN = "#sha256="
_FOUND, _IN_PLACE = "read from the cache", "read from"
_LOCAL = ("file", "local")
_WITH_LOGIN = ("https", "http", "ftp", "sftp", "ssh", "smb")  # addresses such as sftp://user:password@host/file
_ODD = re.compile(r"[^\w.-]+")
_SUFFIXES = {"text/html": ".html", "application/json": ".json", "text/csv": ".csv", "application/pdf": ".pdf"}


@dataclass(frozen=True)
class Download:
    """A downloaded or local file; `how`: "fetched into", "read from the cache" or "read from"."""

    url: str
    path: Path
    sha256: str
    how: str

    def describe(self) -> str:
        """Return one line with the address, size, SHA-256 and path."""
        return f"{self.url}: {self.path.stat().st_size:,} bytes, sha256 {self.sha256}, {self.how} {self.path}"


def is_address(name: str) -> bool:
    """Return whether a name is an address rather than a path.

    >>> is_address("https://example.org/a.txt"), is_address("C:/a.txt")
    (True, False)
    """
    return bool(_ADDRESS.match(name))


def name_in_address(url: str) -> str:
    """Return the file name in an address.

    >>> name_in_address("https://example.org/texts/a%20story.txt?raw=1#sha256=00")
    'a_story.txt'
    """
    parts = _split(url)
    name = PurePosixPath(unquote(parts.path)).name or parts.netloc.rpartition("@")[2]
    return _ODD.sub("_", name).strip("._")[-100:] or "download"


def download(address: str) -> Download:
    """Download the file at an address unless it is cached, and return its path; local files stay in place.

    An address may end with `#sha256=` and the expected digest. Raises CorpusError for an invalid address, one with a password,
    one that needs a missing package, and a different digest; raises DownloadError if the download fails.
    """
    url, _, pinned = address.partition(_PIN)
    parts = _split(url)
    if parts.scheme in _WITH_LOGIN and parts.password:
        position = "in ~/.netrc" if parts.scheme in WEB else f"as $FSSPEC_{parts.scheme.upper()}_PASSWORD"
        raise CorpusError(
            f"the address of {name_in_address(url)} holds a password, which config.toml would record",
            hint=f"leave it out and give it {position}",
        )
    path, how = (_local(url, parts), _IN_PLACE) if parts.scheme in _LOCAL else _fetched(url, parts.scheme)
    found = _sha256(path)
    if pinned and found != pinned.lower():
        again = f"; to fetch it again delete {path}" if how == _FOUND else ""
        raise CorpusError(f"{url} has the sha256 {found}, expected {pinned}", hint=f"it may have changed{again}")
    return Download(url, path, found, how)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise CorpusError(f"{url} is not an address: {error}", hint="for example https://example.org/a.txt") from error


def _local(url: str, parts: SplitResult) -> Path:
    """Return the path of a local address."""
    path = Path(url2pathname(parts.path))
    if parts.netloc not in ("", "localhost"):
        raise CorpusError(f"{url} is on another machine", hint=f"did you mean file:///{parts.netloc}{parts.path}?")
    if path.is_dir():
        raise CorpusError(f"{url} is a folder, expected a file", hint=f"give its path, {path}")
    if not path.is_file():
        raise CorpusError(f"no such file: {path}", hint="give the address or the path of a file")
    return path


def _fetched(url: str, scheme: str) -> tuple[Path, str]:
    """Return the path of an address in the cache, and whether it was fetched or found there."""
    folder = cache_folder("downloads") / hashlib.sha256(url.encode()).hexdigest()[:16]
    path = next((one for one in sorted(folder.glob("*")) if not one.name.endswith(".part")), None)
    if path is not None:
        return path, _FOUND
    text = PublicText(name=name_in_address(url), about="", url=url, sha256="", size=MAX_BYTES)
    with fetch_errors(text, folder), _open_web(url) if scheme in WEB else open_remote(text, scheme) as remote:
        folder.mkdir(parents=True, exist_ok=True)
        return _store(remote, text, folder), "fetched into"


@contextmanager
def _open_web(url: str) -> Iterator[RemoteFile]:
    import requests

    with requests.get(url, stream=True, timeout=fetching.TIMEOUT) as response:
        response.raise_for_status()
        headers = response.headers
        size = headers.get("Content-Length", "") if headers.get("Content-Encoding", "identity") == "identity" else ""
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        yield RemoteFile(
            response.iter_content(fetching.CHUNK), int(size) if size.isdecimal() else None, suffix=_SUFFIXES.get(kind, "")
        )


def _store(remote: RemoteFile, text: PublicText, folder: Path) -> Path:
    """Write the received bytes to a file that appears complete or not at all."""
    path = folder / (text.name if PurePosixPath(text.name).suffix else text.name + remote.suffix)
    if remote.size is not None and remote.size > MAX_BYTES:
        raise failed(text, f"its size of {remote.size:,} bytes is above the limit of {MAX_BYTES >> 30} GiB")
    with NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            for block in remote.blocks:
                file.write(block)
                if file.tell() > MAX_BYTES:
                    raise failed(text, f"it sends more than the limit of {MAX_BYTES >> 30} GiB")
            if remote.size is not None and file.tell() != remote.size:
                raise failed(text, f"the connection ended after {file.tell():,} of {remote.size:,} bytes")
        except BaseException:
            part.unlink()
            raise
    part.replace(path)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
