"""Clients that send slowly or never read, for tests and for `make torture`."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter

from chargen.settings.schema import NetworkConfig
from tests.export.forms import make_model
from tests.serving.served import Served, served

SLOW_HEADERS, SLOW_BODIES, NEVER_READING = 200, 200, 100
LENGTH = 100_000  # characters of a text that nobody reads


@contextmanager
def attacked() -> Iterator[Served]:
    """Serve a small model to slow and never-reading clients, all at once, within."""
    model = make_model(NetworkConfig(hidden_size=5, embedding_size=4))
    with served(model, length=LENGTH, concurrent=100) as server, ExitStack() as stack:
        for _ in range(SLOW_HEADERS):
            _connect(server, stack, b"GET / HTTP/1.1\r\nX-Slow: ")
        for _ in range(SLOW_BODIES):
            _connect(server, stack, b"POST /api/next HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
        body = json.dumps({"length": LENGTH, "stream": True, "top": 5}).encode()
        head = f"POST /api/complete HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        for _ in range(NEVER_READING):
            _connect(server, stack, head + body, buffer=4096)
        yield server


def _connect(server: Served, stack: ExitStack, content: bytes, *, buffer: int | None = None) -> None:
    opened = stack.enter_context(socket.socket())
    if buffer:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    opened.connect(("127.0.0.1", server.port))
    opened.sendall(content)


def honest_seconds(server: Served, requests: int) -> list[float]:
    """Return how long some requests took, one after another. Raises AssertionError if one was not answered."""
    seconds = []
    for seed in range(requests):
        began = perf_counter()
        assert server.post("/api/complete", {"length": 20, "random_seed": seed}).status == 200
        seconds.append(perf_counter() - began)
    return seconds
