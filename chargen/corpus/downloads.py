"""Fetch a text from an address on the web once, and read it from the cache afterwards."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import unquote, urlsplit

from chargen.corpus import fetching
from chargen.corpus.fetching import PublicText, cache_folder, failed, told
from chargen.errors import CorpusError

MOST_BYTES = 1 << 34
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_PIN = "#sha256="
_ODD = re.compile(r"[^\w.-]+")
_SUFFIXES = {"text/html": ".html", "application/json": ".json", "text/csv": ".csv", "application/pdf": ".pdf"}


@dataclass(frozen=True)
class Download:
    """A fetched file; `fresh`: whether it was fetched now rather than found in the cache."""

    url: str
    path: Path
    sha256: str
    fresh: bool

    def describe(self) -> str:
        """Return a line about it."""
        size = f"{self.path.stat().st_size:,} bytes, sha256 {self.sha256}"
        return f"{self.url}: {size}, {'fetched into' if self.fresh else 'read from the cache'} {self.path}"


def is_address(name: str) -> bool:
    """Tell whether a name is an address rather than a path.

    >>> is_address("https://example.org/a.txt"), is_address("C:/a.txt")
    (True, False)
    """
    return bool(_ADDRESS.match(name))


def name_in_address(url: str) -> str:
    """Return the file name in an address.

    >>> name_in_address("https://example.org/texts/a%20story.txt?raw=1#sha256=00")
    'a_story.txt'
    """
    parts = urlsplit(url)
    name = PurePosixPath(unquote(parts.path)).name or (parts.hostname or "")
    return _ODD.sub("_", name).strip("._")[-100:] or "download"


def download(address: str) -> Download:
    """Fetch the file at an address, unless it is in the cache, and return where it lies.

    After `#sha256=` an address may say which bytes are expected. Raises CorpusError for an address that is not of the web and
    for other bytes, and DownloadError for whatever goes wrong on the way.
    """
    url, _, pinned = address.partition(_PIN)
    if urlsplit(url).scheme.lower() not in ("http", "https"):
        raise CorpusError(
            f"{url} is not an address of the web (https:// or http://)", hint="copy the file here, and give its path"
        )
    folder = cache_folder().parent / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:16]
    path = next((one for one in sorted(folder.glob("*")) if not one.name.endswith(".part")), None)
    fresh = path is None
    path = path or _fetch(url, folder)
    found = _sha256(path)
    if pinned and found != pinned.lower():
        raise CorpusError(
            f"{url} has the sha256 {found}, expected {pinned}", hint=f"it may have changed; to fetch it again delete {path}"
        )
    return Download(url, path, found, fresh)


def _fetch(url: str, folder: Path) -> Path:
    import requests

    text = PublicText(name=name_in_address(url), about="", url=url, sha256="", size=MOST_BYTES)
    with told(text, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with requests.get(url, stream=True, timeout=fetching.TIMEOUT) as response:
            response.raise_for_status()
            return _store(response, text, folder)


def _store(response: Any, text: PublicText, folder: Path) -> Path:
    """Write what a server sends into a file that appears whole or not at all."""
    suffix = _SUFFIXES.get(response.headers.get("Content-Type", "").partition(";")[0].strip().lower(), "")
    path = folder / (text.name if PurePosixPath(text.name).suffix or not suffix else text.name + suffix)
    with NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            for block in response.iter_content(fetching.CHUNK):
                file.write(block)
                if file.tell() > MOST_BYTES:
                    raise failed(text, f"it sends more than {MOST_BYTES >> 30} GiB")
            expected = response.headers.get("Content-Length", "")
            packed = response.headers.get("Content-Encoding", "identity") != "identity"
            if expected.isdecimal() and not packed and file.tell() != int(expected):
                raise failed(text, f"the connection ended after {file.tell():,} of {int(expected):,} bytes")
        except BaseException:
            part.unlink()
            raise
    part.replace(path)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
