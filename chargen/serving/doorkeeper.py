"""Check requests before they reach the application, and add headers to every answer."""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from time import perf_counter
from typing import Any

from chargen.serving.access import COOKIE, Access
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
    """Check the access to an ASGI application, and log errors and, if verbose, requests.

    count: a function that is called with the path and the status of each answer.
    """

    def __init__(
        self,
        application: Application,
        access: Access,
        log: Callable[[str], None],
        *,
        verbose: bool,
        count: Callable[[str, int], None] = lambda path, status: None,
    ) -> None:
        self._application, self._access, self._log, self._verbose, self._count = application, access, log, verbose, count

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
            await self._answer(scope, receive, send_on)
        except Gone:
            outcome = "gone"
            scope.get("state", {}).get("abort", lambda: None)()  # the client may never take the rest
        except Exception as error:
            outcome = "failed"
            self._write(f"internal error: {type(error).__name__}: {error}")
        self._count(scope["path"], status)
        if self._verbose:
            client = (scope.get("client") or ("-",))[0]
            path = scope.get("raw_path", b"").decode("latin-1")[:LONGEST_PATH]
            self._write(f"{client} {scope['method']} {path} {outcome or status} {1000 * (perf_counter() - began):.0f} ms")

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        prefix = self._access.local_path(scope["path"])
        if prefix == scope["path"]:  # relative addresses in the page need the slash
            await _redirect(f"{prefix}/", send)
        elif token := self._access.token_of_query(scope):
            cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path={prefix or '/'}"
            await _redirect(f"{prefix}/", send, (b"set-cookie", cookie.encode("latin-1")))
        elif refusal := self._access.refusal({**scope, "path": scope["path"].removeprefix(prefix)}):
            await _refuse(*refusal, send)
        else:
            await self._application({**scope, "root_path": prefix}, receive, send)

    def _write(self, text: str) -> None:
        """Log a text as one dated line without control characters."""
        line = visible(" ".join(text.split()))
        self._log(f"{datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')} {line}")


def _with_defaults(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers with those of every answer, and a policy for answers that are not pages."""
    given = {name.lower() for name, _ in headers}
    defaults = HEADERS | {"Content-Security-Policy": NO_CONTENT}
    if b"access-control-allow-origin" in given:
        defaults |= {"Cross-Origin-Resource-Policy": "cross-origin"}
    more = [(name.lower().encode(), value.encode()) for name, value in defaults.items() if name.lower().encode() not in given]
    return [*headers, *more]


async def _refuse(status: int, reason: str, send: Send) -> None:
    content = json.dumps({"error": reason}).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _redirect(path: str, send: Send, *headers: tuple[bytes, bytes]) -> None:
    location = (b"location", path.encode("latin-1"))
    await send({"type": "http.response.start", "status": 303, "headers": [location, (b"content-length", b"0"), *headers]})
    await send({"type": "http.response.body", "body": b""})
