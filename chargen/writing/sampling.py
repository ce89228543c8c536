"""Draw a token from logits: penalty and bans, then temperature, top-k, top-p, and the draw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.errors import ConfigError
from chargen.settings.schema import SamplingOptions

Logits = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
DrawnIds = npt.NDArray[np.intp]


def softmax(logits: Logits) -> Doubles:
    """Return the probabilities, (B, V), of unnormalised scores, (B, V), in float64; each row needs a finite maximum."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def log_softmax(logits: Logits) -> Doubles:
    """Return the log-probabilities, (..., V), of unnormalised scores, (..., V), in float64; each row needs a finite maximum."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def penalize(logits: Logits, recent: Sequence[DrawnIds], penalty: float) -> Logits:
    """Make the tokens drawn of late less probable (CTRL, Keskar et al. 2019, section 4.1).

    Their logits, (B, V), are divided by `penalty` where positive and multiplied by it where negative: the paper only divides,
    which would favour a token of negative logit. recent: the ids of some steps, each (B,). The boundary token is left alone,
    since it comes once a text.
    """
    if not recent:
        return logits
    seen = np.zeros(logits.shape, bool)
    np.put_along_axis(seen, np.stack(recent, axis=1), True, axis=-1)
    seen[:, BOUNDARY] = False
    return np.where(seen, np.where(logits > 0, logits / penalty, logits * penalty), logits)


def exclude(logits: Logits, ids: Sequence[int]) -> Logits:
    """Set the logits, (B, V), of some ids to minus infinity."""
    kept = logits.copy()
    kept[:, list(ids)] = -np.inf
    return kept


def banned_ids(vocabulary: Vocabulary, characters: str) -> tuple[int, ...]:
    """Return the ids of the tokens that hold one of some characters.

    Raises ConfigError if no token is left, and for a character that a model of bytes writes as several tokens.
    """
    if vocabulary.kind == "byte" and not characters.isascii():
        raise ConfigError("--ban takes ASCII characters for a model of bytes, to which others are several tokens")
    forbidden = set(characters)
    banned = [token for token, text in enumerate(vocabulary.texts) if forbidden & set(text)]
    left = set(range(BOUNDARY + 1, len(vocabulary))) - set(vocabulary.silent_ids) - set(banned)
    if not left:
        raise ConfigError(f"--ban leaves none of the {len(banned)} tokens that the model writes", hint="ban fewer")
    return tuple(banned)


def keep_top_k(logits: Doubles, k: int) -> Doubles:
    """Set all but the k largest logits of each row to minus infinity; of equal ones the lower ids stay.

    k of V or more changes nothing.
    """
    if k >= logits.shape[-1]:
        return logits
    order = np.argsort(-logits, axis=-1, kind="stable")
    kept = logits.copy()
    np.put_along_axis(kept, order[:, k:], -np.inf, axis=-1)
    return kept


def keep_top_p(logits: Doubles, p: float) -> Doubles:
    """Keep the fewest most probable tokens of each row whose probabilities reach p (Holtzman et al. 2020)."""
    order = np.argsort(-logits, axis=-1, kind="stable")
    probabilities = np.take_along_axis(softmax(logits), order, axis=-1)
    before = np.cumsum(probabilities, axis=-1) - probabilities  # what the more probable ones hold together
    dropped = before >= p
    dropped[:, 0] = False
    kept = logits.copy()
    np.put_along_axis(kept, order, np.where(dropped, -np.inf, np.take_along_axis(logits, order, axis=-1)), axis=-1)
    return kept


def draw(weights: Doubles, rng: np.random.Generator) -> DrawnIds:
    """Draw one id a row, (B,), with chances in proportion to weights, (B, V); `rng` gives one uniform number a row."""
    if len(weights) == 1:  # the same, by a search
        cumulative = np.add.accumulate(weights[0])
        place = cumulative.searchsorted(rng.random() * cumulative[-1], side="right")
        return np.array([min(place, len(cumulative) - 1)])
    columns = np.ascontiguousarray(weights.T)  # (V, B): sums of whole columns, which NumPy's accumulate takes one by one
    for before, column in pairwise(columns):
        column += before
    points = rng.random(len(weights)) * columns[-1]
    return (columns <= points).sum(axis=0).clip(max=len(columns) - 1)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How the next token is chosen from logits.

    temperature: 0 takes the most probable token (greedy); several are taken in turn, one a token. top_k: 0 keeps all.
    top_p: 1 keeps all. repetition_penalty: 1 changes nothing; it looks at the last repetition_window drawn tokens. banned: ids
    that are never drawn. Raises ConfigError for numbers out of range.
    """

    temperature: float | tuple[float, ...] = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    repetition_window: int = 64
    banned: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for one in self.temperatures:
            if not 0 <= one < float("inf"):
                raise ConfigError(f"temperature is {one:g}, expected 0 or more", hint="try 0.5 to 1.2")
        if self.top_k < 0:
            raise ConfigError(f"top-k is {self.top_k}, expected 1 or more, or 0 for all")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top-p is {self.top_p:g}, expected more than 0 and at most 1")
        if not 0 < self.repetition_penalty < float("inf"):
            raise ConfigError(f"repetition-penalty is {self.repetition_penalty:g}, expected more than 0", hint="try 1.2")
        if self.repetition_window < 1:
            raise ConfigError(f"repetition-window is {self.repetition_window}, expected 1 or more")

    @cached_property
    def temperatures(self) -> tuple[float, ...]:
        """The temperatures that take turns."""
        return self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)

    @property
    def memory(self) -> int:
        """Drawn tokens to hand back at each call as `recent`."""
        return 0 if self.repetition_penalty == 1 else self.repetition_window

    @cached_property
    def _adjustments(self) -> list[Callable[[Logits, Sequence[DrawnIds]], Logits]]:
        """What is done to raw logits, in order."""
        adjustments: list[Callable[[Logits, Sequence[DrawnIds]], Logits]] = []
        if self.repetition_penalty != 1:
            adjustments.append(partial(penalize, penalty=self.repetition_penalty))
        if self.banned:
            adjustments.append(lambda logits, recent: exclude(logits, self.banned))
        return adjustments

    @cached_property
    def _filters(self) -> list[Callable[[Doubles], Doubles]]:
        """What is done to logits divided by the temperature, in order."""
        filters: list[Callable[[Doubles], Doubles]] = []
        if self.top_k:
            filters.append(partial(keep_top_k, k=self.top_k))
        if self.top_p < 1:
            filters.append(partial(keep_top_p, p=self.top_p))
        return filters

    def __call__(
        self, logits: Logits, rng: np.random.Generator, *, position: int = 0, recent: Sequence[DrawnIds] = ()
    ) -> DrawnIds:
        """Choose one id a row, (B,), from logits (B, V), which are not changed.

        position: tokens drawn before, which chooses among several temperatures. recent: the ids, each (B,), of the last
        `memory` steps.
        """
        for adjust in self._adjustments:
            logits = adjust(logits, recent)
        temperature = self.temperatures[position % len(self.temperatures)]
        if temperature == 0:
            return logits.argmax(axis=-1)
        scaled = np.subtract(logits, np.maximum.reduce(logits, axis=-1, keepdims=True), dtype=np.float64)
        if temperature != 1:
            scaled /= temperature
        for keep in self._filters:
            scaled = keep(scaled)
        return draw(np.exp(scaled, out=scaled), rng)  # softmax but for the sum: the largest logit is 0 already


def make_sampler(options: SamplingOptions, vocabulary: Vocabulary) -> Sampler:
    """Return the sampler that some options ask for with a vocabulary.

    Raises ConfigError for numbers out of range, and for a ban of every token.
    """
    return Sampler(
        temperature=0.0 if options.greedy else options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        repetition_penalty=options.repetition_penalty,
        repetition_window=options.repetition_window,
        banned=banned_ids(vocabulary, options.ban) if options.ban else (),
    )
