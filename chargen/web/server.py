"""The server of `chargen serve`: the page to write with and a JSON API, for many clients at once.

The event loop speaks with clients, a few threads work for them in slices (`chargen.web.jobs`). Whatever is refused is one
sentence in JSON.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from chargen.corpus.vocabulary import BOUNDARY
from chargen.errors import ChargenError
from chargen.network.model_file import TextModel
from chargen.network.prediction import TokenIds
from chargen.network.sampling import Sampler
from chargen.web.address import Address
from chargen.web.bodies import CompletionBody, NextBody, ScoreBody, parse_body
from chargen.web.doorkeeper import Doorkeeper, Gone, Receive, Send
from chargen.web.jobs import Decoder, Drawn, Job, Reading, SharedModel, Weighing, Writing, pieces_of
from chargen.web.model_card import describe_model
from chargen.web.single_page import make_served_page

LARGEST_BODY = 1 << 18  # bytes
LONGEST_TEXT = 20_000  # characters, or token ids
THREADS = 4
GRACE = 2  # seconds for a client to take what it asked for, after its time is over or the server ends

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a client may ask for."""

    length: int = 10_000  # tokens that a request has written
    concurrent: int = 100  # requests that read or write at a time
    seconds: float = 30.0  # that a request may take


class RefusedError(Exception):
    """A request that is not done, with the status that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Place(NamedTuple):
    """A model as it writes for a label, and the text that it is to read."""

    model: TextModel
    ids: TokenIds


class Service:
    """What is done with a model for clients. Once it is `ending`, all work ends with its slice."""

    def __init__(self, model: TextModel, limits: Limits) -> None:
        self.model, self.limits = model, limits
        self.working = 0  # requests that read or write
        self._shared = SharedModel(model)
        self._known = set("".join(model.vocabulary))
        self._threads = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), thread_name_prefix="chargen")
        self.ending = False
        described = describe_model(model)
        told = {"length": limits.length, "text": LONGEST_TEXT}
        self._card = described.card | {"limits": told | {"concurrent": limits.concurrent, "seconds": limits.seconds}}
        self._page = make_served_page(described.for_page | {"limits": told})

    def close(self) -> None:
        """Let go of the threads."""
        self.ending = True
        self._threads.shutdown()

    def routes(self) -> list[Route]:
        """Return what there is to be asked for."""
        return [
            Route("/", self._send_page),
            Route("/favicon.ico", self._send_nothing),
            Route("/api/model", self._send_card),
            Route("/api/complete", _Turn(self, CompletionBody, self._complete), methods=["POST"]),
            Route("/api/next", _Turn(self, NextBody, self._next), methods=["POST"]),
            Route("/api/score", _Turn(self, ScoreBody, self._score), methods=["POST"]),
        ]

    async def _send_page(self, request: Request) -> Response:
        policy = f"{self._page.policy}; frame-ancestors 'none'"  # which a page cannot say by itself
        return Response(self._page.html, media_type="text/html", headers={"Content-Security-Policy": policy})

    async def _send_nothing(self, request: Request) -> Response:
        return Response(status_code=204)

    async def _send_card(self, request: Request) -> Response:
        return _json(self._card)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Count a request among those at work within. Raises RefusedError if there are too many."""
        if self.working >= self.limits.concurrent:
            raise RefusedError(429, f"{self.working} requests are being answered, no more are taken on, try again soon")
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1

    async def _complete(self, body: CompletionBody, send: Send) -> None:
        if body.length > self.limits.length:
            raise RefusedError(422, f"length is {body.length}, expected {self.limits.length} or less")
        if not body.stream and (body.top or body.every):
            raise RefusedError(422, "top and every are for streams, stream is false")
        sampler = Sampler(temperature=body.temperature, top_k=body.top_k, top_p=body.top_p)
        place = await self._in_thread(self._place, body)
        options = {"given": body.given, "length": body.length, "random_seed": body.random_seed, "again": body.again}
        job = Writing(self._shared, *place, sampler=sampler, weighs=body.top is not None, **options)
        prompt = self.model.vocabulary.decode(place.ids)
        if body.stream:
            await self._stream(job, body, self._begins(body, place), send)
            return
        told = _Told(job, self._shared, self._begins(body, place))
        parts = [told.text(drawn) async for drawn in self._slices(job)]
        text = "".join([*parts, told.rest()])
        await _respond(_json({"prompt": prompt, "text": text, "stopped": _why(job)}), send)

    def _begins(self, body: CompletionBody, place: Place) -> str | None:
        """Return what another text begins with after an end, if there is to be one."""
        return self.model.vocabulary.decode(place.ids[: body.given]) if body.again else None

    async def _stream(self, job: Writing, body: CompletionBody, begins: str | None, send: Send) -> None:
        """Send what is written as server-sent events, the last of which says why it stopped."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        told = _Told(job, self._shared, begins)
        stopped = None
        try:
            async for drawn in self._slices(job, most=body.every):
                event = told.tokens(drawn, body.temperature, body.top) if body.top else {"text": told.text(drawn)}
                if drawn:
                    await send(_event(event))
        except RefusedError:  # which can only be said by the last event now
            stopped = "server" if self.ending else "time"
        if not body.top and (rest := told.rest()):
            await send(_event({"text": rest}))
        await send(_event({"stopped": stopped or _why(job)}))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self, body: NextBody, send: Send) -> None:
        place = await self._in_thread(self._place, body)
        job = Reading(self._shared, *place, given=body.given)
        async for _ in self._slices(job):
            pass
        answer = {"text": self.model.vocabulary.decode(place.ids), "next": job.best(body.temperature, body.top)}
        await _respond(_json(answer), send)

    async def _score(self, body: ScoreBody, send: Send) -> None:
        place = await self._in_thread(self._place, body)
        job = Weighing(self._shared, *place)
        bits = [bits async for found in self._slices(job) for (bits,) in found]
        text = body.text if body.on_unknown == "error" else self.model.vocabulary.decode(place.ids)
        pieces = _joined(pieces_of(self._shared, text, place.ids), bits)
        known = [one for _, one in pieces if one is not None]
        answer = {
            "text": text,
            "pieces": pieces,
            "bits": sum(known),
            "ids": place.ids.tolist(),
            "unknown": self._unknown(body.text) if body.on_unknown == "skip" else [],
        }
        await _respond(_json(answer), send)

    def _unknown(self, text: str) -> list[str]:
        """Return the characters of a text that are left out, each once."""
        if self.model.vocabulary.kind not in ("character", "bpe"):
            return []
        return [one for one in dict.fromkeys(text) if one not in self._known]

    def _place(self, body: CompletionBody | NextBody | ScoreBody) -> Place:
        """Return what is to be read. Raises RefusedError, and UnknownTokenError for what the model does not know."""
        text, given = body.text, getattr(body, "given", None)
        ids: TokenIds = np.array(getattr(body, "ids", ()), np.intp)
        if len(ids) and text:
            raise RefusedError(422, "there are ids and a text, expected one of them")
        if max(len(text), len(ids)) > LONGEST_TEXT:
            raise RefusedError(413, f"the text is {max(len(text), len(ids)):,} long, expected {LONGEST_TEXT:,} or less")
        if len(ids) and ids.max() >= len(self.model.vocabulary):
            raise RefusedError(422, f"there is no token {ids.max()}, expected less than {len(self.model.vocabulary)}")
        try:
            ids = ids if len(ids) else self.model.vocabulary.encode(text, on_unknown=body.on_unknown)
        except UnicodeEncodeError:
            raise RefusedError(422, "the text holds half of a surrogate pair, which is no character") from None
        if given is not None and given > len(ids):
            raise RefusedError(422, f"given is {given}, of {len(ids)} ids")
        return Place(self._labelled(body.label), ids)

    def _labelled(self, label: str | None) -> TextModel:
        known = self.model.vocabulary.labels
        if label is None and known:
            raise RefusedError(422, f"the model writes in several ways, choose a label from {', '.join(known)}")
        return self.model if label is None else self.model.with_label(label)

    async def _slices(self, job: Job, most: int | None = None) -> AsyncIterator[list[Any]]:
        """Do a job and yield what comes of each slice. Raises RefusedError when its time is over or the server ends."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.seconds
        while not job.done:
            if loop.time() > deadline:
                raise RefusedError(503, f"it takes longer than {self.limits.seconds:g} seconds, which is the most")
            yield await self._in_thread(job.advance, most)

    async def _in_thread(self, work: Callable[..., Outcome], *arguments: Any) -> Outcome:
        if self.ending:
            raise RefusedError(503, "the server is ending")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


class _Turn:
    """The way of a request to its work, as an ASGI application: its turn, its body, and an eye on whether anybody still waits."""

    def __init__(self, service: Service, kind: type[Any], work: Callable[[Any, Send], Awaitable[None]]) -> None:
        self._service, self._kind, self._work = service, kind, work

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        with self._service.turn():
            try:
                async with asyncio.timeout(self._service.limits.seconds + GRACE):
                    body = parse_body(self._kind, await _content(Request(scope, receive)), marks=LONGEST_TEXT + 100)
                    await _while_awaited(self._work(body, send), receive)
            except (TimeoutError, ClientDisconnect):  # work keeps to its time by itself: it is the client that does not go on
                raise Gone from None


async def _content(request: Request) -> bytes:
    """Return the body of a request. Raises RefusedError for one that is too large, and ClientDisconnect."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise RefusedError(413, f"the body is larger than {LARGEST_BODY:,} bytes, which is the most")
        parts.append(part)
    return b"".join(parts)


async def _while_awaited(work: Awaitable[None], receive: Receive) -> None:
    """Do some work until it is done or its client has gone. Raises ClientDisconnect then."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        await working
    finally:
        for one in (working, waiting):
            one.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Told:
    """What is told of drawn tokens. begins: what another text begins with, after an end."""

    def __init__(self, job: Writing, shared: SharedModel, begins: str | None) -> None:
        self._job, self._names = job, shared.names
        self._decode, self._between = Decoder(shared), "" if begins is None else f"\n{begins}"

    def text(self, drawn: list[Drawn]) -> str:
        """Return the text of tokens; what is not a whole character yet comes with the next."""
        return "".join(self._decode(one.id) + (self._between if one.id == BOUNDARY else "") for one in drawn)

    def rest(self) -> str:
        """Return what stands for a character that was not finished."""
        return self._decode.rest()

    def tokens(self, drawn: list[Drawn], temperature: float, top: int) -> dict[str, Any]:
        """Return tokens by id, name and bits, and what may come next."""
        return {
            "tokens": [[one.id, self._names[one.id], one.bits] for one in drawn],
            "next": self._job.best(temperature, top),
        }


def _why(job: Writing) -> str:
    return "end" if job.ended else "length"


def _joined(pieces: list[str], bits: list[float | None]) -> list[tuple[str, float | None]]:
    """Return pieces with their bits; those of a character's bytes as one."""
    joined: list[tuple[str, float | None]] = []
    waiting: float | None = 0.0
    for piece, cost in zip(pieces, bits, strict=True):
        waiting = None if waiting is None or cost is None else waiting + cost
        if piece:
            joined.append((piece, waiting))
            waiting = 0.0
    return joined


def _plain(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")  # with escapes, since half a surrogate pair is no UTF-8


def _json(value: Any, status: int = 200) -> Response:
    return Response(_plain(value), status, media_type="application/json")


def _event(value: Any) -> dict[str, Any]:
    return {"type": "http.response.body", "body": b"data: " + _plain(value) + b"\n\n", "more_body": True}


async def _respond(response: Response, send: Send) -> None:
    await response({"type": "http"}, None, send)


def _refusal(request: Request, error: Exception) -> Response:
    """Return what a client is told of an error."""
    status = error.status if isinstance(error, RefusedError) else getattr(error, "status_code", 422)
    sentence = error.message if isinstance(error, ChargenError) else getattr(error, "detail", str(error))
    response = _json({"error": sentence}, status)
    if status in (429, 503):
        response.headers["Retry-After"] = "1"
    return response


def _failure(request: Request, error: Exception) -> Response:
    return _json({"error": "internal error"}, 500)


def make_app(service: Service, address: Address, *, log: Callable[[str], None], verbose: bool = False) -> Doorkeeper:
    """Return the ASGI application of a service, which logs errors of ours and, if it is verbose, requests."""
    told: dict[Any, Any] = dict.fromkeys([RefusedError, ChargenError, HTTPException], _refusal)
    application = Starlette(routes=service.routes(), exception_handlers=told | {Exception: _failure})
    return Doorkeeper(application, address, log, verbose=verbose)


class Server(uvicorn.Server):
    """Serves a service until a signal comes; then what is under way ends within GRACE seconds."""

    def __init__(self, service: Service, application: Doorkeeper) -> None:
        self._service = service
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
        self._service.ending = True
        super().handle_exit(sig, frame)


def serve(model: TextModel, limits: Limits, address: Address, *, log: Callable[[str], None], verbose: bool = False) -> None:
    """Serve a model until Ctrl-C or SIGTERM, which go on from here as they would have without a server."""
    for name in ("uvicorn", "asyncio"):  # which would tell of clients that are gone, with tracebacks
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    service = Service(model, limits)
    try:
        Server(service, make_app(service, address, log=log, verbose=verbose)).run(sockets=[address.listener])
    finally:
        service.close()
