"""Call the kernels from PyTorch, as a function of its autograd. Imported only if Keras runs on PyTorch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from chargen.native.layer import CellName, LayerPass
from chargen.native.library import Kernels

if TYPE_CHECKING:
    from chargen.training.layers.native import NativeRun, Weights

Tensor = Any  # of PyTorch


def torch_run(kernels: Kernels) -> "NativeRun":
    """Return what runs all steps of a layer."""

    def run(
        cell: CellName, inputs: Tensor, weights: "Weights", states: Sequence[Tensor], *, threads: int, together: int
    ) -> tuple[Tensor, ...]:
        reads_ids = inputs.ndim == 2
        given = {"table" if reads_ids else "kernel": weights.kernel, "bias": weights.bias}
        given |= {"recurrent_kernel": weights.recurrent_kernel, "recurrent_bias": weights.recurrent_bias}
        given |= dict(zip(("h0", "c0"), states, strict=False)) | ({} if reads_ids else {"x": inputs})
        given = {name: tensor for name, tensor in given.items() if tensor is not None}
        ids = {"ids": inputs.detach().to(torch.int32).contiguous().numpy()} if reads_ids else {}
        hidden, *last_cell = _Layer.apply(kernels, cell, (threads, together), ids, tuple(given), *given.values())
        return hidden, hidden[-1], *last_cell

    return run


class _Layer(torch.autograd.Function):
    """A layer over all steps; outputs, (T, B, H), and an LSTM's last cell state, (B, H)."""

    @staticmethod
    def forward(
        ctx: Any, kernels: Kernels, cell: CellName, shared: tuple[int, int], ids: Any, names: tuple[str, ...], *tensors: Tensor
    ) -> Any:
        arrays = {name: one.detach().contiguous().numpy() for name, one in zip(names, tensors, strict=True)}
        ctx.names, ctx.layer = names, LayerPass(kernels, cell, ids | arrays, threads=shared[0], together=shared[1])
        return tuple(torch.from_numpy(one) for one in ctx.layer.forward() if one is not None)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        d_hidden, d_last_cell = (*(one.contiguous().numpy() for one in upstream), None)[:2]
        gradients = ctx.layer.backward(d_hidden, d_last_cell)
        return (None, None, None, None, None, *(torch.from_numpy(gradients[name]) for name in ctx.names))
