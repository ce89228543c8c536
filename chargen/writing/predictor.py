"""Read a text token by token, and give the logits of each next token, as the model was trained to read.

B is the rows, S the steps, T the context length, V the vocabulary.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from chargen.memory.cache import Cache, NativeCache
from chargen.memory.ngrams import Contexts, NgramMemory
from chargen.network.average import AnyStepper
from chargen.network.cells import Floats
from chargen.network.model_file import TextModel
from chargen.network.native_writer import NativeWriter
from chargen.writing.sampling import Logits
from chargen.writing.scoring import IdArray


class Predictor(Protocol):
    """Read B rows of tokens, and predict the next token of each."""

    def step(self, ids: IdArray) -> Logits:
        """Read one token a row, (B,), and return the next token's logits, (B, V), good until the next step."""

    def take(self, rows: IdArray) -> None:
        """Continue each row i from the state of row rows[i]; rows: (B,)."""


class ModelPredictor(Predictor, Protocol):
    """Predict with one model, and return to earlier states."""

    @property
    def state(self) -> Any:
        """A copy of all that the next step depends on; it may be set."""

    @state.setter
    def state(self, value: Any) -> None: ...

    def read(self, ids: IdArray) -> Logits:
        """Read some tokens a row, (B, S), and return the next token's logits, (B, V), good until the next step."""


def make_predictor(model: TextModel, count: int) -> ModelPredictor:
    """Return a predictor of `count` rows that has read nothing."""
    network = model.network
    alone = network.stepper(network.zero_state(count)) if model.carried else WindowPredictor(model, count)
    return MemoryPredictor(alone, model.memory, model.memory.start(count)) if model.memory else alone


def beginning(model: TextModel, count: int) -> Any:
    """Return the state of a predictor of `count` rows that has read nothing."""
    state = model.network.zero_state(count) if model.carried else empty_windows(model, count)
    return (state, model.memory.start(count)) if model.memory else state


class MemoryPredictor:
    """Mix the predictions of a network with those of an n-gram memory. The state is the network's and the contexts."""

    def __init__(self, network: "AnyStepper | WindowPredictor", memory: NgramMemory, contexts: Contexts) -> None:
        """Take the contexts of what the network has read, (B, width); they are changed."""
        self._network, self._memory, self._contexts = network, memory, contexts

    @property
    def state(self) -> Any:
        """A copy of the network's state and the contexts; they may be set."""
        return self._network.state, self._contexts.copy()

    @state.setter
    def state(self, value: Any) -> None:
        self._network.state, self._contexts[:] = value

    def step(self, ids: IdArray) -> Logits:
        """Read one token a row, (B,), and return the next token's logits, (B, V), good until the next step."""
        logits = self._network.step(ids)
        self._memory.step(ids, self._contexts)
        self._memory.mix(logits, self._contexts)
        return logits

    def read(self, ids: IdArray) -> Logits:
        """Read some tokens a row, (B, S), and return the next token's logits, (B, V), good until the next step."""
        logits = self._network.read(ids)
        self._contexts[:] = self._memory.read(ids, self._contexts)[:, -1]
        self._memory.mix(logits, self._contexts)
        return logits

    def take(self, rows: IdArray) -> None:
        """Continue each row i from the state of row rows[i]; rows: (B,)."""
        self._network.take(rows)
        self._contexts[:] = self._contexts[rows]

    def writer(self, **options: Any) -> NativeWriter | None:
        """Return what draws and reads tokens from here on by itself, see `Stepper.writer`."""
        if isinstance(self._network, WindowPredictor):
            return None
        return self._network.writer(**options, memory=(self._memory, self._contexts))


class CachedPredictor:
    """Mix the predictions of another predictor with a cache of each row: of its prompt, (P,), and of what follows it."""

    def __init__(self, predictor: Predictor, cache: Cache, *, prompt: IdArray) -> None:
        self._predictor, self._cache = predictor, cache
        for token in prompt:
            cache.step(np.full(cache.rows, token))

    def mix(self, logits: Logits) -> Logits:
        """Return the mixture for the next token, (B, V), given the other predictor's logits, which may be changed."""
        mixed = np.ascontiguousarray(logits, np.float32)
        self._cache.mix(mixed)
        return mixed

    def step(self, ids: IdArray) -> Logits:
        """Read one token a row, (B,), and return the next token's logits, (B, V), good until the next step."""
        self._cache.step(ids)
        return self.mix(self._predictor.step(ids))

    def writer(self, **options: Any) -> NativeWriter | None:
        """Return what draws and reads tokens from here on by itself, see `Stepper.writer`."""
        if not isinstance(self._predictor, AnyStepper | MemoryPredictor) or not isinstance(self._cache, NativeCache):
            return None
        return self._predictor.writer(**options, cache=self._cache)


class WindowPredictor:
    """Read the last T tokens from a zero state for each new one, for models without a carried state.

    Before the first token the window is filled with the boundary, or in a labelled model with the label, which stays in the
    first place as in training. The state is the window, (B, T).
    """

    def __init__(self, model: TextModel, count: int) -> None:
        network = model.network
        self._stepper = network.stepper(network.zero_state(count))
        self._zero = network.zero_state(count)
        self._kept = 1 if model.vocabulary.labels else 0
        self._windows = empty_windows(model, count)

    @property
    def state(self) -> Any:
        """A copy of the windows; they may be set."""
        return self._windows.copy()

    @state.setter
    def state(self, value: Any) -> None:
        self._windows[:] = value

    def step(self, ids: IdArray) -> Floats:
        """Read one token a row, (B,), and return the next token's logits, (B, V), good until the next step."""
        return self.read(ids[:, None])

    def read(self, ids: IdArray) -> Floats:
        """Read some tokens a row, (B, S), and return the next token's logits, (B, V), good until the next step."""
        room = self._windows[:, self._kept :]
        length = room.shape[1]
        room[:] = np.concatenate([room, ids], axis=1)[:, ids.shape[1] :][:, -length:] if length else room
        self._stepper.state = self._zero
        return self._stepper.read(self._windows)

    def take(self, rows: IdArray) -> None:
        """Continue each row i from the state of row rows[i]; rows: (B,)."""
        self._windows[:] = self._windows[rows]


Writing = AnyStepper | MemoryPredictor | CachedPredictor  # has a `writer`


def empty_windows(model: TextModel, count: int) -> npt.NDArray[np.intp]:
    """Return the windows before the first token of a text, (count, T)."""
    return np.full((count, model.context_length), model.start_id, np.intp)
