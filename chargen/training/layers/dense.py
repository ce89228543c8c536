"""Compute a Dense layer and the loss on the kernels of `chargen.native`."""

from typing import Any

import keras
from keras import layers, ops

from chargen.native.library import Products
from chargen.training.devices.backend import accelerated
from chargen.training.layers.native import native_cross_entropy, native_dense

Tensor = Any  # of the backend


@keras.saving.register_keras_serializable(package="chargen")
class NativeDense(layers.Dense):
    """keras.layers.Dense without an activation. products: what the kernels round the operands of products to."""

    products: Products = "float32"

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Return the outputs, (..., H), of inputs, (..., D)."""
        known = None not in inputs.shape and self.compute_dtype == "float32" and not accelerated()
        # in float32 XLA's product is as fast
        run = native_dense(self.products) if known and self.products != "float32" else None
        if run is None:
            return super().call(inputs, training=training)
        kernel, bias = ops.copy(self.kernel), ops.copy(self.bias)
        if len(inputs.shape) != 3:
            return run(inputs, kernel, bias)
        rows = ops.transpose(inputs, (1, 0, 2))  # as the recurrent layers give them: XLA then moves nothing
        return ops.transpose(run(rows, kernel, bias), (1, 0, 2))


def sum_cross_entropies(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor | None:
    """Return the weighed sum of the cross-entropies in nats, or None if the kernels do not compute it on this device.

    logits: (..., V). targets, weights: (...).
    """
    known = None not in logits.shape and targets.shape == weights.shape == logits.shape[:-1] and not accelerated()
    run = native_cross_entropy() if known else None
    if run is None:
        return None
    if len(logits.shape) == 3:  # time first, as `NativeDense` has computed them
        logits, targets, weights = (ops.swapaxes(one, 0, 1) for one in (logits, targets, weights))
    return run(logits, targets, weights)
