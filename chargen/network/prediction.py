"""What a model expects next: a prompt read, and the logits of what may follow."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY
from chargen.network.cells import Floats
from chargen.network.ensemble import Ensemble, translation
from chargen.network.model_file import TextModel
from chargen.network.network import NetworkState
from chargen.network.sampling import Doubles, Logits, softmax

TokenIds = npt.NDArray[np.integer]
AnyModel = TextModel | Ensemble


class Predictor(Protocol):
    """Something that reads tokens, B rows of them, and tells what may follow."""

    def step(self, ids: TokenIds) -> Logits:
        """Read one token a row, (B,), and return the next token's logits, (B, V), good until the next step."""

    def take(self, rows: TokenIds) -> None:
        """Let each row i go on from where row rows[i] stands; rows: (B,)."""


def primer_for(model: TextModel, prompt: TokenIds) -> npt.NDArray[np.intp]:
    """Return the ids that precede a prompt, (P,): as much of the primer as the context has room for, a label always."""
    room = max(model.context_length - len(prompt), 1 if model.vocabulary.labels or not len(prompt) else 0)
    return np.asarray(model.primer[-room:] if room else (), dtype=np.intp)


def warm_up(model: TextModel, prompt: TokenIds) -> tuple[Floats, NetworkState]:
    """Feed a prompt, (P,), from the zero state and return the next token's logits, (1, V), and the state.

    A prompt shorter than the context is preceded by as much of the primer as fills it, so that the network starts as it did
    in training; a longer one is read whole.
    """
    stepper = model.network.stepper(model.network.zero_state(1))
    for token in np.concatenate([primer_for(model, prompt), prompt.astype(np.intp)]):
        logits = stepper.step(np.array([token]))
    return logits, stepper.state


def begin(model: AnyModel, prompt: TokenIds, count: int) -> tuple[Logits, Predictor]:
    """Read a prompt, (P,), and return the next token's logits, (count, V), and the way on for `count` equal rows."""
    if isinstance(model, Ensemble):
        return _begin_together(model, prompt, count)
    logits, state = warm_up(model, prompt)
    return np.repeat(logits, count, axis=0), model.network.stepper(_repeated(state, count))


def forbid_end(model: AnyModel, logits: Logits, *, begun: bool) -> None:
    """Take the boundary token out of logits, in place, if the model never ends a text or the text has not begun."""
    if not model.ends or not begun:
        logits[:, BOUNDARY] = -np.inf


def silence(model: AnyModel, logits: Logits) -> None:
    """Take out of logits, in place, the tokens that are read but never drawn."""
    silent = list(model.vocabulary.silent_ids)
    if silent:
        logits[:, silent] = -np.inf


class Guess(NamedTuple):
    """What a model expected before a token came. token, guess: ids, the guess the most probable one."""

    token: int
    guess: int
    probability: float  # of the token
    guess_probability: float


def next_probabilities(model: AnyModel, prompt: TokenIds) -> Doubles:
    """Return the probabilities, (V,), of what follows a prompt, (P,), at temperature 1, as sampling draws them."""
    logits, _ = begin(model, prompt, 1)
    return _probabilities(model, logits, begun=len(prompt) > 0)


def most_probable(model: AnyModel, prompt: TokenIds, count: int) -> list[tuple[int, float]]:
    """Return the ids that most probably follow a prompt, (P,), with their probabilities, at most `count`, the best first."""
    probabilities = next_probabilities(model, prompt)
    best = np.argsort(-probabilities, kind="stable")[:count]
    return [(int(token), float(probabilities[token])) for token in best if probabilities[token] > 0]


def guesses(model: TextModel, prompt: TokenIds) -> list[Guess]:
    """Return what the model expected before each token of a prompt, (P,), as it read it once.

    Before the first token that is what it expects of an empty prompt.
    """
    expected = [next_probabilities(model, prompt[:0])]
    expected += [_probabilities(model, logits, begun=True) for logits in _readings(model, prompt[:-1], primed_for=prompt)]
    return [_guess(int(token), probabilities) for token, probabilities in zip(prompt, expected, strict=False)]


def _guess(token: int, probabilities: Doubles) -> Guess:
    guess = int(probabilities.argmax())
    return Guess(token, guess, float(probabilities[token]), float(probabilities[guess]))


def _readings(model: TextModel, tokens: TokenIds, *, primed_for: TokenIds) -> Iterator[Floats]:
    """Read some tokens after a prompt's primer and yield the logits, (1, V), after each."""
    stepper = model.network.stepper(model.network.zero_state(1))
    for token in primer_for(model, primed_for):
        stepper.step(np.array([token]))
    for token in tokens.astype(np.intp):
        yield stepper.step(np.array([token]))


def _probabilities(model: AnyModel, logits: Logits, *, begun: bool) -> Doubles:
    forbid_end(model, logits, begun=begun)
    silence(model, logits)
    return softmax(logits)[0]


def _repeated(state: NetworkState, count: int) -> NetworkState:
    """Repeat a state of one row for each of `count` rows."""
    layers: list[Any] = [type(layer)(*[np.repeat(array, count, axis=0) for array in layer]) for layer in state]
    return tuple(layers)


class _Together:
    """The predictors of an ensemble as one."""

    def __init__(self, ensemble: Ensemble, predictors: Sequence[Predictor]) -> None:
        self._ensemble, self._predictors = ensemble, predictors
        self._translations = [translation(ensemble.vocabulary, one.vocabulary) for one in ensemble.members]
        self._position = 0

    def step(self, ids: TokenIds) -> Logits:
        self._position += 1
        return self.mix(
            [
                predictor.step(ids if ids_there is None else ids_there[ids])
                for predictor, ids_there in zip(self._predictors, self._translations, strict=True)
            ]
        )

    def take(self, rows: TokenIds) -> None:
        for predictor in self._predictors:
            predictor.take(rows)

    def mix(self, logits: Sequence[Logits]) -> Logits:
        """Put each member's logits, (B, V), into the ensemble's ids, and make one of them."""
        pairs = zip(logits, self._translations, strict=True)
        return self._ensemble.mix([one if there is None else one[:, there] for one, there in pairs], self._position)


def _begin_together(ensemble: Ensemble, prompt: TokenIds, count: int) -> tuple[Logits, Predictor]:
    begun = []
    for member in ensemble.members:
        there = translation(ensemble.vocabulary, member.vocabulary)
        begun.append(begin(member, prompt if there is None else there[prompt], count))
    together = _Together(ensemble, [predictor for _, predictor in begun])
    return together.mix([logits for logits, _ in begun]), together
