"""Read a known text as a model was trained to, and return its predictions of each token.

There are two ways to read. A network with a carried state reads a text from start to end, token by token. A network that was
trained on windows, each from a zero state with only the last token predicted, reads the window of T tokens before each token.
Documents of a model of lines are read separately, each from its own start; other documents follow each other.

B is the rows, S the steps of each, N the predicted tokens, V the vocabulary, H the hidden size.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.windows import SlidingWindows, TokenStream
from chargen.errors import ConfigError
from chargen.memory.cache import WEIGHT, make_cache
from chargen.memory.ngrams import Contexts
from chargen.network.average import average_logits
from chargen.network.cells import Floats
from chargen.network.model_file import TextModel
from chargen.network.network import NetworkState
from chargen.network.stepper import TOKENS_AT_ONCE
from chargen.network.stretches import tokens_at_once
from chargen.writing.ensemble import AVERAGE, AnyModel, Ensemble, translation
from chargen.writing.sampling import Logits
from chargen.writing.scoring import LOGITS_AT_ONCE, Doubles, cross_entropies, read_outputs, window_outputs

ROWS_AT_ONCE = 256  # documents read side by side

Places = npt.NDArray[np.int64]


class Expected(NamedTuple):
    """Hold a model's predictions of some tokens of a stream.

    places: (N,), the position in the stream before each token. targets: (N,) ids. logits: (N, V), before each token.
    alone: those of the networks without their n-gram memory, the same array if there is none.
    """

    places: Places
    targets: npt.NDArray[np.int32]
    logits: Logits
    alone: Logits

    @property
    def nats(self) -> Doubles:
        """The cross-entropy of each token, (N,), at temperature 1."""
        return cross_entropies(self.logits, self.targets)

    @property
    def nats_alone(self) -> Doubles:
        """The same of the networks without their n-gram memory."""
        return self.nats if self.alone is self.logits else cross_entropies(self.alone, self.targets)


class Piece(NamedTuple):
    """Hold tokens that are read together.

    places: (B, S). counts: (B, S), False for padding, and before a token that is not predicted. begins: whether the rows
    start here; otherwise they continue the rows of the previous piece.
    """

    places: Places
    counts: npt.NDArray[np.bool_]
    begins: bool


def expectations(
    model: AnyModel, stream: TokenStream, *, apart: bool | None = None, in_order: bool = False
) -> Iterator[Expected]:
    """Read a stream and yield the model's predictions of its tokens, each token once.

    The probabilities of several models are averaged. apart: read each document from its own start; by default models of lines
    do. in_order: yield the tokens in the order of the stream, which takes longer for documents that are read apart. Raises
    ConfigError for models that take turns.
    """
    if isinstance(model, Ensemble) and model.how != AVERAGE:
        raise ConfigError("models that take turns cannot be measured together", hint=f"measure them as an {AVERAGE}")
    apart = model.reading == "line" if apart is None else apart
    members = model.members if isinstance(model, Ensemble) else (model,)
    readers = [_reader(one, stream, translation(model.vocabulary, one.vocabulary), apart=apart) for one in members]
    at_once = max(1, LOGITS_AT_ONCE // len(model.vocabulary))
    steps = tokens_at_once(sum(one.network.output_size for one in members))
    for piece in _documents_apart(stream, in_order=in_order) if apart else _one_after_another(stream, steps):
        for reader in readers:
            reader.read(piece)
        places = piece.places[piece.counts]
        targets = stream.as_targets(stream.ids[places + 1].astype(np.int32))
        for first in range(0, len(places), at_once):
            part = slice(first, first + at_once)
            yield Expected(places[part], targets[part], *_average([reader.logits(part) for reader in readers]))


def _average(pairs: Sequence[tuple[Logits, Logits]]) -> tuple[Logits, Logits]:
    """Return the logits of the mean of the probabilities of several models, and those of their networks alone."""
    if len(pairs) == 1:
        return pairs[0]
    whole = average_logits([one for one, _ in pairs])
    return whole, whole if all(one is alone for one, alone in pairs) else average_logits([alone for _, alone in pairs])


def cached_expectations(model: AnyModel, stream: TokenStream, weight: float = WEIGHT) -> Iterator[Expected]:
    """Read a stream in order and yield `expectations`, mixed with a cache of what stands before each token.

    The cache remembers earlier documents. Raises the errors of `expectations`.
    """
    cache, done = make_cache(model.vocabulary, 1, weight), 0
    for expected in expectations(model, stream, in_order=True):
        if not len(expected.places):
            continue
        end = int(expected.places[-1]) + 1
        mixed = np.zeros(end - done, bool)
        mixed[expected.places - done] = True
        logits = np.ascontiguousarray(expected.logits, np.float32)
        cache.follow(stream.ids[done:end], mixed, logits)
        done = end
        yield expected._replace(logits=logits)


def _one_after_another(stream: TokenStream, steps: int) -> Iterator[Piece]:
    """Split a stream into pieces of one row, of so many steps."""
    for first in range(0, stream.span, steps):
        places = np.arange(first, min(first + steps, stream.span))[None]
        yield Piece(places, stream.predicts(places + 1), begins=first == 0)


def _documents_apart(stream: TokenStream, *, in_order: bool) -> Iterator[Piece]:
    """Put documents into the rows of pieces; long documents take several pieces.

    In order, several documents are in one piece only if all of them are whole; else they are of similar length.
    """
    lengths = stream.lengths
    for rows in _neighbours(lengths) if in_order else _similar(lengths):
        steps = max(1, TOKENS_AT_ONCE // len(rows))
        for step in range(0, int(lengths[rows].max(initial=0)), steps):
            within = np.arange(step, min(step + steps, lengths[rows].max()))
            places = np.minimum(within, lengths[rows, None] - 1) + stream.starts[rows, None]  # (B, S)
            yield Piece(places, within < lengths[rows, None], begins=step == 0)


def _similar(lengths: Places) -> Iterator[Places]:
    """Yield the documents by length, some at a time."""
    order = np.argsort(lengths, kind="stable")
    for first in range(0, len(order), ROWS_AT_ONCE):
        yield order[first : first + ROWS_AT_ONCE]


def _neighbours(lengths: Places) -> Iterator[Places]:
    """Yield the documents in order, as many at a time as are read in one step."""
    first = 0
    while first < len(lengths):
        longest = np.maximum.accumulate(lengths[first : first + ROWS_AT_ONCE])
        count = max(1, int((longest * np.arange(1, len(longest) + 1) <= TOKENS_AT_ONCE).sum()))
        yield np.arange(first, first + count)
        first += count


class _Reader(ABC):
    """Read the pieces of a stream, in order, with one network. ids_there: the network's id of each id, if they differ."""

    def __init__(self, model: TextModel, stream: TokenStream, ids_there: npt.NDArray[np.intp] | None) -> None:
        self._model, self._network, self._stream, self._ids_there = model, model.network, stream, ids_there
        self._outputs: Floats  # of the last piece
        self._contexts: Contexts
        self._last_contexts: Contexts

    def read(self, piece: Piece) -> None:
        """Read a piece; `logits` returns what follows its tokens."""
        self._outputs = self.outputs(piece)
        if memory := self._model.memory:
            before = memory.start(len(piece.places)) if piece.begins else self._last_contexts
            contexts = memory.read(self._translated(self._stream.ids[piece.places]), before)
            self._contexts, self._last_contexts = contexts[piece.counts], contexts[:, -1]

    @abstractmethod
    def outputs(self, piece: Piece) -> Floats:
        """Return the last recurrent layer's outputs before each token of a piece that counts, (N, H)."""

    def logits(self, part: slice) -> tuple[Logits, Logits]:
        """Return the logits, (N, V), before some tokens of the piece that was read, in the order of the stream's ids.

        The second ones are those of the network without its n-gram memory.
        """
        alone = whole = self._network.head(self._outputs[part])
        if self._model.memory:
            whole = alone.copy()
            self._model.memory.mix(whole, self._contexts[part])
        if self._ids_there is None:
            return whole, alone
        translated = whole[:, self._ids_there]
        return translated, translated if alone is whole else alone[:, self._ids_there]

    def _translated(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        return ids if self._ids_there is None else self._ids_there[ids]


class _CarriedReader(_Reader):
    """Carry the state from each token to the next."""

    _state: NetworkState

    def __init__(self, *place: object, apart: bool) -> None:
        super().__init__(*place)  # type: ignore[arg-type]
        self._apart = apart

    def outputs(self, piece: Piece) -> Floats:
        ids = self._translated(self._stream.ids[piece.places])
        if piece.begins:
            self._state = self._beginning(ids[:, 0])
        outputs, self._state = read_outputs(self._network, ids, self._state)  # (S, B, H)
        return outputs.swapaxes(0, 1)[piece.counts]

    def _beginning(self, begins: npt.NDArray[np.integer]) -> NetworkState:
        """Return the state before the first tokens of rows, (B,)."""
        state = self._network.zero_state(len(begins))
        if self._apart:
            for _ in self._model.primer[1:]:
                _, state = self._network.advance(begins, state)
        return state


class _WindowReader(_Reader):
    """Read the window before each token from a zero state."""

    def __init__(self, *place: object) -> None:
        super().__init__(*place)  # type: ignore[arg-type]
        length = self._model.context_length
        self._windows = SlidingWindows(
            self._stream, context_length=length, stride=1, batch_size=1, last=True, seed=0, shuffle=False
        )

    def outputs(self, piece: Piece) -> Floats:
        places = piece.places[piece.counts]
        windows = places - np.searchsorted(self._stream.cuts, places, side="right")  # one for each predicted token, in order
        if not len(windows):
            return np.empty((0, self._network.output_size), np.float32)
        at_once = max(1, TOKENS_AT_ONCE // self._model.context_length)
        gathered = (self._windows.gather(windows[first : first + at_once]) for first in range(0, len(windows), at_once))
        return np.concatenate([window_outputs(self._network, self._translated(one.inputs)) for one in gathered])


def _reader(model: TextModel, stream: TokenStream, ids_there: npt.NDArray[np.intp] | None, *, apart: bool) -> _Reader:
    if model.carried:
        return _CarriedReader(model, stream, ids_there, apart=apart)
    return _WindowReader(model, stream, ids_there)
