"""Check requests before they reach the application, and add headers to every answer."""

import json
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

from chargen.serving.address import Address
from chargen.terminal import visible

LONGEST_PATH = 200  # characters of a path that are logged

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Gone(BaseException):
    """Signal that the client has disconnected. It is not an Exception, so that no handler on its way answers."""


class Doorkeeper:
    """Refuse foreign hosts and origins before an ASGI application, and log requests if there is a log."""

    def __init__(self, application: Application, address: Address, log: Callable[[str], None], *, verbose: bool) -> None:
        self._application, self._address, self._log, self._verbose = application, address, log, verbose

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        began, status = perf_counter(), 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = message | {"headers": _with_defaults(message.get("headers", []))}
            await send(message)

        outcome = ""
        try:
            if reason := self._refusal(scope):
                await _refuse(reason, send_on)
            else:
                await self._application(scope, receive, send_on)
        except Gone:
            outcome = "gone"
        except Exception as error:
            outcome = "failed"
            self._log(_line(f"internal error: {type(error).__name__}: {error}"))
        if self._verbose:
            client = (scope.get("client") or ("-",))[0]
            path = scope.get("raw_path", b"").decode("latin-1")[:LONGEST_PATH]
            told = f"{client} {scope['method']} {path} {outcome or status} {1000 * (perf_counter() - began):.0f} ms"
            self._log(_line(told))

    def _refusal(self, scope: Mapping[str, Any]) -> str:
        """Return why a request is refused, or an empty text."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or not self._address.is_called(hosts[0]):
            return f"the host {hosts[0]!r:.100} is not this server" if hosts else "the request names no host"
        if any(one.lower() != f"http://{hosts[0].lower()}" for one in origins):
            return f"the origin {origins[0]!r:.100} is not this server"
        return ""


def _values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for one, value in scope["headers"] if one == name]


def _with_defaults(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers with those of every answer, and a policy for answers that are not pages."""
    given = {name.lower() for name, _ in headers}
    defaults = HEADERS | {"Content-Security-Policy": NO_CONTENT}
    more = [(name.lower().encode(), value.encode()) for name, value in defaults.items() if name.lower().encode() not in given]
    return [*headers, *more]


async def _refuse(reason: str, send: Send) -> None:
    content = json.dumps({"error": reason}).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _line(text: str) -> str:
    """Return a text as one line without control characters."""
    return visible(" ".join(text.split()))
