"""Limit the connections of a server: close those that are slow to send a header, and refuse more than it can hold."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0  # for the header of a request to arrive
SPARE_DESCRIPTORS = 64  # files and sockets beside the connections
MOST_CONNECTIONS = 4096
SHARE_OF_AN_ADDRESS = 0.25  # of all connections, for each address that is not this machine


class Connection(Protocol):
    """Anything that can be closed at once."""

    def abort(self) -> None: ...


class Connections:
    """Count the open connections, in all and by address. `waiting` holds those without a request, the oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[Connection, str | None] = {}
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, address: str | None) -> bool:
        """Add a connection, and return whether there is room for it; if necessary, close the oldest one that waits.

        address: of the client; None is not counted.
        """
        if address is not None and not _is_this_machine(address):
            if self._by_address[address] >= max(1, int(self._most * SHARE_OF_AN_ADDRESS)):
                return False
            self._by_address[address] += 1
        else:
            address = None
        self._open[connection] = address
        if len(self._open) > self._most and not self._close_oldest():
            self.remove(connection)
            return False
        self.wait(connection)
        return True

    def wait(self, connection: Connection) -> None:
        """Note that a connection has no request now."""
        if connection in self._open:
            self._waiting.setdefault(connection)

    def work(self, connection: Connection) -> None:
        """Note that a connection has a request now."""
        self._waiting.pop(connection, None)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._waiting.pop(connection, None)
        address = self._open.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            self._by_address += Counter()  # without addresses that have none

    def _close_oldest(self) -> bool:
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self.remove(oldest)
        oldest.abort()
        return True


def _is_this_machine(address: str) -> bool:
    """Return whether an address is a loopback address, where a proxy may send the requests of many clients."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def most_connections() -> int:
    """Return how many connections the process can hold, after raising its limit of open files as far as allowed."""
    try:
        import resource
    except ImportError:  # Windows
        return MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, max(1, soft - SPARE_DESCRIPTORS))


class BoundedProtocol(H11Protocol):
    """Speak HTTP as uvicorn does, on connections that are counted, and closed if a header takes longer than HEADER_SECONDS.

    The scope of each request has state["abort"], which closes the connection without waiting for the client.
    """

    def __init__(self, connections: Connections, **details: Any) -> None:
        super().__init__(**details)
        self.app_state: dict[str, Any]
        self._counted = connections
        self._header_timer: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "abort": self.abort}
        if self._counted.admit(self, self.client[0] if self.client else None):
            self._start_timer()
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._counted.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._has_request:
            self._stop_timer()
            self._counted.work(self)
        elif self._header_timer is None and not self.transport.is_closing():
            self._start_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._counted.wait(self)

    @property
    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timer(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_SECONDS, self.abort)

    def _stop_timer(self) -> None:
        if self._header_timer:
            self._header_timer.cancel()
            self._header_timer = None


def bounded_by(connections: Connections) -> Callable[..., BoundedProtocol]:
    """Return what uvicorn calls for each connection."""

    def make(**details: Any) -> BoundedProtocol:
        return BoundedProtocol(connections, **details)

    return make
