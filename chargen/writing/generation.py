"""Generate text from a prompt: read the prompt, then draw one token after another."""

from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Generator, Iterator
from typing import Literal, NamedTuple

import numpy as np

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.writing.ensemble import AnyModel
from chargen.writing.prediction import begin, forbid_end
from chargen.writing.sampling import DrawnIds, Sampler
from chargen.writing.scoring import TokenIds

BYTES_OF_A_CHARACTER = 4  # in UTF-8, at most

Stopped = Literal["end", "until", "length"]


class Continuation(NamedTuple):
    """Drawn text, and why it stopped: it came to its end, the text to stop at was written, or it reached its length."""

    text: str
    stopped: Stopped

    @property
    def complete(self) -> bool:
        """Whether the text was not cut at its length."""
        return self.stopped != "length"


def continuation(model: AnyModel, text: str, *, length: int, until: str | None) -> Continuation:
    """Return a drawn text cut after `until` and at `length` characters, and why it stopped."""
    text = cut_after(text[:length], until)
    if until and until in text:
        return Continuation(text, "until")
    return Continuation(text, "end" if model.ends and len(text) < length else "length")


def draw_tokens(
    model: AnyModel,
    prompt: TokenIds,
    *,
    count: int,
    length: int,
    sampler: Sampler,
    rng: np.random.Generator,
    min_length: int = 0,
) -> Iterator[DrawnIds]:
    """Continue a prompt `count` times side by side and yield the drawn ids, (count,), of each step.

    A continuation stops at its end, or with the token that makes it `length` characters long or longer; from then on it
    yields the boundary token, and the steps stop when all have stopped. None ends before it has min_length characters. Each
    step takes `count` numbers from `rng`, or none if greedy.
    """
    logits, predictor = begin(model, prompt, count)
    recent: deque[DrawnIds] = deque(maxlen=sampler.memory)
    stopped = np.zeros(count, bool)
    one_each = model.vocabulary.kind == "character"  # then `steps` is enough to keep to the length
    written = None if one_each and not min_length else WrittenCharacters(model.vocabulary, count)
    may_stop = model.ends or not one_each
    silent = np.array(model.vocabulary.silent_ids, np.intp)
    steps = most_steps(model.vocabulary, length)
    for position in range(steps):
        forbid_end(model, logits, begun=position > 0 or len(prompt) > 0)
        if len(silent):
            logits[:, silent] = -np.inf
        if written and min_length:
            logits[written.counts < min_length, BOUNDARY] = -np.inf
        ids = sampler(logits, rng, position=position, recent=recent)
        if may_stop:
            ids[stopped] = BOUNDARY
            stopped |= ids == BOUNDARY
        if written:
            written.add(ids)
            stopped |= written.counts >= length
        yield ids
        if may_stop and stopped.all():
            return
        recent.append(ids)
        if position + 1 < steps:
            logits = predictor.step(ids)


def most_steps(vocabulary: Vocabulary, length: int) -> int:
    """Return how many tokens `length` characters take at most. Tokens without text, if any, make the text shorter."""
    return length * BYTES_OF_A_CHARACTER if vocabulary.kind == "byte" else length


class TokenDecoder:
    """Turn drawn tokens into text, one after another.

    A character of several bytes comes with the last of them; one that is not finished becomes U+FFFD at the text's end.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._texts = vocabulary.texts
        self._bytes = getincrementaldecoder("utf-8")("replace") if vocabulary.kind == "byte" else None

    def __call__(self, token: int) -> str:
        if self._bytes is None:
            return self._texts[token]
        return self._bytes.decode(bytes([token - 1])) if token != BOUNDARY else self.rest()

    def rest(self) -> str:
        """Return U+FFFD for a character that was not finished, or nothing."""
        return self._bytes.decode(b"", final=True) if self._bytes else ""


class WrittenCharacters:
    """The number of whole characters that each row of drawn tokens has written: `counts`, (B,)."""

    def __init__(self, vocabulary: Vocabulary, rows: int) -> None:
        self.counts = np.zeros(rows, np.intp)
        self._lengths = np.array([len(text) for text in vocabulary.texts])
        self._decoders = [TokenDecoder(vocabulary) for _ in range(rows)] if vocabulary.kind == "byte" else None

    def add(self, ids: DrawnIds) -> None:
        """Count the characters that one more token of each row, (B,), completes."""
        if self._decoders is None:
            self.counts += self._lengths[ids]
        else:
            self.counts += [len(decode(token)) for decode, token in zip(self._decoders, ids.tolist(), strict=True)]


def count_characters(vocabulary: Vocabulary, ids: TokenIds) -> int:
    """Return how many whole characters some drawn ids, (N,), have written."""
    decode = TokenDecoder(vocabulary)
    return sum(len(decode(token)) for token in ids.tolist())


def _pieces(vocabulary: Vocabulary, drawn: Iterator[DrawnIds]) -> Iterator[str]:
    """Yield the text of each token of a single row, that of a character's bytes with the last of them."""
    decode = TokenDecoder(vocabulary)
    for ids in drawn:
        yield decode(int(ids[0]))
    yield decode.rest()


def stream_text(
    model: AnyModel,
    prompt: TokenIds,
    *,
    length: int,
    sampler: Sampler,
    rng: np.random.Generator,
    until: str | None = None,
    min_length: int = 0,
) -> Generator[str, None, Stopped]:
    """Continue a prompt and yield the continuation piece by piece, until it ends, or holds `until`, or is `length` long.

    length, min_length: in characters. The generator returns why the text stopped.
    """
    written = 0
    tail = ""  # what may be the beginning of `until`
    drawn = draw_tokens(model, prompt, count=1, length=length, sampler=sampler, rng=rng, min_length=min_length)
    for whole in _pieces(model.vocabulary, drawn):
        piece = whole[: length - written]
        if until and until in tail + piece:
            yield cut_after(tail + piece, until)[len(tail) :]
            return "until"
        if until:
            tail = (tail + piece)[1 - len(until) :] if len(until) > 1 else ""
        written += len(piece)
        if piece:
            yield piece
    return "end" if model.ends and written < length else "length"


def continue_prompt(
    model: AnyModel,
    prompt: TokenIds,
    *,
    count: int,
    length: int,
    sampler: Sampler,
    rng: np.random.Generator,
    until: str | None = None,
    min_length: int = 0,
) -> list[Continuation]:
    """Continue a prompt `count` times in one batch, each cut after `until` and at `length` characters."""
    drawn = draw_tokens(model, prompt, count=count, length=length, sampler=sampler, rng=rng, min_length=min_length)
    rows = np.array(list(drawn), dtype=np.intp).reshape(-1, count).T  # (count, steps)
    return [continuation(model, model.vocabulary.decode(row), length=length, until=until) for row in rows]


def sample_texts(
    model: AnyModel,
    prompt: TokenIds,
    *,
    count: int,
    length: int,
    sampler: Sampler,
    rng: np.random.Generator,
    until: str | None = None,
    min_length: int = 0,
) -> list[str]:
    """Continue a prompt `count` times in one batch and return the texts of the continuations."""
    drawn = continue_prompt(
        model, prompt, count=count, length=length, sampler=sampler, rng=rng, until=until, min_length=min_length
    )
    return [one.text for one in drawn]


def cut_after(text: str, until: str | None) -> str:
    """Return a text up to the first `until`, that included; the whole text if it holds none."""
    found = text.find(until) if until else -1
    return text if found < 0 else text[: found + len(until or "")]
