"""Answer the requests of clients: compute plain values in threads, slice by slice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.words import WordVocabulary
from chargen.export.single_page import ServedPage, make_served_page
from chargen.network.model_file import TextModel
from chargen.serving.bodies import CompletionBody, NextBody, ScoreBody
from chargen.serving.jobs import Drawn, Job, Reading, SharedModel, Weighing, Writing, generator_of, pieces_of
from chargen.serving.limits import LONGEST_TEXT, Limits, RefusedError
from chargen.serving.model_card import describe_model
from chargen.serving.stop_before import StopBefore
from chargen.serving.turns import share_turn
from chargen.serving.workers import Workers
from chargen.writing.generation import Continuation
from chargen.writing.prompt import Prompt, read_prompt
from chargen.writing.request import most_tries
from chargen.writing.sampling import make_sampler
from chargen.writing.selection import MAX_REPEATS, Constraints, IsNew, Selection

Outcome = TypeVar("Outcome")
Novelty = Callable[[int], IsNew]


class Place(NamedTuple):
    """Hold a model, set to a label, and the text to read."""

    model: TextModel
    prompt: Prompt


class Service:
    """Run a model in threads. Once it is `ending`, all work stops after its slice.

    novelty: returns by copy_length the function that recognises new texts; None without the corpus. Each answer raises
    RefusedError, or ChargenError, for an invalid request.
    """

    def __init__(self, model: TextModel, limits: Limits, workers: Workers, novelty: Novelty | None = None) -> None:
        self.model, self.limits = model, limits
        self._novelty = novelty
        self.ending = False
        described = describe_model(model)
        told = {"length": limits.length, "text": LONGEST_TEXT}
        self.card = described.card | {"limits": told | {"concurrent": limits.concurrent, "seconds": limits.seconds}}
        self.page: ServedPage = make_served_page(described.for_page | {"limits": told})
        self._shared = SharedModel(model)
        self._known = set("".join(model.vocabulary))
        self._workers = workers

    async def complete(self, body: CompletionBody) -> dict[str, Any]:
        """Return a whole continuation."""
        if body.top or body.every:
            raise RefusedError(422, "top and every need stream: true")
        several = body.count is not None
        selection = await self._selection(body)
        selects = selection.constraints.selects
        tries = most_tries(body.options, selection.count, by_line=self.model.reading == "line")
        rng = generator_of(body.random_seed, body.drawn)
        deadline = asyncio.get_running_loop().time() + self.limits.seconds
        while not selection.done and selection.tried < (tries if selects else max(tries, selection.count)):
            job, told = await self.writing(body, rng)
            text = await self._whole(job, told, StopBefore(body.stop), deadline)
            selection.add(Continuation(text, job.stopped or "until"))
        found = selection.result()
        if several:
            return {"prompt": told.prompt.text, "texts": [one.text for one in found], "stopped": [one.stopped for one in found]}
        return {"prompt": told.prompt.text, "text": found[0].text, "stopped": found[0].stopped}

    async def _selection(self, body: CompletionBody) -> Selection:
        """Return what collects the texts. Raises ConfigError if no text can satisfy the constraints."""
        options, count = body.options, body.count or 1
        is_new = await self._in_thread(self._is_new, body.copy_length) if body.novel else None
        constraints = Constraints(options, is_new)
        place = await self._in_thread(self._place, body)
        sampler = make_sampler(body, self.model.vocabulary)
        constraints.check(place.model, place.prompt.text, sampler.banned)
        distinct = self.model.reading == "line" and count > 1 if body.distinct is None else body.distinct
        return Selection(
            place.prompt.text,
            constraints,
            count,
            distinct=distinct,
            fewer=body.distinct is None,
            most_repeats=MAX_REPEATS,
        )

    def _is_new(self, copy_length: int) -> IsNew:
        if self._novelty is None:
            raise RefusedError(422, "novel needs the corpus of the model, which this server does not have")
        return self._novelty(copy_length)

    async def _whole(self, job: Writing, told: "_Told", stop: StopBefore, deadline: float) -> str:
        """Return the whole text of a job. Raises RefusedError after the deadline."""
        text = ""
        async for drawn in self.slices(job, deadline=deadline):
            text += stop.cut(told.text(drawn))
            if stop.found:
                job.stopped = "until"
                return text
        return text + stop.cut(job.rest()) + stop.rest()

    async def stream(self, body: CompletionBody) -> AsyncIterator[dict[str, Any]]:
        """Yield a continuation as it is written, and last why it stopped. Errors are raised before the first event."""
        if body.count is not None or body.max_length is not None or body.must_contain or body.novel:
            raise RefusedError(422, "count, max_length, must_contain and novel need stream: false")
        if body.stop and body.top:
            raise RefusedError(422, "stop and top exclude each other")
        await self._selection(body)  # which checks min_length
        job, told = await self.writing(body, generator_of(body.random_seed, body.drawn))
        stopped, stop = None, StopBefore(body.stop)
        try:
            async for drawn in self.slices(job, most=body.every):
                if drawn and body.top:
                    yield told.tokens(drawn, body.temperatures[0], body.top)
                elif drawn:
                    yield {"text": stop.cut(told.text(drawn))}
                if stop.found:
                    break
        except RefusedError:
            stopped = "server" if self.ending else "time"
        if not body.top and not stop.found and (rest := stop.cut(job.rest()) + stop.rest()):
            yield {"text": rest}
        yield {"stopped": stopped or ("until" if stop.found else job.stopped)}

    async def next(self, body: NextBody) -> dict[str, Any]:
        """Return the probable next tokens of a text."""
        place = await self._in_thread(self._place, body)
        job = Reading(self._shared, place.model, place.prompt.ids, given=body.given)
        async for _ in self.slices(job):
            pass
        return {"text": place.prompt.text, "next": job.best(body.temperature, body.top)}

    async def score(self, body: ScoreBody) -> dict[str, Any]:
        """Return the bits of each character of a text."""
        model, prompt = await self._in_thread(self._place, body)
        ids = prompt.ids
        bits = [bits async for found in self.slices(Weighing(self._shared, model, ids)) for (bits,) in found]
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
        """Return the skipped characters of a text, or its unknown words, each once."""
        vocabulary = self.model.vocabulary
        if isinstance(vocabulary, WordVocabulary):
            return vocabulary.unknown_words(body.text)
        if body.on_unknown != "skip" or vocabulary.kind == "byte":
            return []
        return [one for one in dict.fromkeys(body.text) if one not in self._known]

    async def writing(self, body: CompletionBody, rng: np.random.Generator) -> tuple[Writing, "_Told"]:
        """Return the job that continues a text, and the formatter of its results."""
        sampler = make_sampler(body, self.model.vocabulary)
        place = await self._in_thread(self._place, body)
        length = Constraints(body.options).length_after(place.prompt.begun)
        if length > self.limits.length:
            name = "length" if body.max_length is None else "max_length"
            raise RefusedError(422, f"{name} is {getattr(body, name) or length}, expected {self.limits.length} or less")
        job = Writing(
            self._shared,
            place.model,
            place.prompt.ids,
            given=body.given,
            spaced=place.prompt.spaced,
            length=length,
            min_length=max(body.min_length - len(place.prompt.begun), 0),
            until=body.until,
            sampler=sampler,
            rng=rng,
            weighs=body.top is not None,
            again=body.again,
        )
        return job, _Told(job, self._shared, place.prompt, self._beginning(place.prompt, body) if body.again else "")

    def _beginning(self, prompt: Prompt, body: CompletionBody) -> str:
        """Return the text between the end of a text and the next one, which begins as the first did."""
        begins = prompt.text if body.given is None else self.model.vocabulary.decode(prompt.ids[: body.given])
        return f"\n{begins}"

    def _place(self, body: CompletionBody | NextBody | ScoreBody) -> Place:
        """Return the text to read. Raises RefusedError, and UnknownTokenError for unknown characters."""
        text, given = body.text, getattr(body, "given", None)
        ids = np.array(getattr(body, "ids", ()), np.intp)
        if len(ids) and text:
            raise RefusedError(422, "got both ids and a text, expected one of them")
        if max(len(text), len(ids)) > LONGEST_TEXT:
            raise RefusedError(413, f"the text has {max(len(text), len(ids)):,} tokens, expected {LONGEST_TEXT:,} or less")
        if len(ids) and ids.max() >= len(self.model.vocabulary):
            raise RefusedError(422, f"no token {ids.max()}, expected less than {len(self.model.vocabulary)}")
        prompt = Prompt(self.model.vocabulary.decode(ids), ids) if len(ids) else self._read(text, body)
        if given is not None and given > len(prompt.ids):
            raise RefusedError(422, f"given is {given}, of {len(prompt.ids)} ids")
        return Place(self._labelled(body.label), prompt)

    def _read(self, text: str, body: CompletionBody | NextBody | ScoreBody) -> Prompt:
        measures = isinstance(body, ScoreBody) and self.model.vocabulary.kind == "word" and body.on_unknown == "error"
        on_unknown = "nearest" if measures else body.on_unknown  # so that an unknown word has no bits, but the others have
        return read_prompt(self.model.vocabulary, text, on_unknown=on_unknown)

    def _labelled(self, label: str | None) -> TextModel:
        known = self.model.vocabulary.labels
        if label is None and known:
            raise RefusedError(422, f"the model needs a label, choose one of {', '.join(known)}")
        return self.model if label is None else self.model.with_label(label)

    async def slices(self, job: Job, most: int | None = None, *, deadline: float | None = None) -> AsyncIterator[list[Any]]:
        """Run a job and yield the results of each slice. Raises RefusedError at its time limit, or when the server stops."""
        loop = asyncio.get_running_loop()
        deadline = deadline or loop.time() + self.limits.seconds
        while not job.done:
            if loop.time() > deadline:
                raise RefusedError(503, f"the request took longer than {self.limits.seconds:g} seconds, the limit")
            await share_turn()
            yield await self._in_thread(job.advance, most, used=job.used)

    async def _in_thread(self, work: Callable[..., Outcome], *arguments: Any, used: float = 0.0) -> Outcome:
        if self.ending:
            raise RefusedError(503, "the server is stopping")
        return await self._workers.run(used, work, *arguments)


class _Told:
    """Format drawn tokens. between: the text between the end of a text and the next one."""

    def __init__(self, job: Writing, shared: SharedModel, prompt: Prompt, between: str) -> None:
        self._job, self._names, self._between, self.prompt = job, shared.names, between, prompt

    def text(self, drawn: list[Drawn]) -> str:
        """Return the text of tokens; an incomplete character comes with the next ones."""
        return "".join(one.text + (self._between if one.id == BOUNDARY else "") for one in drawn)

    def tokens(self, drawn: list[Drawn], temperature: float, top: int) -> dict[str, Any]:
        """Return tokens by id, name and bits, and the probable next tokens."""
        return {
            "tokens": [[one.id, self._names[one.id], one.bits] for one in drawn],
            "next": self._job.best(temperature, top),
        }


def _joined(pieces: list[str], bits: list[float | None]) -> list[tuple[str, float | None]]:
    """Return pieces with their bits; the bytes of a character are one piece."""
    joined: list[tuple[str, float | None]] = []
    waiting: float | None = 0.0
    for piece, cost in zip(pieces, bits, strict=True):
        waiting = None if waiting is None or cost is None else waiting + cost
        if piece:
            joined.append((piece, waiting))
            waiting = 0.0
    return joined
