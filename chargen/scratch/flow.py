"""Measure for each recurrent layer, on one batch, where gradients vanish or explode and where units are saturated."""

from typing import NamedTuple

import numpy as np

from chargen.corpus.windows import Batch
from chargen.scratch.layers import Array
from chargen.scratch.loss import cross_entropy_and_gradient
from chargen.scratch.network import NetworkPass, ScratchNetwork


class LayerFlow(NamedTuple):
    """The measurements of one recurrent layer on a batch.

    gradient_norm: Euclidean norm of the gradient of all of the layer's weights. reach: norm of the gradient of the last
    position's loss at the first step, relative to that at the last step; above 1 it grows on the way. saturation: the share of
    units and gates whose activation has a slope below a twentieth of its maximum.
    """

    layer: str
    gradient_norm: float
    reach: float
    saturation: float


def gradient_flow(network: ScratchNetwork, batch: Batch) -> list[LayerFlow]:
    """Run a batch through the network from a zero state, forward and backward, and measure each layer."""
    state = network.zero_state(len(batch.inputs))
    run = NetworkPass(network, batch.inputs, state)
    saturation = run.saturation
    gradients = run.backward(_d_logits(run, batch.targets, batch.sample_weights))
    last = NetworkPass(network, batch.inputs, state)
    last.backward(_d_logits(last, batch.targets, _last_only(batch.sample_weights)))
    return [
        LayerFlow(
            layer,
            _norm([gradient for name, gradient in gradients.items() if name.startswith(f"{layer}.")]),
            _share(norms),
            saturation[layer],
        )
        for layer, norms in last.step_norms.items()
    ]


def _d_logits(run: NetworkPass, targets: Array, weights: Array) -> Array:
    return cross_entropy_and_gradient(run.logits, targets.T, weights.T)[1]


def _last_only(weights: Array) -> Array:
    """Set all weights to 0 except the last position's: (B, T) or, with one target per window, (B,)."""
    if weights.ndim == 1:
        return weights
    last = np.zeros_like(weights)
    last[:, -1] = 1
    return last


def _norm(arrays: list[Array]) -> float:
    return float(np.sqrt(sum(np.vdot(one, one) for one in arrays)))


def _share(norms: Array) -> float:
    """Return the first of the norms by step, (T,), relative to the last."""
    return float(norms[0] / norms[-1]) if norms[-1] else 0.0
