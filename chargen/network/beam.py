"""Beam search: the most probable continuations, found without a draw."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from chargen.corpus.vocabulary import BOUNDARY
from chargen.network.generation import cut_after, token_lengths
from chargen.network.prediction import AnyModel, TokenIds, begin, forbid_end, silence
from chargen.network.sampling import Doubles, Logits, exclude, log_softmax


class Beam(NamedTuple):
    """A continuation, without the boundary token, and the sum of its tokens' log-probabilities, in nats."""

    text: str
    log_probability: float
    complete: bool  # ended by itself, or by the text that was to stop it


class _Path(NamedTuple):
    """A way through the tokens; row: where the network's batch holds what it has read before the last of them."""

    ids: tuple[int, ...]
    log_probability: float
    row: int = 0
    complete: bool = False


def beam_search(
    model: AnyModel,
    prompt: TokenIds,
    *,
    width: int,
    length: int,
    until: str | None = None,
    banned: tuple[int, ...] = (),
    min_length: int = 0,
    only_complete: bool = False,
) -> list[Beam]:
    """Return the most probable continuations of a prompt that a beam of `width` finds, at most `width`, the best first.

    A continuation has at most `length` tokens; it is complete once it ends by itself, not before min_length characters and
    with the probability of ending counted, or holds `until`; only_complete leaves out those cut at `length`. The
    probabilities are those of drawing at temperature 1 without the banned ids. Sums are compared as they are, not divided by
    the length: complete texts and cut ones exclude each other, so that their probabilities are parts of one whole. A beam
    that has room for every continuation finds the best ones for certain.
    """
    logits, predictor = begin(model, prompt, width)
    alive, complete = [_Path((), 0.0)], list[_Path]()
    for position in range(length):
        forbid_end(model, logits, begun=position > 0 or len(prompt) > 0)
        silence(model, logits)
        scores = _scores(model, alive, exclude(logits[: len(alive)], banned), min_length)
        grown = [_completed(model, path, until) for path in _grown(alive, scores, width)]
        complete = _best([*complete, *_ended(alive, scores), *[path for path in grown if path.complete]], width)
        alive = [path for path in grown if not path.complete]
        if not alive or (len(complete) == width and complete[-1].log_probability >= alive[0].log_probability):
            break  # a path only loses by growing
        if position + 1 < length:  # rows beyond the paths alive repeat some of them, unread
            predictor.take(np.resize([path.row for path in alive], width))
            logits = predictor.step(np.resize([path.ids[-1] for path in alive], width))
    best = complete if only_complete else _best([*complete, *alive], width)
    return [Beam(cut_after(_text(model, path), until), path.log_probability, path.complete) for path in best]


def _scores(model: AnyModel, alive: list[_Path], logits: Logits, min_length: int) -> Doubles:
    """Return the log-probability of each path alive with each token after it, (A, V)."""
    if min_length:
        lengths = token_lengths(model.vocabulary)
        too_short = [lengths[list(path.ids)].sum() < min_length for path in alive]
        logits[too_short, BOUNDARY] = -np.inf
    return log_softmax(logits) + np.array([[path.log_probability] for path in alive])


def _ended(alive: list[_Path], scores: Doubles) -> list[_Path]:
    """Return the paths that can end here, as complete ones."""
    ends = zip(alive, scores[:, BOUNDARY].tolist(), strict=True)
    return [path._replace(log_probability=end, complete=True) for path, end in ends if end > -np.inf]


def _grown(alive: list[_Path], scores: Doubles, width: int) -> list[_Path]:
    """Return the best `width` paths that are one token longer, the best first; of equal ones the first stay."""
    following = scores[:, BOUNDARY + 1 :]  # (A, V - 1)
    order = np.argsort(-following, axis=None, kind="stable")[:width].tolist()
    places = [divmod(place, following.shape[1]) for place in order if following.flat[place] > -np.inf]
    return [_Path((*alive[row].ids, BOUNDARY + 1 + token), float(following[row, token]), row) for row, token in places]


def _completed(model: AnyModel, path: _Path, until: str | None) -> _Path:
    return path._replace(complete=True) if until and until in _text(model, path) else path


def _text(model: AnyModel, path: _Path) -> str:
    return model.vocabulary.decode(np.array(path.ids, np.intp))


def _best(paths: Iterable[_Path], width: int) -> list[_Path]:
    return sorted(paths, key=lambda path: -path.log_probability)[:width]
