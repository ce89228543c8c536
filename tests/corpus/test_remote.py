"""Texts at addresses of fsspec, in file systems that misbehave in every possible way."""

import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from chargen.corpus.corpus import load_corpus
from chargen.corpus.downloads import download
from chargen.corpus.reading import read_sources
from chargen.errors import ChargenError, CorpusError, DownloadError
from chargen.settings.schema import CorpusConfig

fsspec = pytest.importorskip("fsspec", reason="fsspec, which opens addresses, is not installed")

Invoke = Callable[..., Result]
CONTENT = b"It was late, and the river was high.\n" * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Cut(io.BytesIO):
    """A file whose connection breaks."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise ConnectionResetError(104, "Connection reset by peer\nof a server")
        return super().read(size)


class Troubled(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Opens each path with its own kind of misbehaviour."""

    protocol = "troubled"
    cachable = False

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        sizes = {"short": len(CONTENT) + 1, "huge": 1 << 40, "endless": None}
        return {"name": path, "size": sizes.get(path, len(CONTENT)), "type": "file"}

    def open(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        if path == "forbidden":
            raise PermissionError(13, "Forbidden")
        if path == "strange":
            raise RuntimeError("a message\nof several lines")
        return Cut(CONTENT) if path == "cut" else io.BytesIO(CONTENT)


@pytest.fixture
def cache(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARGEN_CACHE", str(in_folder / "cache"))
    return in_folder / "cache"


@pytest.fixture
def memory(cache: Path) -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    system.pipe("/texts/story.txt", CONTENT)
    yield system
    system.store.clear()


@pytest.fixture
def troubled(cache: Path) -> str:
    fsspec.register_implementation("troubled", Troubled, clobber=True)
    return "troubled://"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("pin", ["", f"#sha256={SHA256}"])
def test_a_text_is_fetched_once_and_then_read_from_the_cache(pin: str, memory: Any, cache: Path) -> None:
    corpus = load_corpus(CorpusConfig(files=(f"memory://texts/story.txt{pin}",)))
    assert (corpus.name, [str(text) for text in corpus.texts]) == ("story", [CONTENT.decode()])
    message = f"memory://texts/story.txt: {len(CONTENT):,} bytes, sha256 {SHA256}"
    assert corpus.notes[0].startswith(f"{message}, fetched into {cache}")
    memory.rm("/texts/story.txt")
    again = load_corpus(CorpusConfig(files=(f"memory://texts/story.txt{pin}",)))
    assert again.notes[0].startswith(f"{message}, read from the cache {cache}")
    assert again.downloads == (again.notes[0],)


def test_a_table_keeps_its_name(memory: Any) -> None:
    memory.pipe("/t.csv", b"id,tweet\n1,hello there\n2,good bye\n")
    assert [str(text) for text in load_corpus(CorpusConfig(files=("memory://t.csv",))).texts] == ["hello there", "good bye"]


def test_a_run_records_where_its_text_came_from(memory: Any, invoke: Invoke, in_folder: Path) -> None:
    small = ["--hidden-size", "4", "--epochs", "1", "--epoch-steps", "2", "--backend", "numpy", "--context-length", "8"]
    result = invoke("train", "memory://texts/story.txt", *small, "--sample-every", "0")
    assert result.exit_code == 0, result.stderr
    written = (in_folder / result.stdout.strip() / "config.toml").read_text(encoding="utf-8")
    assert f"# memory://texts/story.txt: {len(CONTENT):,} bytes, sha256 {SHA256}, fetched into" in written


def test_a_file_of_this_machine_stays_where_it_is(cache: Path, in_folder: Path) -> None:
    path = in_folder / "a story.txt"
    path.write_bytes(CONTENT)
    found = download(f"file://{in_folder}/a%20story.txt#sha256={SHA256}")
    assert (found.path, files_in(in_folder)) == (path, ["a story.txt"])
    path.write_bytes(b"It is another day.\n")
    assert read_sources([f"file://{in_folder}/a%20story.txt"])[0].text == "It is another day.\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("memory://none.txt", "cannot fetch none.txt from memory://none.txt: no such file; check the address"),
        ("memory://texts", "memory://texts is a folder, expected a file; give the address of a file in it"),
        (f"memory://texts/story.txt#sha256={SHA256[::-1]}", f"memory://texts/story.txt has the sha256 {SHA256}, expected"),
        ("troubled://forbidden", "cannot fetch forbidden from troubled://forbidden: access is denied; check your credentials"),
        ("troubled://strange", "cannot fetch strange from troubled://strange: RuntimeError: a message of several lines"),
        ("troubled://cut", "troubled://cut: ConnectionResetError: [Errno 104] Connection reset by peer of a server"),
        ("troubled://short", "troubled://short: the connection ended after 111,000 of 111,001 bytes"),
        ("troubled://huge", "troubled://huge: its size of 1,099,511,627,776 bytes is above the limit of 0 GiB"),
        ("troubled://endless", "troubled://endless: it sends more than the limit of 0 GiB"),
        (
            "htps://example.org/a.txt",
            "is not a supported address (https://, s3://, gs://, sftp:// and others); did you mean",
        ),
        ("such://example.org/a.txt", "and others); copy the file to this machine and give its path"),
        ("https://[::1/a.txt", "https://[::1/a.txt is not an address: "),
        ("file:///nowhere/at/all.txt", "no such file: /nowhere/at/all.txt"),
        ("file://nowhere/all.txt", "file://nowhere/all.txt is on another machine; did you mean file:///nowhere/all.txt?"),
        ("file:///", "file:/// is a folder, expected a file; give its path, /"),
        (
            "https://ada:secret@example.org/a.txt",
            "the address of a.txt holds a password, which config.toml would record; leave it",
        ),
        ("sftp://ada:secret@example.org", "the address of example.org holds a password"),
    ],
)
def test_what_cannot_be_fetched_is_one_line_and_leaves_nothing(
    given: str, message: str, memory: Any, troubled: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargen.corpus.downloads.MAX_BYTES", 100_000 if "endless" in given or "huge" in given else 1 << 20)
    with pytest.raises(CorpusError) as refused:
        read_sources([given])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
    assert isinstance(refused.value, DownloadError) == ("cannot fetch" in message or message.startswith("troubled"))
    assert files_in(cache) == (["story.txt"] if "#sha256" in given else [])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ImportError("Install s3fs to access S3"),
            "s3://b/a.txt needs a package that is not installed; pip install s3fs reads it",
        ),
        (ImportError("Ask your provider"), "s3://b/a.txt needs a package that is not installed; Ask your provider"),
    ],
)
def test_the_package_that_an_address_needs_is_named(
    error: ImportError, message: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise error from ModuleNotFoundError("No module named 's3fs'", name="s3fs")

    monkeypatch.setattr("fsspec.get_filesystem_class", missing)
    with pytest.raises(ChargenError) as refused:
        read_sources(["s3://b/a.txt"])
    assert str(refused.value) == message


def test_without_fsspec_its_extra_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(CorpusError) as refused:
        read_sources(["s3://bucket/a.txt"])
    assert str(refused.value) == (
        "s3://bucket/a.txt is not a web address (https:// or http://); "
        "pip install 'chargen[remote]' reads s3://, gs://, sftp:// and others"
    )
