"""A server in a thread of this process, and a client."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from threading import Thread
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'chargen[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'chargen[serve]'")

from chargen.network.model_file import TextModel
from chargen.serving.access import Access
from chargen.serving.address import Address, listen
from chargen.serving.limits import Limits
from chargen.serving.server import Server, Site, make_app
from chargen.serving.service import Service

LONGEST_SECONDS = 60  # of anything that a test waits for


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def events(self) -> list[Any]:
        *events, rest = self.content.decode("ascii").split("\n\n")
        assert rest == ""
        return [json.loads(one.removeprefix("data: ")) for one in events]


class Served(NamedTuple):
    """A server at work, and what it has logged."""

    site: Site
    server: Server
    address: Address
    logged: list[str]

    @property
    def service(self) -> Service:
        return self.site.first

    @property
    def working(self) -> int:
        return self.site.turns.working

    @property
    def url(self) -> str:
        return self.address.url

    @property
    def port(self) -> int:
        return int(self.address.listener.getsockname()[1])

    def open(self, method: str, path: str, content: bytes | None = None, **headers: str) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_SECONDS)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=content, headers=named | {"Connection": "close"})
        return connection.getresponse()

    def get(self, path: str, **headers: str) -> Answer:
        return _answer(self.open("GET", path, **headers))

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return _answer(self.open("POST", path, content, **headers))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=LONGEST_SECONDS)

    def begin(self, body: Any) -> socket.socket:
        """Ask for a completion, and read nothing."""
        content = json.dumps(body).encode()
        opened = self.connect()
        head = f"POST /api/complete HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n"
        opened.sendall(head.encode() + content)
        return opened

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + LONGEST_SECONDS
        while not condition():
            assert monotonic() < deadline
            sleep(0.01)


def _answer(response: HTTPResponse) -> Answer:
    with response:
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


@contextmanager
def served(
    *models: TextModel,
    host: str = "127.0.0.1",
    access: Mapping[str, Any] = MappingProxyType({}),
    most: int | None = None,
    novelty: Mapping[str, Any] = MappingProxyType({}),
    **limits: Any,
) -> Iterator[Served]:
    """Serve models, called a, b and so on, on a free port within. access: fields of Access. most: connections."""
    site, address, logged = Site(list(zip("abcd", models, strict=False)), Limits(**limits), novelty), listen(host, 0), []
    application = make_app(site, Access(address=address, **access), log=logged.append, verbose=True)
    server = Server(site, application, most=most)
    thread = Thread(target=server.run, args=([address.listener],), daemon=True)
    thread.start()
    try:
        yield Served(site, server, address, logged)
    finally:
        site.stop()
        server.should_exit = True
        thread.join(LONGEST_SECONDS)
        assert not thread.is_alive(), "the server does not stop"
        site.close()
