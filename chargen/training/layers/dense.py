"""Compute the output layer and the loss on the kernels of `chargen.native`."""

from typing import Any

import keras
from keras import layers, ops

from chargen.native.library import Products
from chargen.training.devices.backend import accelerated
from chargen.training.layers.native import native_loss

Tensor = Any  # of the backend


@keras.saving.register_keras_serializable(package="chargen")
class NativeDense(layers.Dense):
    """keras.layers.Dense without an activation, as an output layer: its outputs and their loss are computed in one pass.

    products: what the kernels round the operands of products to. threads: how many of them share the rows.
    """

    products: Products = "float32"
    threads: int = 1

    @property
    def computes_losses(self) -> bool:
        """Whether the kernels compute `sum_cross_entropies` on this device."""
        return self.compute_dtype == "float32" and not accelerated() and native_loss(self.products) is not None

    def sum_cross_entropies(self, inputs: Tensor, targets: Tensor, weights: Tensor, *, training: bool) -> Tensor:
        """Return the weighed sum of the cross-entropies in nats of the outputs for inputs, (..., D).

        targets, weights: (...). Where a weight is 0, nothing is computed. Only in training does the result have gradients.
        """
        run = native_loss(self.products)
        if run is None:
            raise ValueError("there are no kernels for this")
        if len(inputs.shape) == 3:  # time first, as the recurrent layers give them: XLA then moves nothing
            inputs, targets, weights = (ops.swapaxes(one, 0, 1) for one in (inputs, targets, weights))
        given = ops.cast(targets, "int32"), ops.cast(weights, "float32")
        return run(inputs, ops.copy(self.kernel), ops.copy(self.bias), *given, threads=self.threads, training=training)
