"""Answer requests in the form of OpenAI's completions API, so that existing clients work.

https://platform.openai.com/docs/api-reference/completions
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chargen.corpus.vocabulary import BOUNDARY
from chargen.serving.bodies import CompletionBody, OpenAiBody, parse_body
from chargen.serving.jobs import Drawn, Writing, generator_of
from chargen.serving.limits import LONGEST_TEXT, RefusedError
from chargen.serving.service import Service
from chargen.serving.stop_before import StopBefore

REASONS = {"end": "stop", "until": "stop", "length": "length"}
SHARED = ("temperature", "top_k", "top_p", "repetition_penalty", "label", "on_unknown")  # fields of both APIs
MARKS = LONGEST_TEXT + 1000  # commas and brackets of a body


@dataclass(frozen=True)
class Asked:
    """A request, and the model that it asks for."""

    name: str
    service: Service
    body: OpenAiBody

    @property
    def stream(self) -> bool:
        """Whether the answer comes piece by piece."""
        return self.body.stream

    @property
    def prompts(self) -> tuple[str, ...]:
        """The texts to continue."""
        return self.body.prompt or ("",)


def models(services: Mapping[str, Service]) -> dict[str, Any]:
    """Return the list of models."""
    started = int(time.time())
    rows = [{"id": name, "object": "model", "created": started, "owned_by": "chargen"} for name in services]
    return {"object": "list", "data": rows}


def error(sentence: str, status: int) -> dict[str, Any]:
    """Return an error as OpenAI's clients expect it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"message": sentence, "type": kind, "param": None, "code": None}


def reader(services: Mapping[str, Service]) -> Callable[[bytes], Asked]:
    """Return a function that reads a body. It raises ConfigError, and RefusedError for an unknown model."""

    def read(content: bytes) -> Asked:
        body = parse_body(OpenAiBody, content, marks=MARKS)
        name = body.model or next(iter(services))
        if name not in services:
            raise RefusedError(404, f"no such model: {name!r:.100}; models: {', '.join(services)}")
        return Asked(name, services[name], body)

    return read


async def complete(asked: Asked) -> dict[str, Any]:
    """Return all choices at once."""
    writers = [await _writer(asked, index) for index in range(len(asked.prompts) * asked.body.n)]
    await asyncio.gather(*[_run(one) for one in writers])
    prompted = sum(writers[index].num_prompt for index in range(0, len(writers), asked.body.n))
    completed = sum(one.num_tokens for one in writers)
    usage = {"prompt_tokens": prompted, "completion_tokens": completed, "total_tokens": prompted + completed}
    return _answer(asked) | {"choices": [one.choice() for one in writers], "usage": usage}


async def _run(writer: "_Writer") -> None:
    async for _ in writer.pieces():
        pass


async def stream(asked: Asked) -> AsyncIterator[dict[str, Any]]:
    """Yield the choices piece by piece, one choice after another."""
    answer = _answer(asked)
    for index in range(len(asked.prompts) * asked.body.n):
        writer = await _writer(asked, index)
        async for piece in writer.pieces():
            if piece:
                yield answer | {"choices": [writer.choice(piece, finished=False)]}
        yield answer | {"choices": [writer.choice("")]}


def _answer(asked: Asked) -> dict[str, Any]:
    identity = f"cmpl-{uuid.uuid4().hex}"
    return {"id": identity, "object": "text_completion", "created": int(time.time()), "model": asked.name}


async def _writer(asked: Asked, index: int) -> "_Writer":
    """Return the writer of one choice; each has a random seed of its own."""
    body = asked.body
    seed = None if body.seed is None else body.seed + index % body.n
    prompt = asked.prompts[index // body.n]
    wanted = CompletionBody(
        **{
            name: getattr(body, name) for name in ("temperature", "top_k", "top_p", "repetition_penalty", "label", "on_unknown")
        },
        prompt=prompt,
        length=asked.service.limits.length,
    )
    job, told = await asked.service.writing(
        replace(wanted, top=1 if body.logprobs is not None else None), generator_of(seed, 0)
    )
    return _Writer(asked, index, job, told.prompt.text)


class _Writer:
    """Write one choice: count its tokens, and cut it before the texts to stop at."""

    def __init__(self, asked: Asked, index: int, job: Writing, prompt: str) -> None:
        self._asked, self._index, self._job, self._prompt = asked, index, job, prompt
        self._job.alternatives = asked.body.logprobs or 0
        self._stop = StopBefore(asked.body.stop)
        self._drawn: list[Drawn] = []
        self._text, self._reason = "", ""

    @property
    def num_prompt(self) -> int:
        """Tokens of the prompt."""
        return len(self._job.ids)

    @property
    def num_tokens(self) -> int:
        """Tokens that were written."""
        return len(self._drawn)

    async def pieces(self) -> AsyncIterator[str]:
        """Yield the text as it is written, the prompt first if it is to be repeated."""
        if self._asked.body.echo:
            yield self._prompt
        most = self._asked.body.max_tokens
        async for drawn in self._asked.service.slices(self._job, most=None) if most else _nothing():
            room = most - len(self._drawn)
            text = self._stop.cut("".join(one.text for one in drawn[:room]))
            self._drawn += drawn[:room]
            self._text += text
            yield text
            if self._stop.found or len(self._drawn) >= most:
                break
        rest = "" if self._stop.found else self._stop.rest()
        self._text += rest
        self._reason = "stop" if self._stop.found else self._finish(most)
        yield rest

    def _finish(self, most: int) -> str:
        if self._drawn and self._drawn[-1].id == BOUNDARY:
            return "stop"
        return "length" if len(self._drawn) >= most else REASONS[self._job.stopped or "length"]

    def choice(self, text: str | None = None, *, finished: bool = True) -> dict[str, Any]:
        """Return the choice, with all its text or a piece of it."""
        whole = (self._prompt if self._asked.body.echo else "") + self._text
        logprobs = self._logprobs() if self._asked.body.logprobs is not None and finished else None
        shown = whole if text is None else text
        return {"index": self._index, "text": shown, "logprobs": logprobs, "finish_reason": self._reason if finished else None}

    def _logprobs(self) -> dict[str, Any]:
        """Return the natural logarithms of the tokens' probabilities at temperature 1."""
        offsets, place = [], len(self._prompt) if self._asked.body.echo else 0
        for one in self._drawn:
            offsets.append(place)
            place += len(one.text)
        return {
            "tokens": [one.text for one in self._drawn],
            "token_logprobs": [one.log_probability for one in self._drawn],
            "top_logprobs": [dict(one.alternatives) for one in self._drawn],
            "text_offset": offsets,
        }


async def _nothing() -> AsyncIterator[list[Drawn]]:
    return
    yield
