"""Answer the clients of a server: plain values, computed in threads, slice by slice."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.words import WordVocabulary
from chargen.export.single_page import ServedPage, make_served_page
from chargen.network.model_file import TextModel
from chargen.serving.bodies import CompletionBody, NextBody, ScoreBody
from chargen.serving.jobs import Drawn, Job, Reading, SharedModel, Weighing, Writing, pieces_of
from chargen.serving.model_card import describe_model
from chargen.writing.prompt import Prompt, read_prompt
from chargen.writing.sampling import Sampler

LONGEST_TEXT = 20_000  # characters, or token ids
THREADS = 4

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a client may ask for."""

    length: int = 10_000  # characters that a request has written
    concurrent: int = 100  # requests that read or write at a time
    seconds: float = 30.0  # that a request may take


class RefusedError(Exception):
    """A request that is not done, with the HTTP status that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Place(NamedTuple):
    """A model as it writes for a label, and the text that it is to read."""

    model: TextModel
    prompt: Prompt


class Service:
    """A model and the threads that work with it. Once it is `ending`, all work ends with its slice.

    Every answer raises RefusedError, or ChargenError, for what cannot be done.
    """

    def __init__(self, model: TextModel, limits: Limits) -> None:
        self.model, self.limits = model, limits
        self.working = 0  # requests that read or write
        self.ending = False
        described = describe_model(model)
        told = {"length": limits.length, "text": LONGEST_TEXT}
        self.card = described.card | {"limits": told | {"concurrent": limits.concurrent, "seconds": limits.seconds}}
        self.page: ServedPage = make_served_page(described.for_page | {"limits": told})
        self._shared = SharedModel(model)
        self._known = set("".join(model.vocabulary))
        self._threads = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), thread_name_prefix="chargen")

    def close(self) -> None:
        """Let go of the threads."""
        self.ending = True
        self._threads.shutdown()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Count a request among those at work within. Raises RefusedError if there are too many."""
        if self.working >= self.limits.concurrent:
            raise RefusedError(429, f"{self.working} requests are being answered, which is the most; try again soon")
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1

    async def complete(self, body: CompletionBody) -> dict[str, Any]:
        """Return a text written on, whole."""
        if body.top or body.every:
            raise RefusedError(422, "top and every are for streams, stream is false")
        job, told = await self._writing(body)
        parts = [told.text(drawn) async for drawn in self._slices(job)]
        return {"prompt": told.prompt.text, "text": "".join([*parts, job.rest()]), "stopped": job.stopped}

    async def stream(self, body: CompletionBody) -> AsyncIterator[dict[str, Any]]:
        """Yield a text as it is written on, at last why it stopped. What is refused is so before the first event."""
        job, told = await self._writing(body)
        stopped = None
        try:
            async for drawn in self._slices(job, most=body.every):
                if drawn:
                    yield told.tokens(drawn, body.temperature, body.top) if body.top else {"text": told.text(drawn)}
        except RefusedError:
            stopped = "server" if self.ending else "time"
        if not body.top and (rest := job.rest()):
            yield {"text": rest}
        yield {"stopped": stopped or job.stopped}

    async def next(self, body: NextBody) -> dict[str, Any]:
        """Return what may follow a text."""
        place = await self._in_thread(self._place, body)
        job = Reading(self._shared, place.model, place.prompt.ids, given=body.given)
        async for _ in self._slices(job):
            pass
        return {"text": place.prompt.text, "next": job.best(body.temperature, body.top)}

    async def score(self, body: ScoreBody) -> dict[str, Any]:
        """Return the bits of each character of a text."""
        model, prompt = await self._in_thread(self._place, body)
        ids = prompt.ids
        bits = [bits async for found in self._slices(Weighing(self._shared, model, ids)) for (bits,) in found]
        text = body.text if body.on_unknown == "error" else self.model.vocabulary.decode(ids)
        pieces = _joined(pieces_of(self._shared, prompt.begun, ids), bits)
        return {
            "text": text,
            "pieces": pieces,
            "bits": sum(cost for _, cost in pieces if cost is not None),
            "ids": ids.tolist(),
            "unknown": self._unknown(body),
        }

    def _unknown(self, body: ScoreBody) -> list[str]:
        """Return the characters of a text that are left out, or the words that are unknown, each once."""
        vocabulary = self.model.vocabulary
        if isinstance(vocabulary, WordVocabulary):
            return vocabulary.unknown_words(body.text)
        if body.on_unknown != "skip" or vocabulary.kind == "byte":
            return []
        return [one for one in dict.fromkeys(body.text) if one not in self._known]

    async def _writing(self, body: CompletionBody) -> tuple[Writing, "_Told"]:
        """Return what writes a text on, and what tells of it."""
        if body.length > self.limits.length:
            raise RefusedError(422, f"length is {body.length}, expected {self.limits.length} or less")
        sampler = Sampler(temperature=body.temperature, top_k=body.top_k, top_p=body.top_p)
        place = await self._in_thread(self._place, body)
        job = Writing(
            self._shared,
            place.model,
            place.prompt.ids,
            given=body.given,
            spaced=place.prompt.spaced,
            length=body.length,
            sampler=sampler,
            random_seed=body.random_seed,
            weighs=body.top is not None,
            again=body.again,
        )
        return job, _Told(job, self._shared, place.prompt, self._beginning(place.prompt, body) if body.again else "")

    def _beginning(self, prompt: Prompt, body: CompletionBody) -> str:
        """Return what stands between a text's end and the next text, which begins as the first one did."""
        begins = prompt.text if body.given is None else self.model.vocabulary.decode(prompt.ids[: body.given])
        return f"\n{begins}"

    def _place(self, body: CompletionBody | NextBody | ScoreBody) -> Place:
        """Return what is to be read. Raises RefusedError, and UnknownTokenError for what the model does not know."""
        text, given = body.text, getattr(body, "given", None)
        ids = np.array(getattr(body, "ids", ()), np.intp)
        if len(ids) and text:
            raise RefusedError(422, "there are ids and a text, expected one of them")
        if max(len(text), len(ids)) > LONGEST_TEXT:
            raise RefusedError(413, f"the text is {max(len(text), len(ids)):,} long, expected {LONGEST_TEXT:,} or less")
        if len(ids) and ids.max() >= len(self.model.vocabulary):
            raise RefusedError(422, f"there is no token {ids.max()}, expected less than {len(self.model.vocabulary)}")
        prompt = Prompt(self.model.vocabulary.decode(ids), ids) if len(ids) else self._read(text, body)
        if given is not None and given > len(prompt.ids):
            raise RefusedError(422, f"given is {given}, of {len(prompt.ids)} ids")
        return Place(self._labelled(body.label), prompt)

    def _read(self, text: str, body: CompletionBody | NextBody | ScoreBody) -> Prompt:
        measures = isinstance(body, ScoreBody) and self.model.vocabulary.kind == "word" and body.on_unknown == "error"
        on_unknown = "nearest" if measures else body.on_unknown  # an unknown word has no bits, the others have
        return read_prompt(self.model.vocabulary, text, on_unknown=on_unknown)

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


class _Told:
    """What is told of drawn tokens. between: what is put between a text's end and the next text."""

    def __init__(self, job: Writing, shared: SharedModel, prompt: Prompt, between: str) -> None:
        self._job, self._names, self._between, self.prompt = job, shared.names, between, prompt

    def text(self, drawn: list[Drawn]) -> str:
        """Return the text of tokens; what is not a whole character yet comes with the next."""
        return "".join(one.text + (self._between if one.id == BOUNDARY else "") for one in drawn)

    def tokens(self, drawn: list[Drawn], temperature: float, top: int) -> dict[str, Any]:
        """Return tokens by id, name and bits, and what may come next."""
        return {
            "tokens": [[one.id, self._names[one.id], one.bits] for one in drawn],
            "next": self._job.best(temperature, top),
        }


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
