"""Write files atomically: a reader sees the old file or the new one, never a part. Find the cache folder."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

CACHE_VARIABLE = "CHARGEN_CACHE"


def write_atomically(path: Path, content: bytes | str | Iterable[bytes]) -> None:
    """Write `content`, which may come in pieces, next to `path`, flush it to disk and rename it into place.

    Text is written as UTF-8 with Unix newlines. Raises OSError and leaves the old file unchanged.
    """
    import tempfile

    content = content.encode("utf-8") if isinstance(content, str) else content
    pieces = [content] if isinstance(content, bytes) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file and flush it to disk. Raises OSError."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk, if the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder(kind: str) -> Path:
    """Return the folder of one kind of cached files: in $CHARGEN_CACHE, else in the user's cache as the system has it."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given) / kind
    if sys.platform == "linux":  # the same folder as below, without an import that takes as long as loading a model
        folder = os.environ.get("XDG_CACHE_HOME", "")
        return Path(folder if Path(folder).is_absolute() else "~/.cache").expanduser() / "chargen" / kind
    from platformdirs import user_cache_path

    return user_cache_path("chargen") / kind


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
