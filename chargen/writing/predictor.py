"""Read a text token by token, and give the logits of each next token, as the model was trained to read.

B is the rows, S the steps, T the context length, V the vocabulary.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from chargen.network.model_file import TextModel
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
    if model.carried:
        return model.network.stepper(model.network.zero_state(count))
    return WindowPredictor(model, count)


def beginning(model: TextModel, count: int) -> Any:
    """Return the state of a predictor of `count` rows that has read nothing."""
    return model.network.zero_state(count) if model.carried else empty_windows(model, count)


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

    def step(self, ids: IdArray) -> Logits:
        """Read one token a row, (B,), and return the next token's logits, (B, V), good until the next step."""
        return self.read(ids[:, None])

    def read(self, ids: IdArray) -> Logits:
        """Read some tokens a row, (B, S), and return the next token's logits, (B, V), good until the next step."""
        room = self._windows[:, self._kept :]
        length = room.shape[1]
        room[:] = np.concatenate([room, ids], axis=1)[:, ids.shape[1] :][:, -length:] if length else room
        self._stepper.state = self._zero
        return self._stepper.read(self._windows)

    def take(self, rows: IdArray) -> None:
        """Continue each row i from the state of row rows[i]; rows: (B,)."""
        self._windows[:] = self._windows[rows]


def empty_windows(model: TextModel, count: int) -> npt.NDArray[np.intp]:
    """Return the windows before the first token of a text, (count, T)."""
    return np.full((count, model.context_length), model.start_id, np.intp)
