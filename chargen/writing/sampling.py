"""Draw a token from logits: penalty and bans, then temperature, top-k, top-p, and the draw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.errors import ConfigError
from chargen.settings.writing import SamplingOptions

Logits = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
COLDEST = 1e-200  # a lower temperature is greedy, since logits divided by it are beyond float64

DrawnIds = npt.NDArray[np.intp]


def softmax(logits: Logits) -> Doubles:
    """Return the probabilities, (B, V), of unnormalised scores, (B, V), in float64; each row needs a finite maximum."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def penalize(logits: Logits, recent: Sequence[DrawnIds], penalty: float) -> Logits:
    """Make recently drawn tokens less probable (CTRL, Keskar et al. 2019, section 4.1).

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
    """Return the ids of the tokens that contain any of the characters.

    Raises ConfigError if no token is left, and for a character that a model of bytes writes as several tokens.
    """
    if vocabulary.kind == "byte" and not characters.isascii():
        raise ConfigError(
            "--ban takes only ASCII characters for a model of bytes, which writes other characters as several tokens"
        )
    forbidden = set(characters)
    banned = [token for token, text in enumerate(vocabulary.texts) if forbidden & set(text)]
    left = set(range(BOUNDARY + 1, len(vocabulary))) - set(vocabulary.silent_ids) - set(banned)
    if not left:
        raise ConfigError(f"--ban leaves none of the model's {len(banned)} tokens", hint="ban fewer characters")
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
    before = np.cumsum(probabilities, axis=-1) - probabilities  # the sum of the more probable ones
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


@dataclass(frozen=True)
class Sampler:
    """Choose the next token from logits as some options say; `banned` ids are never drawn."""

    options: SamplingOptions = field(default_factory=SamplingOptions)
    banned: tuple[int, ...] = ()

    @property
    def memory(self) -> int:
        """Drawn tokens to hand back at each call as `recent`."""
        return 0 if self.options.repetition_penalty == 1 else self.options.repetition_window

    @property
    def plain(self) -> bool:
        """Whether a draw depends on nothing but the logits, the banned ids and the temperature, and is not greedy."""
        options = self.options
        return options.repetition_penalty == 1 and not options.top_k and options.top_p == 1 and min(options.temperatures) > 0

    @cached_property
    def _temperatures(self) -> tuple[float, ...]:
        return self.options.temperatures

    @cached_property
    def _adjustments(self) -> list[Callable[[Logits, Sequence[DrawnIds]], Logits]]:
        """The changes to raw logits, in order."""
        adjustments: list[Callable[[Logits, Sequence[DrawnIds]], Logits]] = []
        if self.options.repetition_penalty != 1:
            adjustments.append(partial(penalize, penalty=self.options.repetition_penalty))
        if self.banned:
            adjustments.append(lambda logits, recent: exclude(logits, self.banned))
        return adjustments

    @cached_property
    def _filters(self) -> list[Callable[[Doubles], Doubles]]:
        """The changes to logits divided by the temperature, in order."""
        filters: list[Callable[[Doubles], Doubles]] = []
        if self.options.top_k:
            filters.append(partial(keep_top_k, k=self.options.top_k))
        if self.options.top_p < 1:
            filters.append(partial(keep_top_p, p=self.options.top_p))
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
        temperature = self._temperatures[position % len(self._temperatures)]
        if temperature < COLDEST:
            return logits.argmax(axis=-1)
        scaled = np.subtract(logits, np.maximum.reduce(logits, axis=-1, keepdims=True), dtype=np.float64)
        if temperature != 1:
            scaled /= temperature
        for keep in self._filters:
            scaled = keep(scaled)
        return draw(np.exp(scaled, out=scaled), rng)  # softmax but for the sum: the largest logit is 0 already


def make_sampler(options: SamplingOptions, vocabulary: Vocabulary) -> Sampler:
    """Return the sampler for a vocabulary. Raises ConfigError if --ban leaves no token."""
    return Sampler(options, banned_ids(vocabulary, options.ban) if options.ban else ())
