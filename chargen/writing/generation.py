"""Generate text from a prompt: read the prompt, then draw one token after another."""

from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Generator, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.memory.cache import make_cache
from chargen.network.native_writer import NativeWriter
from chargen.writing.ensemble import AnyModel
from chargen.writing.prediction import begin, forbid_end, silence
from chargen.writing.predictor import CachedPredictor, Predictor, Writing
from chargen.writing.sampling import DrawnIds, Logits, Sampler
from chargen.writing.scoring import IdArray

BYTES_OF_A_CHARACTER = 4  # in UTF-8, at most
TOKENS_AHEAD = 256  # drawn before the first of them is given on, where that is quick

Stopped = Literal["end", "until", "length"]


class Continuation(NamedTuple):
    """Hold a drawn text, and why it stopped: at its end, after the text to stop at, or at its length."""

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


class Drawing:
    """Draw tokens from logits, `count` rows side by side, until every row has stopped; then it is `done`.

    A row stops at its end, or with the token that makes it `length` characters long or longer; from then on it draws the
    boundary token. No row ends before it has min_length characters. begun: whether the prompt, or what was drawn before, has
    any token. Each draw takes `count` numbers from `rng`, or none if greedy.
    """

    def __init__(
        self,
        model: AnyModel,
        *,
        count: int,
        length: int,
        sampler: Sampler,
        rng: np.random.Generator,
        min_length: int = 0,
        begun: bool,
    ) -> None:
        self._model, self._sampler, self._rng, self._begun = model, sampler, rng, begun
        self._length, self._min_length = length, min_length
        one_each = model.vocabulary.kind == "character"  # then the number of steps is enough to keep to the length
        self._written = None if one_each and not min_length else WrittenCharacters(model.vocabulary, count)
        self._may_stop = model.ends or not one_each
        self._position, self._steps = 0, most_steps(model.vocabulary, length)
        self._stopped = np.zeros(count, bool)
        self._recent: deque[DrawnIds] = deque(maxlen=sampler.memory)
        self.done = self._steps == 0

    def draw(self, logits: Logits) -> DrawnIds:
        """Draw one id a row, (B,), from logits (B, V), from which impossible tokens are removed in place."""
        self._remove_impossible(logits)
        ids = self._sampler(logits, self._rng, position=self._position, recent=self._recent)
        if self._may_stop:
            ids[self._stopped] = BOUNDARY
            self._stopped |= ids == BOUNDARY
        if self._written:
            self._written.add(ids)
            self._stopped |= self._written.counts >= self._length
        self._recent.append(ids)
        self._position += 1
        self.done = self._position == self._steps or bool(self._may_stop and self._stopped.all())
        return ids

    def ahead(self, predictor: Writing) -> Iterator[DrawnIds] | None:
        """Return all further draws, made without Python in between, or None if they need it.

        The predictor has read the last token. They are the same draws from the same numbers of `rng`.
        """
        if self._written or not self._sampler.plain:
            return None
        mask = np.zeros((1, len(self._model.vocabulary)), np.float32)
        forbid_end(self._model, mask, begun=True)
        silence(self._model, mask)
        mask[:, self._sampler.banned] = -np.inf
        temperatures = self._sampler.options.temperatures
        turn = self._position % len(temperatures)
        writer = predictor.writer(
            mask=mask[0],
            temperatures=temperatures[turn:] + temperatures[:turn],
            stop=BOUNDARY if self._may_stop else None,
            stopped=self._stopped,
        )
        return self._write(writer) if writer else None

    def _write(self, writer: NativeWriter) -> Iterator[DrawnIds]:
        rows = len(self._stopped)
        while not self.done:
            before, count = self._rng.bit_generator.state, min(TOKENS_AHEAD, self._steps - self._position)
            written, taken = writer.write(self._rng.random((count, rows))), 0
            try:
                for ids in written:
                    taken += 1
                    yield ids
            finally:  # the reader may have had enough
                if taken < count:
                    self._rng.bit_generator.state = before
                    self._rng.random((taken, rows))
            self._position += taken
            self.done = self._position == self._steps or bool(self._stopped.all())

    def _remove_impossible(self, logits: Logits) -> None:
        forbid_end(self._model, logits, begun=self._begun or self._position > 0)
        silence(self._model, logits)
        if self._written and self._min_length:
            logits[self._written.counts < self._min_length, BOUNDARY] = -np.inf


def draw_tokens(model: AnyModel, prompt: IdArray, *, count: int, **options: Any) -> Iterator[DrawnIds]:
    """Continue a prompt, (P,), `count` times side by side and yield the ids, (count,), of each step.

    options: those of `Drawing`.
    """
    drawing = Drawing(model, count=count, begun=len(prompt) > 0, **options)
    logits, predictor = _begun(model, prompt, count, cache=options["sampler"].options.cache)
    while not drawing.done:
        ids = drawing.draw(logits)
        yield ids
        if drawing.done:
            return
        logits = predictor.step(ids)
        if isinstance(predictor, Writing) and (ahead := drawing.ahead(predictor)):
            yield from ahead
            return


def _begun(model: AnyModel, prompt: IdArray, count: int, *, cache: float) -> tuple[Logits, Predictor | CachedPredictor]:
    """Read a prompt, and return the next token's logits, (count, V), and what continues; cache: the weight of a cache."""
    logits, predictor = begin(model, prompt, count)
    if not cache:
        return logits, predictor
    cached = CachedPredictor(predictor, make_cache(model.vocabulary, count, cache), prompt=prompt)
    return cached.mix(logits), cached


def most_steps(vocabulary: Vocabulary, length: int) -> int:
    """Return the most tokens that `length` characters can need."""
    return length * BYTES_OF_A_CHARACTER if vocabulary.kind == "byte" else length


class TokenDecoder:
    """Turn drawn tokens into text, one after another.

    A character of several bytes comes with its last byte; an incomplete one becomes U+FFFD at the end of the text.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._texts = vocabulary.texts
        self._bytes = getincrementaldecoder("utf-8")("replace") if vocabulary.kind == "byte" else None

    def __call__(self, token: int) -> str:
        if self._bytes is None:
            return self._texts[token]
        return self._bytes.decode(bytes([token - 1])) if token != BOUNDARY else self.rest()

    def rest(self) -> str:
        """Return U+FFFD for an incomplete character, or an empty text."""
        return self._bytes.decode(b"", final=True) if self._bytes else ""


class WrittenCharacters:
    """Count the whole characters that each row of drawn tokens has written: `counts`, (B,)."""

    def __init__(self, vocabulary: Vocabulary, rows: int) -> None:
        self.counts = np.zeros(rows, np.intp)
        self._lengths = np.array([len(text) for text in vocabulary.texts])
        self._decoders = [TokenDecoder(vocabulary) for _ in range(rows)] if vocabulary.kind == "byte" else None

    def add(self, ids: DrawnIds) -> None:
        """Add the characters that one more token of each row, (B,), completes."""
        if self._decoders is None:
            self.counts += self._lengths[ids]
        else:
            self.counts += [len(decode(token)) for decode, token in zip(self._decoders, ids.tolist(), strict=True)]


def count_characters(vocabulary: Vocabulary, ids: IdArray) -> int:
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
    prompt: IdArray,
    *,
    length: int,
    sampler: Sampler,
    rng: np.random.Generator,
    until: str | None = None,
    min_length: int = 0,
) -> Generator[str, None, Stopped]:
    """Continue a prompt and yield the text piece by piece, until it ends, contains `until`, or has `length` characters.

    length, min_length: in characters. The generator returns why the text stopped.
    """
    written, stop = 0, StopText(until)
    drawn = draw_tokens(model, prompt, count=1, length=length, sampler=sampler, rng=rng, min_length=min_length)
    for whole in _pieces(model.vocabulary, drawn):
        piece = stop.cut(whole[: length - written])
        written += len(piece)
        if piece:
            yield piece
        if stop.found:
            return "until"
    return "end" if model.ends and written < length else "length"


def continue_prompt(
    model: AnyModel,
    prompt: IdArray,
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
    prompt: IdArray,
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


class StopText:
    """Cut a text that comes in pieces after the first `until`; once that was written, it is `found`."""

    def __init__(self, until: str | None) -> None:
        self._until, self._tail = until, ""  # tail: the end of the text, where `until` may begin
        self.found = False

    def cut(self, piece: str) -> str:
        """Return the next piece, up to the end of `until`."""
        if not self._until:
            return piece
        text = self._tail + piece
        if self._until in text:
            self.found = True
            return cut_after(text, self._until)[len(self._tail) :]
        self._tail = text[1 - len(self._until) :] if len(self._until) > 1 else ""
        return piece


def cut_after(text: str, until: str | None) -> str:
    """Return a text up to the end of the first `until`, or the whole text."""
    found = text.find(until) if until else -1
    return text if found < 0 else text[: found + len(until or "")]
