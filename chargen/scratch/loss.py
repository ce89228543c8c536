"""Compute softmax cross-entropy and its gradient."""

import numpy as np

from chargen.scratch.layers import Array, Ids


def cross_entropy(logits: Array, targets: Ids, weights: Array) -> float:
    """Return the cross-entropy in nats, -Σ w log softmax(logits)[target], over logits (..., V), targets and weights (...)."""
    return _softmax(logits, targets, weights)[0]


def cross_entropy_and_gradient(logits: Array, targets: Ids, weights: Array) -> tuple[float, Array]:
    """Return the result of `cross_entropy`, and the gradient of its weighted mean, (..., V).

    With p = softmax(logits), dlogits = (p - one_hot(target)) w / Σ w; zero if all weights are zero.
    """
    loss, d_logits = _softmax(logits, targets, weights)
    rows = d_logits.reshape(-1, d_logits.shape[-1])
    rows[np.arange(len(rows)), targets.reshape(-1)] -= 1
    rows *= (weights / max(weights.sum(), 1)).reshape(-1, 1)
    return loss, d_logits


def _softmax(logits: Array, targets: Ids, weights: Array) -> tuple[float, Array]:
    """Return the summed cross-entropy and the probabilities, (..., V)."""
    values = logits - logits.max(axis=-1, keepdims=True)  # so that exp cannot overflow
    chosen = np.take_along_axis(values, targets[..., None], axis=-1)  # (..., 1)
    np.exp(values, out=values)
    sums = values.sum(axis=-1, keepdims=True)
    values /= sums
    losses = (np.log(sums) - chosen)[..., 0]
    return float((losses * weights).sum(dtype=np.float64)), values
