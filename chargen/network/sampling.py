"""From logits to a drawn token: temperature, then top-k, then top-p, then the draw."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from chargen.errors import ConfigError

Logits = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


def softmax(logits: Logits) -> Doubles:
    """Return the probabilities, (B, V), of unnormalised scores, (B, V), in float64; each row needs a finite maximum."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


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


def draw(weights: Doubles, rng: np.random.Generator) -> npt.NDArray[np.intp]:
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

    temperature: 0 takes the most probable token (greedy). top_k: 0 keeps all. top_p: 1 keeps all. Raises ConfigError for
    numbers out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature is {self.temperature:g}, expected 0 or more", hint="try 0.5 to 1.2")
        if self.top_k < 0:
            raise ConfigError(f"top-k is {self.top_k}, expected 1 or more, or 0 for all")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top-p is {self.top_p:g}, expected more than 0 and at most 1")

    def __call__(self, logits: Logits, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Choose one id a row, (B,), from logits (B, V), which are not changed."""
        if self.temperature == 0:
            return logits.argmax(axis=-1)
        scaled = np.subtract(logits, np.maximum.reduce(logits, axis=-1, keepdims=True), dtype=np.float64)
        if self.temperature != 1:
            scaled /= self.temperature
        if self.top_k:
            scaled = keep_top_k(scaled, self.top_k)
        if self.top_p < 1:
            scaled = keep_top_p(scaled, self.top_p)
        return draw(np.exp(scaled, out=scaled), rng)  # softmax but for the sum: the largest logit is 0 already
