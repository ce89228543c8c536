"""Implement optimizers with Keras's formulas and defaults.

In the equations w is a weight, g its gradient, n the learning rate, t the number of the step, from 1; all products are
element-wise. Weights and slots are changed in place.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from chargen.scratch.layers import Array

EPSILON = 1e-7  # avoids division by zero
# Of Muon. Groups of 128 columns are a fifth of the work of whole gates with 512 units, and train as well (docs/quality.md).
QUINTIC, ITERATIONS, MOST_COLUMNS = (3.4445, -4.7750, 2.0315), 5, 128
RATE = 10.0  # times the learning rate


class Optimizer(ABC):
    """The update rule of the weights, and its state.

    num_steps: the number of updates so far. slots: for each weight's name, arrays of the weight's shape, one for each of
    `slot_starts`. Together they are the whole state of an optimizer.
    """

    slot_starts: ClassVar[tuple[float, ...]] = ()  # the initial value of each slot

    def __init__(
        self,
        learning_rate: float,
        *,
        clip_norm: float = 0.0,
        clip_value: float = 0.0,
        beta_2: float = 0.999,
        weight_decay: float = 0.004,
    ) -> None:
        """Set the learning rate and the limits of `clip_by_value` and, after it, `clip_by_norm`; 0 does not clip.

        beta_2 is for Adam, AdamW and Muon, weight_decay for the last two.
        """
        self.learning_rate, self.clip_norm, self.clip_value = learning_rate, clip_norm, clip_value
        self.beta_2, self.weight_decay = beta_2, weight_decay
        self.num_steps = 0
        self.slots: dict[str, list[Array]] = {}

    def update(self, weights: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
        """Take one step: change the weights in place, and clip the gradients in place."""
        if self.clip_value:
            clip_by_value(gradients.values(), self.clip_value)
        if self.clip_norm:
            clip_by_norm(gradients.values(), self.clip_norm)
        self.num_steps += 1
        for name, weight in weights.items():
            if name not in self.slots:
                self.slots[name] = [np.full_like(weight, start) for start in self.slot_starts]
            self._update(name, weight, gradients[name], *self.slots[name])

    @abstractmethod
    def _update(self, name: str, weight: Array, gradient: Array, *slots: Array) -> None:
        """Change the weight of this name and its slots in place."""


class SGD(Optimizer):
    """The update w = w - n g."""

    def _update(self, name: str, weight: Array, gradient: Array, *slots: Array) -> None:
        weight -= self.learning_rate * gradient


class RMSprop(Optimizer):
    """The update v = ρ v + (1 - ρ) g²,  w = w - n g / sqrt(v + ε) (Tieleman and Hinton 2012)."""

    slot_starts = (0.0,)
    rho = 0.9

    def _update(self, name: str, weight: Array, gradient: Array, *slots: Array) -> None:
        (mean_square,) = slots
        mean_square *= self.rho
        mean_square += (1 - self.rho) * gradient * gradient
        weight -= self.learning_rate * gradient / np.sqrt(mean_square + EPSILON)


class Adagrad(Optimizer):
    """The update v = v + g²,  w = w - n g / sqrt(v + ε) (Duchi, Hazan and Singer 2011)."""

    slot_starts = (0.1,)

    def _update(self, name: str, weight: Array, gradient: Array, *slots: Array) -> None:
        (sum_of_squares,) = slots
        sum_of_squares += gradient * gradient
        weight -= self.learning_rate * gradient / np.sqrt(sum_of_squares + EPSILON)


class Adam(Optimizer):
    """Moment estimates, corrected for their start at zero (Kingma and Ba 2015).

    m = β₁ m + (1 - β₁) g,  v = β₂ v + (1 - β₂) g²
    w = w - n sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) m / (sqrt(v) + ε)
    """

    slot_starts = (0.0, 0.0)
    beta_1 = 0.9

    def _update(self, name: str, weight: Array, gradient: Array, *slots: Array) -> None:
        mean, mean_square = slots
        mean += (1 - self.beta_1) * (gradient - mean)
        mean_square += (1 - self.beta_2) * (gradient * gradient - mean_square)
        correction = math.sqrt(1 - self.beta_2**self.num_steps) / (1 - self.beta_1**self.num_steps)
        weight -= self.learning_rate * correction * mean / (np.sqrt(mean_square) + EPSILON)


class AdamW(Adam):
    """Adam with decoupled weight decay: first w = w - n λ w (Loshchilov and Hutter 2019)."""

    def _update(self, name: str, weight: Array, gradient: Array, *slots: Array) -> None:
        weight *= 1 - self.learning_rate * self.weight_decay
        super()._update(name, weight, gradient, *slots)


class Muon(AdamW):
    """AdamW, but for the kernels of recurrent layers with H units: m as in Adam,  w = w - n λ w - 10 n sqrt(k / H) o.

    o: the momentum m of a gate's columns, in groups of at most `MOST_COLUMNS`, with singular values near 1 (Jordan et al.
    2024). k: the longer side of o. So a step changes a weight by about 10 n / sqrt(H).
    """

    def update(self, weights: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
        """Take one step: change the weights in place, and clip the gradients in place."""
        self._gates = muon_gates({name: weight.shape for name, weight in weights.items()})
        super().update(weights, gradients)

    def _update(self, name: str, weight: Array, gradient: Array, *slots: Array) -> None:
        if name not in self._gates:
            super()._update(name, weight, gradient, *slots)
            return
        momentum, _ = slots
        momentum += (1 - self.beta_1) * (gradient - momentum)
        weight *= 1 - self.learning_rate * self.weight_decay
        units = weight.shape[1] // self._gates[name]
        wide = columns_together(units)
        for gate in range(self._gates[name]):
            for first in range(0, units, wide):
                columns = slice(gate * units + first, gate * units + min(first + wide, units))
                step = orthogonal(momentum[:, columns])
                weight[:, columns] -= RATE * self.learning_rate * math.sqrt(max(step.shape) / units) * step


def muon_gates(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return of which weights Muon takes the steps, and the number of gates in their columns.

    shapes: of all weights by name. They are those named "...kernel" and "...recurrent_kernel" with the same beginning.
    """
    gates = {
        name.removesuffix("recurrent_kernel"): shape[1] // shape[0]
        for name, shape in shapes.items()
        if name.endswith("recurrent_kernel")
    }
    both = {f"{layer}{kernel}": count for layer, count in gates.items() for kernel in ("kernel", "recurrent_kernel")}
    return {name: count for name, count in both.items() if name in shapes}


def columns_together(units: int) -> int:
    """Return how many of a gate's columns form a group; the last group may have fewer."""
    return math.ceil(units / math.ceil(units / MOST_COLUMNS))


def orthogonal(matrix: Array) -> Array:
    """Return a matrix with the same singular vectors and singular values near 1, by five Newton-Schulz iterations."""
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.T).T
    a, b, c = QUINTIC
    x = matrix / (np.linalg.norm(matrix) + 1e-12)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def clip_by_norm(gradients: Iterable[Array], limit: float) -> None:
    """Scale all gradients in place by one factor so that their joint Euclidean norm is at most `limit`."""
    gradients = list(gradients)
    norm = math.sqrt(sum(float(np.vdot(one, one)) for one in gradients))
    if not norm <= limit:  # also if the norm is NaN
        for one in gradients:
            one *= limit / norm


def clip_by_value(gradients: Iterable[Array], limit: float) -> None:
    """Clip every element of the gradients to [-limit, limit], in place."""
    for one in gradients:
        np.clip(one, -limit, limit, out=one)


def optimizer_type(name: str) -> type[Optimizer]:
    """Return the class of an optimizer by its configured name."""
    kinds: dict[str, type[Optimizer]] = {
        "adam": Adam,
        "adamw": AdamW,
        "muon": Muon,
        "rmsprop": RMSprop,
        "sgd": SGD,
        "adagrad": Adagrad,
    }
    return kinds[name]
