"""From a prompt to text: warm-up, then one drawn token after another."""

from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.network.prediction import AnyModel, TokenIds, begin, forbid_end
from chargen.network.sampling import DrawnIds, Sampler, token_texts


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
    lengths, written = token_lengths(model.vocabulary) if min_length else None, np.zeros(count, int)
    silent = np.array(model.vocabulary.silent_ids, np.intp)
    for position in range(length):
        forbid_end(model, logits, begun=position > 0 or len(prompt) > 0)
        if len(silent):
            logits[:, silent] = -np.inf
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
        if lengths is not None:
            written += lengths[ids]
        if position + 1 < length:
            logits = predictor.step(ids)


def token_lengths(vocabulary: Vocabulary) -> npt.NDArray[np.intp]:
    """Return the characters of every token, (V,); of a character of several bytes, the first counts."""
    lengths = np.array([len(text) for text in token_texts(vocabulary)])
    if vocabulary.kind == "byte":
        lengths[0x81:0xC1] = 0  # the bytes 80 to BF go on with a character
    return lengths


def _pieces(vocabulary: Vocabulary, drawn: Iterator[DrawnIds]) -> Iterator[str]:
    """Yield the text of each token of a single row, that of a character's bytes with the last of them."""
    if vocabulary.kind != "byte":
        texts = token_texts(vocabulary)
        yield from (texts[ids[0]] for ids in drawn)
        return
    decoder = getincrementaldecoder("utf-8")("replace")
    for ids in drawn:
        yield decoder.decode(bytes([ids[0] - 1]) if ids[0] != BOUNDARY else b"")
    yield decoder.decode(b"", final=True)


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
    tail = ""  # what may be the beginning of `until`
    drawn = draw_tokens(model, prompt, count=1, length=length, sampler=sampler, rng=rng, min_length=min_length)
    for piece in _pieces(model.vocabulary, drawn):
        if until and until in tail + piece:
            yield cut_after(tail + piece, until)[len(tail) :]
            return
        if until:
            tail = (tail + piece)[1 - len(until) :] if len(until) > 1 else ""
        if piece:
            yield piece


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
