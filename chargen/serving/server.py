"""Serve the writing page and a JSON API over HTTP, for `chargen serve`.

Each error is one sentence in JSON.
"""

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from chargen.errors import ChargenError
from chargen.network.model_file import TextModel
from chargen.serving.address import Address
from chargen.serving.bodies import CompletionBody, NextBody, ScoreBody, parse_body
from chargen.serving.doorkeeper import Doorkeeper, Gone, Receive, Send
from chargen.serving.service import LONGEST_TEXT, Limits, RefusedError, Service
from chargen.settings.keyword_errors import in_keywords

LARGEST_BODY = 1 << 18  # bytes
GRACE = 2  # seconds for a client to receive its answer after the time limit, or when the server stops


def make_app(service: Service, address: Address, *, log: Callable[[str], None], verbose: bool = False) -> Doorkeeper:
    """Return the ASGI application of a service, which logs internal errors and, if verbose, requests."""
    told: dict[Any, Any] = dict.fromkeys([RefusedError, ChargenError, HTTPException], _refusal)
    application = Starlette(routes=_routes(service), exception_handlers=told | {Exception: _failure})
    return Doorkeeper(application, address, log, verbose=verbose)


def _routes(service: Service) -> list[Route]:
    """Return the routes."""
    policy = f"{service.page.policy}; frame-ancestors 'none'"  # which a page cannot set itself
    page = Response(service.page.html, media_type="text/html", headers={"Content-Security-Policy": policy})
    return [
        Route("/", page, methods=["GET"]),
        Route("/favicon.ico", Response(status_code=204), methods=["GET"]),
        Route("/api/model", _json(service.card), methods=["GET"]),
        Route("/api/complete", _Turn(service, CompletionBody, _complete), methods=["POST"]),
        Route("/api/next", _Turn(service, NextBody, _next), methods=["POST"]),
        Route("/api/score", _Turn(service, ScoreBody, _score), methods=["POST"]),
    ]


async def _complete(service: Service, body: CompletionBody, send: Send) -> None:
    if body.stream:
        await _send_events(service.stream(body), send)
    else:
        await _send(await service.complete(body), send)


async def _next(service: Service, body: NextBody, send: Send) -> None:
    await _send(await service.next(body), send)


async def _score(service: Service, body: ScoreBody, send: Send) -> None:
    await _send(await service.score(body), send)


class _Turn:
    """Handle one kind of request: take a turn, read the body, and stop the work if the client disconnects."""

    def __init__(self, service: Service, kind: type[Any], work: Callable[[Service, Any, Send], Awaitable[None]]) -> None:
        self._service, self._kind, self._work = service, kind, work

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        seconds = self._service.limits.seconds
        with self._service.turn():
            content = await _content(Request(scope, receive), seconds)
            body = parse_body(self._kind, content, marks=LONGEST_TEXT + 100)
            try:
                async with asyncio.timeout(seconds + GRACE):
                    await _while_awaited(self._work(self._service, body, send), receive)
            except TimeoutError:  # the work keeps its own time limit, so the client is too slow
                raise Gone from None


async def _content(request: Request, seconds: float) -> bytes:
    """Return the body of a request. Raises RefusedError if it is too large or too slow, and Gone if the client disconnects."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_BODY:
                    raise RefusedError(413, f"the body is larger than {LARGEST_BODY:,} bytes, the limit")
                parts.append(part)
    except TimeoutError:
        raise RefusedError(408, f"the request was not complete after {seconds:g} seconds") from None
    except ClientDisconnect:
        raise Gone from None
    return b"".join(parts)


async def _while_awaited(work: Awaitable[None], receive: Receive) -> None:
    """Do some work until it is done. Raises Gone if the client disconnects before."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        await working
    finally:
        for one in (working, waiting):
            one.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(answer: Any, send: Send) -> None:
    await _json(answer)({"type": "http"}, None, send)


async def _send_events(events: AsyncIterator[Any], send: Send) -> None:
    """Send server-sent events as they come."""
    event = await anext(events)  # raises if the request is refused
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(_event(event))
    async for event in events:
        await send(_event(event))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _event(value: Any) -> dict[str, Any]:
    return {"type": "http.response.body", "body": b"data: " + _plain(value) + b"\n\n", "more_body": True}


def _json(value: Any, status: int = 200) -> Response:
    return Response(_plain(value), status, media_type="application/json")


def _plain(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")  # with escapes, since half a surrogate pair is not UTF-8


# These are coroutines because Starlette runs other functions in threads.
async def _refusal(request: Request, error: Exception) -> Response:
    """Return the response for an error."""
    status = error.status if isinstance(error, RefusedError) else getattr(error, "status_code", 422)
    sentence = in_keywords(error.message) if isinstance(error, ChargenError) else getattr(error, "detail", str(error))
    response = _json({"error": sentence}, status)
    if status in (429, 503):
        response.headers["Retry-After"] = "1"
    return response


async def _failure(request: Request, error: Exception) -> Response:
    return _json({"error": "internal error"}, 500)


class Server(uvicorn.Server):
    """Serve until a signal arrives; then stop running requests within GRACE seconds."""

    def __init__(self, service: Service, application: Doorkeeper) -> None:
        self._service, self.interrupted = service, False
        super().__init__(
            uvicorn.Config(
                application,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE,
            )
        )

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._service.ending, self.interrupted = True, sig == signal.SIGINT
        super().handle_exit(sig, frame)


def serve(model: TextModel, limits: Limits, address: Address, *, log: Callable[[str], None], verbose: bool = False) -> None:
    """Serve a model until Ctrl-C or SIGTERM, which then have their usual effect."""
    for name in ("uvicorn", "asyncio"):  # which would log tracebacks of disconnected clients
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    service = Service(model, limits)
    server = Server(service, make_app(service, address, log=log, verbose=verbose))
    try:
        server.run(sockets=[address.listener])
    finally:
        service.close()
    if server.interrupted:  # Python may ignore Ctrl-C, as for background jobs of a script
        raise KeyboardInterrupt
