"""Normalise in NumPy like Keras's layers at inference."""

from dataclasses import dataclass

import numpy as np

from chargen.network.cells import Floats

EPSILON = np.float32(1e-3)  # Keras's default for both layers


@dataclass(frozen=True)
class LayerNorm:
    """Layer normalisation: each row to mean 0 and variance 1, then scaled and shifted (Ba, Kiros and Hinton 2016)."""

    gamma: Floats  # (H,)
    beta: Floats  # (H,)

    def __call__(self, values: Floats) -> Floats:
        """Return the normalised rows of (..., H)."""
        centred = values - values.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + EPSILON) * self.gamma + self.beta


def batch_normalized(values: Floats, *, gamma: Floats, beta: Floats, moving_mean: Floats, moving_variance: Floats) -> Floats:
    """Return (..., E) values, normalised by the moving statistics of training (Ioffe and Szegedy 2015)."""
    return (values - moving_mean) / np.sqrt(moving_variance + EPSILON) * gamma + beta
