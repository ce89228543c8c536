"""Search for the most probable continuations with a beam."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from chargen.corpus.vocabulary import BOUNDARY
from chargen.network.average import log_softmax
from chargen.writing.ensemble import AnyModel
from chargen.writing.generation import Stopped, continuation, count_characters, most_steps
from chargen.writing.prediction import begin, forbid_end, silence
from chargen.writing.sampling import Doubles, Logits, exclude
from chargen.writing.scoring import IdArray


class Beam(NamedTuple):
    """Hold a continuation, without the boundary token, and the sum of its tokens' log-probabilities, in nats."""

    text: str
    log_probability: float
    stopped: Stopped

    @property
    def complete(self) -> bool:
        """Whether the text was not cut at its length."""
        return self.stopped != "length"


class _Path(NamedTuple):
    """Hold a sequence of tokens; row: the row of the batch that has read all but the last of them."""

    ids: tuple[int, ...]
    log_probability: float
    row: int = 0
    stopped: Stopped | None = None


def beam_search(
    model: AnyModel,
    prompt: IdArray,
    *,
    width: int,
    length: int,
    until: str | None = None,
    banned: tuple[int, ...] = (),
    min_length: int = 0,
    only_complete: bool = False,
) -> list[Beam]:
    """Return the most probable continuations of a prompt that a beam of `width` finds, at most `width`, the best first.

    A continuation stops when it ends by itself, not before min_length characters and with the probability of ending counted,
    when it holds `until`, or when it is `length` characters long, where it is cut; only_complete leaves out those cut. The
    probabilities are those of drawing at temperature 1 without the banned ids; those of several ways to write one text are
    added. Sums are compared as they are, not divided by the length: complete texts and cut ones exclude each other, so that
    their probabilities are parts of one whole. A beam that has room for every continuation finds the best ones for certain.
    """
    logits, predictor = begin(model, prompt, width)
    alive, finished = [_Path((), 0.0)], list[_Path]()
    steps = most_steps(model.vocabulary, length)
    for position in range(steps):
        forbid_end(model, logits, begun=position > 0 or len(prompt) > 0)
        silence(model, logits)
        scores = _scores(model, alive, exclude(logits[: len(alive)], banned), min_length)
        grown = [_stopped(model, path, length, until) for path in _grown(alive, scores, width)]
        new = [*_ended(alive, scores), *[path for path in grown if path.stopped]]
        finished = _best([*finished, *[path for path in new if not only_complete or path.stopped != "length"]], width)
        alive = [path for path in grown if not path.stopped]
        if not alive or (len(finished) == width and finished[-1].log_probability >= alive[0].log_probability):
            break  # a longer path is never more probable
        if position + 1 < steps:  # the remaining rows repeat some paths and are ignored
            predictor.take(np.resize([path.row for path in alive], width))
            logits = predictor.step(np.resize([path.ids[-1] for path in alive], width))
    best = finished if only_complete else _best([*finished, *alive], width)
    found = [(continuation(model, _text(model, path), length=length, until=until), path.log_probability) for path in best]
    return _merged(Beam(one.text, log_probability, one.stopped) for one, log_probability in found)


def _merged(beams: Iterable[Beam]) -> list[Beam]:
    """Return each text once, the best first; the probabilities of equal ones are added."""
    merged: dict[str, Beam] = {}
    for beam in beams:
        same = merged.get(beam.text)
        both = beam.log_probability if same is None else float(np.logaddexp(same.log_probability, beam.log_probability))
        merged[beam.text] = beam._replace(log_probability=both)
    return sorted(merged.values(), key=lambda beam: -beam.log_probability)


def _scores(model: AnyModel, alive: list[_Path], logits: Logits, min_length: int) -> Doubles:
    """Return the log-probability of each path alive with each token after it, (A, V)."""
    if min_length:
        too_short = [_characters(model, path) < min_length for path in alive]
        logits[too_short, BOUNDARY] = -np.inf
    return log_softmax(logits) + np.array([[path.log_probability] for path in alive])


def _ended(alive: list[_Path], scores: Doubles) -> list[_Path]:
    """Return the paths that can end here, as complete ones."""
    ends = zip(alive, scores[:, BOUNDARY].tolist(), strict=True)
    return [path._replace(log_probability=end, stopped="end") for path, end in ends if end > -np.inf]


def _grown(alive: list[_Path], scores: Doubles, width: int) -> list[_Path]:
    """Return the best `width` paths that are one token longer, the best first; of equal ones the first stay."""
    following = scores[:, BOUNDARY + 1 :]  # (A, V - 1)
    order = np.argsort(-following, axis=None, kind="stable")[:width].tolist()
    places = [divmod(place, following.shape[1]) for place in order if following.flat[place] > -np.inf]
    return [_Path((*alive[row].ids, BOUNDARY + 1 + token), float(following[row, token]), row) for row, token in places]


def _stopped(model: AnyModel, path: _Path, length: int, until: str | None) -> _Path:
    """Return a path with why it stops here, if it does."""
    if until and until in _text(model, path)[:length]:
        return path._replace(stopped="until")
    return path._replace(stopped="length") if _characters(model, path) >= length else path


def _characters(model: AnyModel, path: _Path) -> int:
    return count_characters(model.vocabulary, np.array(path.ids, np.intp))


def _text(model: AnyModel, path: _Path) -> str:
    return model.vocabulary.decode(np.array(path.ids, np.intp))


def _best(paths: Iterable[_Path], width: int) -> list[_Path]:
    return sorted(paths, key=lambda path: -path.log_probability)[:width]
