"""Serve the writing page and a JSON API over HTTP, for `chargen serve`.

Each error is one sentence in JSON.
"""

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from chargen.errors import ChargenError
from chargen.network.model_file import TextModel
from chargen.serving import openai_form
from chargen.serving.access import Access
from chargen.serving.bodies import CompletionBody, NextBody, ScoreBody, parse_body
from chargen.serving.connections import Connections, bounded_by, most_connections
from chargen.serving.doorkeeper import Doorkeeper, Gone, Receive, Send
from chargen.serving.limits import LARGEST_BODY, LONGEST_TEXT, Limits, RefusedError
from chargen.serving.metrics import Metrics
from chargen.serving.openapi import describe_api
from chargen.serving.service import Novelty, Service
from chargen.serving.turns import Turn, Turns
from chargen.serving.workers import Workers
from chargen.settings.keyword_errors import in_keywords

BODY_SECONDS = 5.0  # for the body of a request to arrive
GRACE = 2  # seconds for a client to receive its answer after the time limit, or when the server stops
CLOSE = {"Connection": "close"}  # for a request whose body is not read

Work = Callable[[Service, Any, Send], Awaitable[None]]
Reader = Callable[[bytes], Any]


class Site:
    """The models of a server, by name, and the turns of their requests. The first model is also at the root."""

    def __init__(
        self,
        models: Sequence[tuple[str, TextModel]],
        limits: Limits,
        novelty: Mapping[str, Novelty] = MappingProxyType({}),
    ) -> None:
        self.limits, self.turns, self.metrics = limits, Turns(limits), Metrics()
        self._workers = Workers()
        self.services = {name: Service(model, limits, self._workers, novelty.get(name)) for name, model in models}

    @property
    def first(self) -> Service:
        """The model at the root."""
        return next(iter(self.services.values()))

    def stop(self) -> None:
        """Let all work stop after its slice."""
        for service in self.services.values():
            service.ending = True

    def close(self) -> None:
        """Stop all work and the threads."""
        self.stop()
        self._workers.close()


def make_app(site: Site, access: Access, *, log: Callable[[str], None], verbose: bool = False) -> Doorkeeper:
    """Return the ASGI application of a site, which logs internal errors and, if verbose, requests."""
    handlers: dict[Any, Any] = dict.fromkeys([RefusedError, ChargenError, HTTPException], _refusal)
    cors = Middleware(
        CORSMiddleware,
        allow_origins=access.origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
    )
    application = Starlette(
        routes=_routes(site), middleware=[cors] if access.origins else [], exception_handlers=handlers | {Exception: _failure}
    )
    return Doorkeeper(application, access, log, verbose=verbose, count=site.metrics.count)


def _routes(site: Site) -> list[BaseRoute]:
    """Return the routes: the first model at the root, each model by its name, and what is about the server."""
    return [
        *_routes_of(site, site.first),
        *(Mount(f"/models/{name}", routes=_routes_of(site, service)) for name, service in site.services.items()),
        Route("/v1/models", _json(openai_form.models(site.services)), methods=["GET"]),
        Route("/v1/completions", _Turn(site, site.first, openai_form.reader(site.services), _openai), methods=["POST"]),
        Route("/favicon.ico", Response(status_code=204), methods=["GET"]),
        Route("/health", _json({"status": "ok"}), methods=["GET"]),
        Route("/metrics", _measured(site), methods=["GET"]),
        Route("/openapi.json", _json(describe_api(list(site.services))), methods=["GET"]),
    ]


def _routes_of(site: Site, service: Service) -> list[BaseRoute]:
    policy = f"{service.page.policy}; frame-ancestors 'none'"  # which a page cannot set itself
    page = Response(service.page.html, media_type="text/html", headers={"Content-Security-Policy": policy})
    return [
        Route("/", page, methods=["GET"]),
        Route("/api/model", _json(service.card), methods=["GET"]),
        Route("/api/complete", _Turn(site, service, _body(CompletionBody), _complete), methods=["POST"]),
        Route("/api/next", _Turn(site, service, _body(NextBody), _next), methods=["POST"]),
        Route("/api/score", _Turn(site, service, _body(ScoreBody), _score), methods=["POST"]),
    ]


def _body(kind: type[Any]) -> Reader:
    return lambda content: parse_body(kind, content, marks=LONGEST_TEXT + 100)


async def _complete(service: Service, body: CompletionBody, send: Send) -> None:
    if body.stream:
        await _send_events(service.stream(body), send)
    else:
        await _send(await service.complete(body), send)


async def _next(service: Service, body: NextBody, send: Send) -> None:
    await _send(await service.next(body), send)


async def _score(service: Service, body: ScoreBody, send: Send) -> None:
    await _send(await service.score(body), send)


async def _openai(_: Service, body: openai_form.Asked, send: Send) -> None:
    if body.stream:
        await _send_events(openai_form.stream(body), send, last="[DONE]")
    else:
        await _send(await openai_form.complete(body), send)


def _measured(site: Site) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(site.metrics.text(site.turns), media_type=site.metrics.media_type)

    return answer


class _Turn:
    """Handle one kind of request: read the body, take a turn, and stop the work if the client disconnects."""

    def __init__(self, site: Site, service: Service, reader: Reader, work: Work) -> None:
        self._site, self._service, self._reader, self._work = site, service, reader, work

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        seconds = self._site.limits.seconds
        body = self._reader(await _content(Request(scope, receive), min(seconds, BODY_SECONDS)))
        async with self._site.turns.turn() as turn:
            try:
                async with asyncio.timeout(seconds + GRACE):
                    await _while_awaited(self._done(body, turn, send), receive)
            except TimeoutError:  # the work keeps its own time limit, so the client is too slow
                raise Gone from None

    async def _done(self, body: Any, turn: Turn, send: Send) -> None:
        await self._work(self._service, body, turn.patient(send))


async def _content(request: Request, seconds: float) -> bytes:
    """Return the body of a request. Raises RefusedError if it is too large or too slow, and Gone if the client disconnects."""
    declared = request.headers.get("content-length", "0")
    parts, size = [], 0
    if declared.isdecimal() and int(declared) > LARGEST_BODY:
        raise _too_large()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_BODY:
                    raise _too_large()
                parts.append(part)
    except TimeoutError:
        raise RefusedError(408, f"the request was not complete after {seconds:g} seconds") from None
    except ClientDisconnect:
        raise Gone from None
    return b"".join(parts)


def _too_large() -> RefusedError:
    return RefusedError(413, f"the body is larger than {LARGEST_BODY:,} bytes, the limit")


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


async def _send_events(events: AsyncIterator[Any], send: Send, *, last: str = "") -> None:
    """Send server-sent events as they come; last: the text of an event at the end."""
    event = await anext(events)  # raises if the request is refused
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]  # nginx must not wait
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(_event(_plain(event)))
    async for event in events:
        await send(_event(_plain(event)))
    if last:
        await send(_event(last.encode("ascii")))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _event(content: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": b"data: " + content + b"\n\n", "more_body": True}


def _json(value: Any, status: int = 200) -> Response:
    return Response(_plain(value), status, media_type="application/json")


def _plain(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")  # with escapes, since half a surrogate pair is not UTF-8


# These are coroutines because Starlette runs other functions in threads.
async def _refusal(request: Request, error: Exception) -> Response:
    """Return the response for an error."""
    status = error.status if isinstance(error, RefusedError) else getattr(error, "status_code", 422)
    sentence = in_keywords(error.message) if isinstance(error, ChargenError) else getattr(error, "detail", str(error))
    openai = request.url.path.startswith("/v1/")
    response = _json({"error": openai_form.error(sentence, status) if openai else sentence}, status)
    if status in (429, 503):
        response.headers["Retry-After"] = "1"
    if status in (408, 413):
        response.headers.update(CLOSE)
    return response


async def _failure(request: Request, error: Exception) -> Response:
    return _json({"error": "internal error"}, 500)


class Server(uvicorn.Server):
    """Serve until a signal arrives; then stop running requests within GRACE seconds."""

    def __init__(self, site: Site, application: Doorkeeper, *, most: int | None = None) -> None:
        self._site, self.interrupted = site, False
        self.counted = Connections(most or most_connections())
        super().__init__(
            uvicorn.Config(
                application,
                loop="asyncio",
                http=bounded_by(self.counted),
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
        self._site.stop()
        self.interrupted = sig == signal.SIGINT
        super().handle_exit(sig, frame)


def serve(
    models: Sequence[tuple[str, TextModel]],
    limits: Limits,
    access: Access,
    *,
    log: Callable[[str], None],
    verbose: bool = False,
    novelty: Mapping[str, Novelty] = MappingProxyType({}),
) -> None:
    """Serve models until Ctrl-C or SIGTERM, which then have their usual effect. novelty: of some models, by name."""
    for name in ("uvicorn", "asyncio"):  # which would log tracebacks of disconnected clients
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    site = Site(models, limits, novelty)
    server = Server(site, make_app(site, access, log=log, verbose=verbose))
    try:
        server.run(sockets=[access.address.listener])
    finally:
        site.close()
    if server.interrupted:  # Python may ignore Ctrl-C, as for background jobs of a script
        raise KeyboardInterrupt
