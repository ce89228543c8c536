"""From a prompt to text: warm-up, then one drawn token after another."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY
from chargen.network.prediction import AnyModel, TokenIds, begin, forbid_end
from chargen.network.sampling import DrawnIds, Sampler


class Continuation(NamedTuple):
    """Drawn text, and whether it came to its end: by itself, or by the text that was to stop it."""

    text: str
    complete: bool


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

    At most `length` steps. A continuation that has ended yields the boundary token from then on; the steps stop when all
    have. None ends before it has min_length characters. Each step takes `count` numbers from `rng`, or none if greedy.
    """
    logits, predictor = begin(model, prompt, count)
    recent: deque[DrawnIds] = deque(maxlen=sampler.memory)
    ended = np.zeros(count, bool)
    lengths, written = token_lengths(model), np.zeros(count, int)
    for position in range(length):
        forbid_end(model, logits, begun=position > 0 or len(prompt) > 0)
        if min_length:
            logits[written < min_length, BOUNDARY] = -np.inf
        ids = sampler(logits, rng, position=position, recent=recent)
        if model.ends:
            ids[ended] = BOUNDARY
            ended |= ids == BOUNDARY
        yield ids
        if model.ends and ended.all():
            return
        recent.append(ids)
        if min_length:
            written += lengths[ids]
        if position + 1 < length:
            logits = predictor.step(ids)


def token_lengths(model: AnyModel) -> npt.NDArray[np.intp]:
    """Return the characters of every token, (V,); the boundary has none."""
    return np.array([0, *map(len, model.vocabulary)])


def stream_text(
    model: AnyModel,
    prompt: TokenIds,
    *,
    length: int,
    sampler: Sampler,
    rng: np.random.Generator,
    until: str | None = None,
    min_length: int = 0,
) -> Iterator[str]:
    """Continue a prompt and yield the continuation piece by piece, until it ends, or holds `until`, or is `length` long."""
    written = ""
    pieces = ["", *model.vocabulary]  # by token id
    drawn = draw_tokens(model, prompt, count=1, length=length, sampler=sampler, rng=rng, min_length=min_length)
    for ids in drawn:
        piece = pieces[ids[0]]
        if piece:
            yield piece
        if until:
            written = (written + piece)[-len(until) :]
            if written == until:
                return


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
    """Continue a prompt `count` times in one batch, each cut after `until`."""
    drawn = draw_tokens(model, prompt, count=count, length=length, sampler=sampler, rng=rng, min_length=min_length)
    rows = np.array(list(drawn), dtype=np.intp).reshape(-1, count).T  # (count, steps)
    texts = [model.vocabulary.decode(row) for row in rows]
    return [
        Continuation(cut_after(text, until), complete=bool((row == BOUNDARY).any()) or bool(until and until in text))
        for text, row in zip(texts, rows, strict=True)
    ]


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
    """Continue a prompt `count` times in one batch and return the continuations, each cut after `until`."""
    drawn = continue_prompt(
        model, prompt, count=count, length=length, sampler=sampler, rng=rng, until=until, min_length=min_length
    )
    return [one.text for one in drawn]


def cut_after(text: str, until: str | None) -> str:
    """Return a text up to the first `until`, that included; the whole text if it holds none."""
    found = text.find(until) if until else -1
    return text if found < 0 else text[: found + len(until or "")]
