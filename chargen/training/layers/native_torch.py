"""Call the kernels from PyTorch, as functions of its autograd. Imported only if Keras runs on PyTorch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from chargen.native.adam import take_step
from chargen.native.layer import CellName, LayerPass
from chargen.native.library import Kernels
from chargen.native.loss import cross_entropy

if TYPE_CHECKING:
    from chargen.training.layers.native import Weights

Tensor = Any  # of PyTorch


def _array(tensor: Tensor) -> Any:
    """Return the values of a tensor as a NumPy array, contiguous and, where it was that already, in the same memory."""
    return tensor.detach().contiguous().numpy()


class TorchLayers:
    """What runs on the kernels; see `chargen.training.layers.native.NativeLayers`."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    def __call__(
        self,
        cell: CellName,
        inputs: Tensor,
        weights: "Weights",
        states: Sequence[Tensor],
        *,
        mask: Tensor | None = None,
        threads: int,
        together: int,
    ) -> tuple[Tensor, ...]:
        """Run all steps of a layer."""
        reads_ids = inputs.ndim == 2
        given = {"table" if reads_ids else "kernel": weights.kernel, "bias": weights.bias}
        given |= {"recurrent_kernel": weights.recurrent_kernel, "recurrent_bias": weights.recurrent_bias}
        given |= dict(zip(("h0", "c0"), states, strict=False)) | ({} if reads_ids else {"x": inputs})
        given = {name: tensor for name, tensor in given.items() if tensor is not None}
        fixed = {"ids": _array(inputs.to(torch.int32))} if reads_ids else {}
        fixed |= {} if mask is None else {"mask": _array(mask)}
        hidden, *last_cell = _Layer.apply(self._kernels, cell, (threads, together), fixed, tuple(given), *given.values())
        return hidden, hidden[-1], *last_cell

    def cross_entropy(
        self, inputs: Tensor, kernel: Tensor, bias: Tensor, targets: Tensor, weights: Tensor, *, threads: int, training: bool
    ) -> Tensor:
        """Return the sum over all rows."""
        return _Loss.apply(self._kernels, threads, training, targets, weights, inputs, kernel, bias)

    def adam(
        self, numbers: Tensor, counts: Sequence[int], gradients: Sequence[Sequence[Tensor]], state: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        """Take a step, which changes the tensors in place."""
        threads, *gates = counts
        by_shard = [list(map(_array, shard)) for shard in gradients]
        take_step(self._kernels, _array(numbers), by_shard, list(map(_array, state)), gates=gates, threads=threads)
        return state


class _Layer(torch.autograd.Function):
    """A layer over all steps; outputs, (T, B, H), and an LSTM's last cell state, (B, H)."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        cell: CellName,
        shared: tuple[int, int],
        fixed: Any,
        names: tuple[str, ...],
        *tensors: Tensor,
    ) -> Any:
        arrays = {name: _array(one) for name, one in zip(names, tensors, strict=True)}
        ctx.names, ctx.layer = names, LayerPass(kernels, cell, fixed | arrays, threads=shared[0], together=shared[1])
        return tuple(torch.from_numpy(one) for one in ctx.layer.forward() if one is not None)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        d_hidden, d_last_cell = (*map(_array, upstream), None)[:2]
        gradients = ctx.layer.backward(d_hidden, d_last_cell)
        return (None, None, None, None, None, *(torch.from_numpy(gradients[name]) for name in ctx.names))


class _Loss(torch.autograd.Function):
    """The cross-entropy of an output layer, weighed and summed."""

    @staticmethod
    def forward(ctx: Any, kernels: Kernels, threads: int, training: bool, *tensors: Tensor) -> Any:
        targets, weights, inputs, kernel, bias = map(_array, tensors)
        rows = inputs.reshape(-1, inputs.shape[-1])
        loss, gradients = cross_entropy(
            kernels, rows, kernel, bias, targets.reshape(-1), weights.reshape(-1), threads=threads, training=training
        )
        ctx.gradients = [torch.from_numpy(one) for one in gradients]
        ctx.shape = inputs.shape
        return torch.tensor(loss)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        d_inputs, d_kernel, d_bias = (one * upstream for one in ctx.gradients)
        return None, None, None, None, None, d_inputs.reshape(ctx.shape), d_kernel, d_bias
