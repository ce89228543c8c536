"""Predict what follows a prompt: read it, and return the logits of the next token."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from chargen.corpus.vocabulary import BOUNDARY
from chargen.network.cells import Floats
from chargen.network.model_file import TextModel
from chargen.network.network import NetworkState
from chargen.network.stepper import TOKENS_AT_ONCE
from chargen.network.stretches import tokens_at_once
from chargen.writing.ensemble import AnyModel, Ensemble, translation
from chargen.writing.predictor import MemoryPredictor, Predictor, empty_windows, make_predictor
from chargen.writing.sampling import Doubles, Logits, softmax
from chargen.writing.scoring import LOGITS_AT_ONCE, IdArray, read_outputs, window_outputs


def primer_for(model: TextModel, prompt: IdArray) -> npt.NDArray[np.intp]:
    """Return the ids before a prompt, (P,): as much of the primer as fits into the context, and always a label."""
    room = max(model.context_length - len(prompt), 1 if model.vocabulary.labels or not len(prompt) else 0)
    return np.asarray(model.primer[-room:] if room else (), dtype=np.intp)


def given_ids(model: TextModel, prompt: IdArray) -> npt.NDArray[np.intp]:
    """Return the ids that a model reads before it continues a prompt, (P,).

    A prompt shorter than the context is filled up with the primer, so that the network starts as in training; a longer one is
    read whole.
    """
    return np.concatenate([primer_for(model, prompt), prompt.astype(np.intp)])


def warm_up(model: TextModel, prompt: IdArray) -> tuple[Floats, NetworkState]:
    """Carry the state from the zero state through a prompt, (P,), and return the next token's logits, (1, V), and the state."""
    network, ids = model.network, given_ids(model, prompt)
    state, steps = network.zero_state(1), tokens_at_once(network.output_size)
    for first in range(0, len(ids), steps):
        outputs, state = read_outputs(network, ids[None, first : first + steps], state)
    return network.head(outputs[-1]), state


def begin(model: AnyModel, prompt: IdArray, count: int) -> tuple[Logits, Predictor]:
    """Read a prompt, (P,), and return the next token's logits, (count, V), and a predictor of `count` rows that has read it."""
    if isinstance(model, Ensemble):
        return _begin_together(model, prompt, count)
    if model.carried:
        logits, state = warm_up(model, prompt)
        stepper = model.network.stepper(_repeated(state, count))
        if model.memory is None:
            return np.repeat(logits, count, axis=0), stepper
        contexts = model.memory.read(given_ids(model, prompt)[None], model.memory.start(1))[:, -1]
        model.memory.mix(logits, contexts)
        return np.repeat(logits, count, axis=0), MemoryPredictor(stepper, model.memory, np.repeat(contexts, count, axis=0))
    predictor = make_predictor(model, count)
    given = given_ids(model, prompt)[-model.context_length :]
    return predictor.read(np.repeat(given[None], count, axis=0)), predictor


def forbid_end(model: AnyModel, logits: Logits, *, begun: bool) -> None:
    """Remove the boundary token from logits, in place, if the model never ends a text or the text has not begun."""
    if not model.ends or not begun:
        logits[:, BOUNDARY] = -np.inf


def silence(model: AnyModel, logits: Logits) -> None:
    """Remove from logits, in place, the tokens that are read but never drawn."""
    silent = list(model.vocabulary.silent_ids)
    if silent:
        logits[:, silent] = -np.inf


class Guess(NamedTuple):
    """Hold a model's prediction of a token. token, guess: ids; the guess is the most probable one."""

    token: int
    guess: int
    probability: float  # of the token
    guess_probability: float


def next_probabilities(model: AnyModel, prompt: IdArray) -> Doubles:
    """Return the probabilities, (V,), of what follows a prompt, (P,), at temperature 1, as sampling draws them."""
    logits, _ = begin(model, prompt, 1)
    return _probabilities(model, logits, begun=len(prompt) > 0)[0]


def most_probable(model: AnyModel, prompt: IdArray, count: int) -> list[tuple[int, float]]:
    """Return the `count` most probable ids after a prompt, (P,), with their probabilities, the best first."""
    probabilities = next_probabilities(model, prompt)
    best = np.argsort(-probabilities, kind="stable")[:count]
    return [(int(token), float(probabilities[token])) for token in best if probabilities[token] > 0]


def guesses(model: TextModel, prompt: IdArray) -> list[Guess]:
    """Return the model's prediction of each token of a prompt, (P,).

    The first token is predicted from an empty prompt.
    """
    found = [_guesses(prompt[:1], next_probabilities(model, prompt[:0])[None])] if len(prompt) else []
    place = 1
    for logits in _logits_after(model, primer_for(model, prompt), prompt[:-1].astype(np.intp)):
        targets = prompt[place : place + len(logits)]
        found.append(_guesses(targets, _probabilities(model, logits, begun=True)))
        place += len(logits)
    return [one for some in found for one in some]


def _guesses(tokens: IdArray, probabilities: Doubles) -> list[Guess]:
    """Return the predictions of some tokens, (N,), from their probabilities, (N, V)."""
    rows, best = np.arange(len(tokens)), probabilities.argmax(axis=-1)
    columns = (tokens, best, probabilities[rows, tokens], probabilities[rows, best])
    return [Guess(*row) for row in zip(*[one.tolist() for one in columns], strict=True)]


def _logits_after(model: TextModel, primer: IdArray, tokens: IdArray) -> Iterator[Floats]:
    """Read some tokens, (N,), after a primer, (P,), and yield the logits after each of them, (M, V) at a time."""
    at_once = min(TOKENS_AT_ONCE, max(1, LOGITS_AT_ONCE // len(model.vocabulary)))
    network, read = model.network, np.concatenate([primer, tokens])
    state = network.zero_state(1)
    if model.carried and len(primer):
        _, state = read_outputs(network, primer[None], state)
    windows = None if model.carried else windows_of(model, read)[-len(tokens) :]
    memory = model.memory
    contexts = memory.read(read[None], memory.start(1))[0, len(primer) :] if memory else None
    for first in range(0, len(tokens), at_once):
        part = slice(first, first + at_once)
        if windows is None:
            outputs, state = read_outputs(network, tokens[None, part], state)
            logits = network.head(outputs[:, 0])
        else:
            logits = network.head(window_outputs(network, windows[part]))
        if memory and contexts is not None:
            memory.mix(logits, contexts[part])
        yield logits


def windows_of(model: TextModel, ids: IdArray) -> npt.NDArray[np.intp]:
    """Return the window that ends with each of some ids, (N, T)."""
    begun = empty_windows(model, 1)[0]
    windows = sliding_window_view(np.concatenate([begun, ids]), len(begun))[1:]
    if not model.vocabulary.labels:
        return windows
    return np.concatenate([np.repeat(begun[None, :1], len(ids), axis=0), windows[:, 1:]], axis=1)


def _probabilities(model: AnyModel, logits: Logits, *, begun: bool) -> Doubles:
    """Return the probabilities, (N, V), of possible next tokens from logits, (N, V), which are changed."""
    forbid_end(model, logits, begun=begun)
    silence(model, logits)
    return softmax(logits)


def _repeated(state: NetworkState, count: int) -> NetworkState:
    """Repeat a state of one row for each of `count` rows."""
    layers: list[Any] = [type(layer)(*[np.repeat(array, count, axis=0) for array in layer]) for layer in state]
    return tuple(layers)


class _Together:
    """Combine the predictors of an ensemble."""

    def __init__(self, ensemble: Ensemble, predictors: Sequence[Predictor]) -> None:
        self._ensemble, self._predictors = ensemble, predictors
        self._translations = [translation(ensemble.vocabulary, one.vocabulary) for one in ensemble.members]
        self._position = 0

    def step(self, ids: IdArray) -> Logits:
        self._position += 1
        return self.mix(
            [
                predictor.step(ids if ids_there is None else ids_there[ids])
                for predictor, ids_there in zip(self._predictors, self._translations, strict=True)
            ]
        )

    def take(self, rows: IdArray) -> None:
        for predictor in self._predictors:
            predictor.take(rows)

    def mix(self, logits: Sequence[Logits]) -> Logits:
        """Translate each member's logits, (B, V), to the ensemble's ids, and combine them."""
        pairs = zip(logits, self._translations, strict=True)
        return self._ensemble.mix([one if there is None else one[:, there] for one, there in pairs], self._position)


def _begin_together(ensemble: Ensemble, prompt: IdArray, count: int) -> tuple[Logits, Predictor]:
    begun = []
    for member in ensemble.members:
        there = translation(ensemble.vocabulary, member.vocabulary)
        begun.append(begin(member, prompt if there is None else there[prompt], count))
    together = _Together(ensemble, [predictor for _, predictor in begun])
    return together.mix([logits for logits, _ in begun]), together
