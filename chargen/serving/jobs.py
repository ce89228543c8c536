"""Run a model for many clients in turns: write, read and score texts in slices.

A job keeps only its text, the network's state, a few kilobytes, and its cache, if it has one; it borrows the thread's predictor
for each slice. B is one row everywhere.
"""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.words import split_words
from chargen.memory.cache import Cache, make_cache
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.writing.generation import Drawing, Stopped, StopText, TokenDecoder
from chargen.writing.prediction import forbid_end, primer_for, silence
from chargen.writing.predictor import ModelPredictor, beginning, make_predictor
from chargen.writing.sampling import Logits, Sampler
from chargen.writing.scoring import IdArray

SLICE = 0.005  # seconds
CACHE_WINDOW = 1 << 14  # tokens of a text that its cache remembers: 3 MB at most


class Drawn(NamedTuple):
    """Hold a drawn token, the text that it adds and, if requested, its bits at temperature 1 and the most probable tokens.

    alternatives: names and natural logarithms of probabilities.
    """

    id: int
    text: str
    bits: float | None
    alternatives: tuple[tuple[str, float], ...] = ()

    @property
    def log_probability(self) -> float | None:
        """The natural logarithm of its probability at temperature 1."""
        return None if self.bits is None else -self.bits * math.log(2)


class SharedModel:
    """Share a model among many jobs. names: the name of each id, None for the boundary and for labels."""

    def __init__(self, model: TextModel) -> None:
        self.model = model
        self.names = [None, *model.vocabulary, *[None] * len(model.vocabulary.labels)]
        self._lent = threading.local()

    @property
    def predictor(self) -> ModelPredictor:
        """The predictor of the calling thread; its weights are prepared once and not for each text."""
        if not hasattr(self._lent, "predictor"):
            self._lent.predictor = make_predictor(self.model, 1)
        predictor: ModelPredictor = self._lent.predictor
        return predictor


class Job(ABC):
    """Do the work of one request in slices. `advance` may be called in any thread, in one at a time.

    model: the shared one, or the same for one label.
    """

    def __init__(self, shared: SharedModel, model: TextModel) -> None:
        self.shared, self.model = shared, model
        self.done, self.used = False, 0.0  # used: seconds
        self.logits: Logits  # of the next token
        self._state = beginning(model, 1)
        self._predictor: ModelPredictor  # within a slice
        self._steps = self._work()

    def advance(self, most: int | None = None) -> list[Any]:
        """Work for a slice, or until it has `most` results, and return the results."""
        self._predictor = self.shared.predictor
        self._predictor.state = self._state
        began = perf_counter()
        found: list[Any] = []
        with np.errstate(over="ignore"):  # a probability of 0 at a low temperature
            for one in self._steps:
                if one is not None:
                    found.append(one)
                if len(found) == most or perf_counter() > began + SLICE:
                    break
            else:
                self.done = True
        self._state = self._predictor.state
        self.logits = self.logits.copy()
        self.used += perf_counter() - began
        return found

    @abstractmethod
    def _work(self) -> Iterator[Any]:
        """Take a step before each yield; yield its result, or None."""

    def _read(self, ids: IdArray) -> Iterator[None]:
        if not self.model.carried:  # only the last window counts
            if len(ids):
                self.logits = self._predictor.read(ids[None])
                yield
            return
        for token in ids:
            self._step(int(token))
            yield

    def _step(self, token: int) -> None:
        self.logits = self._predictor.step(np.array([token]))

    def _go_back(self, state: Any, logits: Logits) -> None:
        self._predictor.state, self.logits = state, logits.copy()

    def _expect(self, *, begun: bool) -> None:
        """Remove impossible tokens from the logits."""
        forbid_end(self.model, self.logits, begun=begun)
        silence(self.model, self.logits)

    def _bits(self, token: int) -> float:
        return float(-log_softmax(self.logits)[0, token] / math.log(2))


class Reading(Job):
    """Read a text, to predict what may follow. given: how many of the ids were its prompt, which alone has a primer."""

    def __init__(self, shared: SharedModel, model: TextModel, ids: IdArray, *, given: int | None = None) -> None:
        super().__init__(shared, model)
        self.ids, self.given = ids, len(ids) if given is None else given

    def _work(self) -> Iterator[None]:
        yield from self._read_given()
        yield from self._read(self.ids[self.given :])
        self._expect(begun=len(self.ids) > 0)

    def _read_given(self) -> Iterator[None]:
        given = self.ids[: self.given]
        yield from self._read(primer_for(self.model, given))
        yield from self._read(given)

    def best(self, temperature: float, count: int) -> list[dict[str, Any]]:
        """Return the next tokens, the most probable first: name, probability and bits of each."""
        nats = log_softmax(self.logits)[0]
        order = np.argsort(-nats, kind="stable")[: count if temperature else 1]
        chances = _cooled(nats, temperature)
        return [
            {"id": int(one), "token": self.shared.names[one], "probability": float(chances[one]), "bits": _bits_of(nats[one])}
            for one in order
            if chances[one] > 0
        ]


class Writing(Reading):
    """Read a text and continue it, drawn as `chargen sample` draws it.

    The token that reaches the length is the last, and its text is cut there. weighs: report the bits of each token. again:
    after a text's end, which counts as a character, another one begins as this one did, by the given ids. spaced: the space
    before the first word is there already. min_length: characters before a text may end.
    """

    def __init__(
        self,
        *place: Any,
        given: int | None = None,
        spaced: bool = False,
        length: int,
        until: str | None = None,
        sampler: Sampler,
        rng: np.random.Generator,
        min_length: int = 0,
        weighs: bool = False,
        again: bool = False,
    ) -> None:
        super().__init__(*place, given=given)
        self.stopped: Stopped | None = None
        self._room, self._weighs, self._again = length, weighs, again  # room: characters left to write
        self._sampler, self._rng, self._min_length = sampler, rng, min_length
        self._decode, self._stop = TokenDecoder(self.model.vocabulary), StopText(until)
        self._extra = " " if spaced else ""  # what the next token's text leaves out
        self.alternatives = 0  # probable tokens to report for each drawn one

    def _work(self) -> Iterator[Any]:
        yield from self._read_given()
        start = self._predictor.state, self.logits.copy()
        yield from self._read(self.ids[self.given :])
        begun, cache = len(self.ids) > 0, self._begin_cache(self.ids)
        self._expect(begun=begun)
        while not self.stopped:
            drawing = self._drawing(begun=begun)
            while not drawing.done and not self.stopped:
                one = self._added(int(drawing.draw(self.logits)[0]))
                if one.id != BOUNDARY:
                    self._step(one.id)
                    self._mix(cache, one.id)
                elif self._again:
                    self._go_back(*start)
                    cache = self._begin_cache(self.ids[: self.given])
                begun = one.id != BOUNDARY or self.given > 0
                self._expect(begun=begun)
                yield one
            if self._room <= 0 or not self._again:
                self.stopped = self.stopped or "length"

    def rest(self) -> str:
        """Return U+FFFD for an incomplete character, or an empty text."""
        return self._decode.rest()

    def _drawing(self, *, begun: bool) -> Drawing:
        return Drawing(
            self.model,
            count=1,
            length=self._room,
            min_length=self._min_length,
            sampler=self._sampler,
            rng=self._rng,
            begun=begun,
        )

    def _begin_cache(self, ids: IdArray) -> Cache | None:
        """Return a cache that has read ids, mixed into the logits, or None if there is to be none."""
        weight = self._sampler.options.cache
        cache = make_cache(self.model.vocabulary, 1, weight, window=CACHE_WINDOW) if weight else None
        self._mix(cache, *ids.tolist())
        return cache

    def _mix(self, cache: Cache | None, *ids: int) -> None:
        """Read ids with a cache, if there is one, and mix it into the logits that follow the last."""
        if cache and ids:
            self.logits = np.ascontiguousarray(self.logits, np.float32)
            cache.follow(np.array(ids), np.arange(len(ids)) == len(ids) - 1, self.logits)

    def _added(self, token: int) -> Drawn:
        """Return a drawn token with the text that it adds."""
        likely = self.best(1.0, self.alternatives) if self.alternatives else ()
        alternatives = tuple((one["token"] or "", -one["bits"] * math.log(2)) for one in likely)
        whole = self._decode(token)
        text = self._stop.cut(whole[: self._room].removeprefix(self._extra))
        self._extra = ""
        self._room -= len(whole) + (token == BOUNDARY)
        if self._stop.found:
            self.stopped = "until"
        elif token == BOUNDARY and not self._again:
            self.stopped = "end"
        return Drawn(token, text, self._bits(token) if self._weighs else None, alternatives)


class Weighing(Job):
    """Read a text and yield the bits of each of its tokens, (bits,); (None,) for one that is read but never drawn.

    The first one counts as the first of a text, the others as they come after it.
    """

    def __init__(self, shared: SharedModel, model: TextModel, ids: IdArray) -> None:
        super().__init__(shared, model)
        self._ids, self._silent = ids, set(model.vocabulary.silent_ids)

    def _work(self) -> Iterator[Any]:
        yield from self._read(primer_for(self.model, self._ids[:0]))
        first = self.logits.copy()
        self._go_back(beginning(self.model, 1), first)
        yield from self._read(primer_for(self.model, self._ids))
        for place, token in enumerate(self._ids.tolist()):
            if not place:
                self.logits = first
            self._expect(begun=place > 0)
            yield (None if token in self._silent else self._bits(token),)
            self._step(token)


def generator_of(random_seed: int | None, drawn: int) -> np.random.Generator:
    """Return the generator of a seed after some draws, each of one number."""
    bits = np.random.PCG64(random_seed)  # that of np.random.default_rng
    return np.random.Generator(bits.advance(drawn) if drawn else bits)


def pieces_of(shared: SharedModel, text: str, ids: IdArray) -> list[str]:
    """Return the piece of a text that each of its ids stands for; a character of several bytes belongs to its last byte."""
    if shared.model.vocabulary.kind == "word" and len(words := split_words(text)) == len(ids):
        return words  # unknown words as they are in the text
    decode = TokenDecoder(shared.model.vocabulary)
    return [decode(int(token)) for token in ids]


def _cooled(nats: Any, temperature: float) -> Any:
    """Return the probabilities, (V,), at a temperature, of log-probabilities, (V,)."""
    if temperature == 0:
        return (np.arange(len(nats)) == nats.argmax()).astype(float)
    with np.errstate(over="ignore"):  # a probability of 0 at a low temperature
        weights = np.exp((nats - nats.max()) / temperature)
    return weights / weights.sum()


def _bits_of(nats: float) -> float:
    return float(-nats / math.log(2))
