"""From a prompt to text: warm-up, then one drawn token after another."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY
from chargen.network.cells import Floats
from chargen.network.model_file import TextModel
from chargen.network.network import NetworkState
from chargen.network.sampling import Sampler

TokenIds = npt.NDArray[np.integer]


def warm_up(model: TextModel, prompt: TokenIds) -> tuple[Floats, NetworkState]:
    """Feed a prompt, (P,), from the zero state and return the next token's logits, (1, V), and the state.

    A prompt shorter than the context is preceded by as much of the primer as fills it, so that the network starts as it did
    in training; a longer one is read whole.
    """
    room = max(model.context_length - len(prompt), 0 if len(prompt) else 1)
    primer = np.asarray(model.primer[-room:] if room else (), dtype=np.intp)
    stepper = model.network.stepper(model.network.zero_state(1))
    for token in np.concatenate([primer, prompt.astype(np.intp)]):
        logits = stepper.step(np.array([token]))
    return logits, stepper.state


def draw_tokens(
    model: TextModel, prompt: TokenIds, *, count: int, length: int, sampler: Sampler, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.intp]]:
    """Continue a prompt `count` times side by side and yield the drawn ids, (count,), of each step.

    At most `length` steps. A continuation that has ended yields the boundary token from then on; the steps stop when all
    have. Each step takes `count` numbers from `rng`.
    """
    logits, state = warm_up(model, prompt)
    logits = np.repeat(logits, count, axis=0)
    stepper = model.network.stepper(_repeated(state, count))
    ended = np.zeros(count, bool)
    for position in range(length):
        if not model.ends or (position == 0 and not len(prompt)):
            logits[:, BOUNDARY] = -np.inf  # a text is not over before it has begun
        ids = sampler(logits, rng)
        if model.ends:
            ids[ended] = BOUNDARY
            ended |= ids == BOUNDARY
        yield ids
        if model.ends and ended.all():
            return
        if position + 1 < length:
            logits = stepper.step(ids)


def stream_text(
    model: TextModel,
    prompt: TokenIds,
    *,
    length: int,
    sampler: Sampler,
    rng: np.random.Generator,
    until: str | None = None,
) -> Iterator[str]:
    """Continue a prompt and yield the continuation piece by piece, until it ends, or holds `until`, or is `length` long."""
    written = ""
    pieces = ["", *model.vocabulary]  # by token id
    for ids in draw_tokens(model, prompt, count=1, length=length, sampler=sampler, rng=rng):
        piece = pieces[ids[0]]
        if piece:
            yield piece
        if until:
            written = (written + piece)[-len(until) :]
            if written == until:
                return


def sample_texts(
    model: TextModel,
    prompt: TokenIds,
    *,
    count: int,
    length: int,
    sampler: Sampler,
    rng: np.random.Generator,
    until: str | None = None,
) -> list[str]:
    """Continue a prompt `count` times in one batch and return the continuations, each cut after `until`."""
    steps = list(draw_tokens(model, prompt, count=count, length=length, sampler=sampler, rng=rng))
    rows = np.array(steps, dtype=np.intp).reshape(-1, count).T  # (count, steps)
    texts = [model.vocabulary.decode(row) for row in rows]
    return [_cut_after(text, until) for text in texts] if until else texts


def _cut_after(text: str, until: str) -> str:
    found = text.find(until)
    return text if found < 0 else text[: found + len(until)]


def _repeated(state: NetworkState, count: int) -> NetworkState:
    """Repeat a state of one row for each of `count` rows."""
    layers: list[Any] = [type(layer)(*[np.repeat(array, count, axis=0) for array in layer]) for layer in state]
    return tuple(layers)
