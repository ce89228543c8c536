"""Downloads of public texts, from a local server that misbehaves in every possible way."""

import gzip
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import Result

from chargen.corpus import fetching
from chargen.corpus.corpus import load_corpus
from chargen.corpus.fetching import PUBLIC_TEXTS, PublicText
from chargen.corpus.reading import read_sources
from chargen.errors import CorpusError, DownloadError
from chargen.settings.schema import CorpusConfig
from chargen.shipped import shipped_folder

Invoke = Callable[..., Result]
CONTENT = b"It was late, and the river was high.\n" * 3000


class Handler(BaseHTTPRequestHandler):
    """Answers each path with its own kind of misbehaviour."""

    def do_GET(self) -> None:
        getattr(self, self.path.partition("?")[0].strip("/").replace("-", "_").replace(".", "_"))()

    def log_message(self, format: str, *arguments: object) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]

    def answer(self, code: int, body: bytes = b"", **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def text(self) -> None:
        self.answer(200, CONTENT, Content_Length=len(CONTENT))

    def story_txt(self) -> None:
        self.text()

    def table(self) -> None:
        self.answer(200, b"id,tweet\n1,hello there\n2,good bye\n", Content_Type="text/csv; charset=utf-8")

    def packed(self) -> None:
        body = gzip.compress(CONTENT)
        self.answer(200, body, Content_Length=len(body), Content_Encoding="gzip")

    def moved(self) -> None:
        self.answer(302, Location="/text")

    def other(self) -> None:
        self.answer(200, CONTENT[::-1], Content_Length=len(CONTENT))

    def cut(self) -> None:
        self.answer(200, CONTENT[:5000], Content_Length=len(CONTENT))

    def short(self) -> None:
        self.answer(200, CONTENT[:5000])

    def loop(self) -> None:
        self.answer(302, Location="/loop")

    def astray(self) -> None:
        self.answer(302, Location="http://[::1")

    def local_file(self) -> None:
        self.answer(302, Location="file:///etc/hostname")

    def missing(self) -> None:
        self.answer(404, b"<html>not here</html>")

    def broken(self) -> None:
        self.answer(500)

    def huge(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(10_000):
                self.wfile.write(CONTENT)
                self.server.sent += len(CONTENT)  # type: ignore[attr-defined]
        except OSError:
            pass

    def bomb(self) -> None:
        self.answer(200, gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")

    def not_packed(self) -> None:
        self.answer(200, CONTENT, Content_Encoding="gzip")

    def no_length(self) -> None:
        self.answer(200, CONTENT, Content_Length="long")

    def silent(self) -> None:
        time.sleep(3.5)

    def stalls(self) -> None:
        self.answer(200, CONTENT[:5000], Content_Length=len(CONTENT))
        self.wfile.flush()
        time.sleep(3.5)

    def nonsense(self) -> None:
        self.wfile.write(b"\x00\x01\x02 nothing of HTTP \r\n\r\n")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetching, "TIMEOUT", 2.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.sent = [], 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARGEN_CACHE", str(in_folder / "cache"))
    return in_folder / "cache" / "corpora"


@pytest.fixture
def text_at(server: ThreadingHTTPServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], PublicText]:
    """Make a public text at an address of the server, the only known one."""

    def make(path: str) -> PublicText:
        text = PublicText(
            name="river.txt",
            about="a river",
            url=f"http://127.0.0.1:{server.server_port}/{path}",
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            size=len(CONTENT),
        )
        monkeypatch.setattr(fetching, "PUBLIC_TEXTS", (text,))
        return text

    return make


@pytest.mark.parametrize("path", ["text", "packed", "moved"])
def test_a_text_is_fetched_once_and_then_found(
    path: str, text_at: Callable[[str], PublicText], cache: Path, server: ThreadingHTTPServer
) -> None:
    text = text_at(path)
    with pytest.raises(CorpusError, match=r"no such file: river\.txt") as refused:
        read_sources(["river.txt"])
    assert refused.value.hint == "download it first: chargen corpora get river.txt"
    assert fetching.fetch(text) == cache / "river.txt"
    asked = list(server.asked)  # type: ignore[attr-defined]
    assert fetching.fetch(text).read_bytes() == CONTENT
    assert server.asked == asked  # type: ignore[attr-defined]
    for name in ("river.txt", "river"):
        (source,) = read_sources([name])
        assert (source.name, source.text) == ("river.txt", CONTENT.decode())
    assert [path.name for path in cache.iterdir()] == ["river.txt"]


FAILURES = {
    "other": "its sha256 is not the expected one",
    "cut": "the connection was cut",
    "short": "the connection ended after 5,000 of 111,000 bytes",
    "loop": "too many redirects",
    "astray": "the answer cannot be read",
    "local-file": "the answer cannot be read",
    "missing": "the server answered 404",
    "broken": "the server answered 500",
    "huge": "it sends more than the 111,000 bytes",
    "bomb": "it sends more than the 111,000 bytes",
    "not-packed": "the answer cannot be read",
    "no-length": "the answer cannot be read",
    "silent": "no answer within 2 seconds",
    "stalls": "the server cannot be reached or stopped answering",
    "nonsense": "the server cannot be reached or stopped answering",
}


@pytest.mark.parametrize("path", FAILURES)
def test_what_fails_is_one_line_and_leaves_nothing(
    path: str, text_at: Callable[[str], PublicText], cache: Path, invoke: Invoke, server: ThreadingHTTPServer
) -> None:
    text_at(path)
    result = invoke("corpora", "get", "-q", "river")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("chargen: cannot fetch river.txt from http://127.0.0.1:")
    assert FAILURES[path] in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(cache.iterdir()) == []
    assert server.sent < 100 * len(CONTENT)  # type: ignore[attr-defined]


def test_without_a_server(text_at: Callable[[str], PublicText], cache: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/text", "http://no.such.host.invalid/text"):
        with pytest.raises(DownloadError, match="the server cannot be reached"):
            fetching.fetch(replace(text_at("text"), url=url))
    assert list(cache.iterdir()) == []


def test_a_damaged_copy_is_replaced_by_a_whole_one_only(text_at: Callable[[str], PublicText], cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "river.txt").write_bytes(b"damaged")
    with pytest.raises(DownloadError):
        fetching.fetch(text_at("cut"))
    assert (cache / "river.txt").read_bytes() == b"damaged"
    assert fetching.fetch(text_at("text")).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written(
    text_at: Callable[[str], PublicText], invoke: Invoke, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_at("text")
    (in_folder / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("CHARGEN_CACHE", str(in_folder / "file"))
    result = invoke("corpora", "get", "-q", "river")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "cannot write to" in result.stderr
    assert "CHARGEN_CACHE" in result.stderr


def test_a_file_here_and_a_shipped_text_come_first(text_at: Callable[[str], PublicText], in_folder: Path) -> None:
    fetching.fetch(text_at("text"))
    (in_folder / "river.txt").write_text("a river of mine", encoding="utf-8")
    assert read_sources(["river.txt"])[0].text == "a river of mine"


def test_what_there_is_is_listed(text_at: Callable[[str], PublicText], invoke: Invoke, cache: Path) -> None:
    text = text_at("text")
    shown = invoke("corpora").stdout
    assert "male.txt" in shown
    assert shown.splitlines()[-1].split() == ["river.txt", "111,000", "bytes", "to", "fetch", "a", "river"]
    got = invoke("corpora", "get", "river.txt")
    assert got.stdout == f"{cache / 'river.txt'}\n"
    assert text.url in got.stderr
    assert invoke("corpora").stdout.splitlines()[-1].split()[3] == "here"
    assert invoke("corpora", "list").stdout == invoke("corpora").stdout
    assert invoke("corpora", "list", "--json").stdout == invoke("corpora", "--json").stdout
    listed = {one["name"]: one for one in json.loads(invoke("corpora", "list", "--json").stdout)}
    assert listed["river.txt"]["url"] == text.url
    assert listed["river.txt"]["path"] == str(cache / "river.txt")
    assert Path(listed["male.txt"]["path"]).is_file()
    assert json.loads(invoke("corpora", "get", "river", "--json").stdout) == {
        "name": "river.txt",
        "path": str(cache / "river.txt"),
    }


def test_a_text_is_written_whole(text_at: Callable[[str], PublicText], invoke: Invoke, in_folder: Path, cache: Path) -> None:
    text_at("text")
    for name, content in (("river", CONTENT), ("male", shipped("male.txt")), ("book.txt", shipped("book.txt"))):
        (in_folder / "copy.txt").write_text("old", encoding="utf-8")
        assert invoke("corpora", "get", "-q", name, "-o", "copy.txt").stdout == "copy.txt\n"
        assert (in_folder / "copy.txt").read_bytes() == content
    got = invoke("corpora", "get", "-q", "male", "river", "--json").stdout.splitlines()
    assert [json.loads(one)["path"] for one in got] == [str(shipped_folder("corpora") / "male.txt"), str(cache / "river.txt")]


def shipped(name: str) -> bytes:
    return (shipped_folder("corpora") / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["male", "moby-dick"], "no such text: moby-dick; there are book.txt, "),
        (["male", "book", "-o", "x"], "--output writes one file, but 2 names are given; get one text at a time"),
        (["male", "-o", "missing/x"], "cannot write missing/x: No such file or directory; choose another file with --output"),
        (["male", "-o", "."], "invalid value for '-o' / '--output': File '.' is a directory (chargen corpora get -h explains)"),
        ([], "missing argument 'NAMES...'"),
    ],
)
def test_what_cannot_be_had_is_one_line(arguments: list[str], message: str, invoke: Invoke) -> None:
    result = invoke("corpora", "get", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"chargen: {message}")


def test_the_register() -> None:
    shipped = {"male.txt", "female.txt", "book.txt", "tiny.txt", "code.txt"}
    for text in PUBLIC_TEXTS:
        assert text.url.startswith("https://")
        assert len(bytes.fromhex(text.sha256)) == 32
        assert text.name not in shipped
        assert Path(text.name).suffix == ".txt"


@pytest.fixture
def address(server: ThreadingHTTPServer, cache: Path) -> str:
    return f"http://127.0.0.1:{server.server_port}"


SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("path", ["story.txt", "packed", "moved", f"story.txt#sha256={SHA256}"])
def test_an_address_is_fetched_once_and_then_read_from_the_cache(
    path: str, address: str, cache: Path, server: ThreadingHTTPServer
) -> None:
    corpus = load_corpus(CorpusConfig(files=(f"{address}/{path}",)))
    assert (tuple(corpus.texts), corpus.name) == ((CONTENT.decode(),), path.partition(".")[0])
    bare = f"{address}/{path.partition('#')[0]}"
    assert corpus.notes[0].startswith(f"{bare}: {len(CONTENT):,} bytes, sha256 {SHA256}, fetched into {cache.parent}")
    asked = list(server.asked)  # type: ignore[attr-defined]
    again = load_corpus(CorpusConfig(files=(f"{address}/{path}",)))
    assert again.notes[0].startswith(f"{bare}: {len(CONTENT):,} bytes, sha256 {SHA256}, read from the cache {cache.parent}")
    assert (tuple(again.texts), server.asked) == (tuple(corpus.texts), asked)  # type: ignore[attr-defined]
    assert again.downloads == (again.notes[0],)


def test_other_bytes_than_those_expected_are_refused(address: str, cache: Path) -> None:
    pinned = CorpusConfig(files=(f"{address}/story.txt#sha256={'0' * 64}",))
    with pytest.raises(CorpusError, match=f"story.txt has the sha256 {SHA256}, expected 0{{64}}") as fetched:
        load_corpus(pinned)
    assert fetched.value.hint == "it may have changed"
    with pytest.raises(CorpusError) as kept:
        load_corpus(pinned)
    assert f"to fetch it again delete {cache.parent}" in str(kept.value.hint)


def test_the_kind_of_a_nameless_text_comes_from_the_server(address: str) -> None:
    assert tuple(load_corpus(CorpusConfig(files=(f"{address}/table?raw=1",))).texts) == ("hello there", "good bye")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "the server answered 404"),
        ("cut", "connection"),
        ("loop", "too many redirects"),
        ("local-file", "the answer cannot be read"),
        ("huge", "it sends more than the limit of 0 GiB"),
        ("bomb", "it sends more than the limit of 0 GiB"),
        ("silent", "no answer within 2 seconds"),
        ("stalls", ""),
        ("nonsense", "cannot fetch nonsense"),
        ("not-packed", "the answer cannot be read"),
        (f"text#sha256={SHA256[::-1]}", f"has the sha256 {SHA256}, expected"),
    ],
)
def test_what_cannot_be_fetched_is_refused_and_nothing_is_left(
    path: str, message: str, address: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargen.corpus.downloads.MAX_BYTES", 1_000_000)
    with pytest.raises(CorpusError) as refused:
        read_sources([f"{address}/{path}"])
    assert message in refused.value.message
    assert "\n" not in str(refused.value)
    assert len([one for one in cache.parent.rglob("*") if one.is_file()]) == ("sha256" in path)


def test_a_run_records_where_its_text_came_from(address: str, invoke: Invoke, in_folder: Path) -> None:
    small = ["--hidden-size", "4", "--epochs", "1", "--epoch-steps", "2", "--backend", "numpy", "--context-length", "8"]
    result = invoke("train", f"{address}/story.txt", *small, "--sample-every", "0")
    assert result.exit_code == 0, result.stderr
    written = (in_folder / result.stdout.strip() / "config.toml").read_text(encoding="utf-8")
    assert f"# {address}/story.txt: {len(CONTENT):,} bytes, sha256 {SHA256}, fetched into" in written
