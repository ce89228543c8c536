"""Slow, silent and never-reading clients leave room for others."""

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from time import monotonic, sleep

import pytest

from chargen.serving.connections import Connections, most_connections
from chargen.settings.schema import NetworkConfig
from tests.export.forms import make_model
from tests.serving.attackers import attacked, honest_seconds
from tests.serving.served import Served, served

LSTM = NetworkConfig(hidden_size=5, embedding_size=4)


class Closable:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_the_oldest_waiting_connection_makes_room() -> None:
    connections, some = Connections(3), [Closable() for _ in range(5)]
    assert all(connections.admit(one, "127.0.0.1") for one in some[:3])
    connections.work(some[0])
    assert connections.admit(some[3], None)
    assert [one.aborted for one in some] == [False, True, False, False, False]
    assert len(connections) == 3
    for one in some[:4]:
        connections.work(one)
    assert not connections.admit(some[4], None)
    connections.remove(some[0])
    assert connections.admit(some[4], None)


def test_one_address_has_a_share_unless_it_is_this_machine() -> None:
    connections = Connections(8)
    some = [Closable() for _ in range(3)]
    assert [connections.admit(one, "203.0.113.7") for one in some] == [True, True, False]
    assert connections.admit(Closable(), "203.0.113.8")
    connections.remove(some[0])
    assert connections.admit(some[2], "203.0.113.7")
    for address in ("127.0.0.1", "::1", "::1%lo"):
        assert all(connections.admit(Closable(), address) for _ in range(3))


def test_there_are_fewer_connections_than_descriptors() -> None:
    program = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300));"
    program += "from chargen.serving.connections import most_connections as most; print(most())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 300 - 64
    assert most_connections() > 64


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargen.serving.connections.HEADER_SECONDS", 0.3)
    monkeypatch.setattr("chargen.serving.server.BODY_SECONDS", 0.3)


def connect(server: Served, content: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    opened.sendall(content)
    return opened


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"POST /api/next HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "])
def test_a_slow_header_is_closed(sent: bytes) -> None:
    with served(make_model(LSTM)) as server, connect(server, sent) as slow:
        began = monotonic()
        with suppress(ConnectionResetError):
            assert slow.recv(100) == b""
        assert monotonic() - began < 5
        server.until(lambda: len(server.server.counted) == 0)


@pytest.mark.usefixtures("quick")
def test_a_header_that_drips_is_closed_too() -> None:
    with served(make_model(LSTM)) as server, connect(server, b"GET / HTTP/1.1\r\nX: ") as slow:
        began = monotonic()
        with suppress(ConnectionError):
            while monotonic() - began < 10:
                slow.sendall(b"a")
                sleep(0.05)
        assert monotonic() - began < 5


@pytest.mark.usefixtures("quick")
def test_a_slow_body_takes_no_turn_and_is_closed() -> None:
    head = b"POST /api/next HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
    with served(make_model(LSTM), concurrent=1, queue=0) as server, connect(server, head) as slow:
        assert server.post("/api/next", {}).status == 200
        answer = b""
        while part := slow.recv(1000):
            answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_large_body_is_refused_by_its_header() -> None:
    head = b"POST /api/next HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n\r\n"
    with served(make_model(LSTM)) as server, connect(server, head) as opened:
        assert opened.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_silent_connections_make_room_for_others() -> None:
    with served(make_model(LSTM), most=20) as server, ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(server))
        assert server.post("/api/complete", {"length": 5}).status == 200
        assert len(server.server.counted) <= 20


def test_five_hundred_clients_are_all_answered() -> None:
    with served(make_model(LSTM), concurrent=20, seconds=300) as server, ThreadPoolExecutor(500) as clients:
        answers = clients.map(lambda seed: server.post("/api/complete", {"random_seed": seed, "length": 5}).status, range(500))
        assert set(answers) == {200}


def test_an_honest_client_is_answered_among_attackers() -> None:
    """`make torture` says how fast."""
    with attacked() as server:
        assert len(honest_seconds(server, 3)) == 3
