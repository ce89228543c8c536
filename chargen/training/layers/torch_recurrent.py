"""Run PyTorch's recurrent kernels on Keras's weights. Imported only if Keras runs on PyTorch.

Each takes inputs, (B, T, D), the weights of a Keras cell and states, (B, H); returns outputs, (B, T, H), and the last states.

cuDNN reads all weights of a layer from one piece of memory, and PyTorch copies them there in each call unless they are stored
so: the matrices, transposed, then a bias for the inputs and one for the states, of which Keras has only the first.
`store_in_one_piece` stores the weights of an LSTM or a SimpleRNN like this. Those of a GRU cannot be: its gates have another
order in PyTorch. Weights that are dropped, or rounded to 16 bits, in a step are new tensors, which PyTorch copies.
"""

from typing import Any

import torch

Tensor = Any  # of PyTorch


def store_in_one_piece(kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor) -> None:
    """Move the data of the parameters of a cell, (D, G), (H, G) and (G,), to one piece of memory, as cuDNN reads them.

    The parameters, their shapes and values stay the same; zeros for the second bias follow them.
    """
    weights = [kernel.data.T, recurrent_kernel.data.T, bias.data, torch.zeros_like(bias.data)]
    pieces = torch.cat([one.reshape(-1) for one in weights]).split([one.numel() for one in weights])
    stored = [piece.view(one.shape) for piece, one in zip(pieces, weights, strict=True)]
    kernel.data, recurrent_kernel.data, bias.data = stored[0].T, stored[1].T, stored[2]


def _second_bias(kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor) -> Tensor:
    """Return zeros, (G,): those after the bias if the weights are stored in one piece, otherwise new ones."""
    before = kernel.numel() + recurrent_kernel.numel()
    numbers = bias.untyped_storage().nbytes() // bias.element_size()
    if bias.storage_offset() == before and numbers == before + 2 * bias.numel():
        return bias.detach().as_strided(bias.shape, (1,), before + bias.numel())
    return torch.zeros_like(bias)


def torch_simple_rnn(
    sequences: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor, hidden: Tensor, *, relu: bool
) -> tuple[Tensor, Tensor]:
    """Run a tanh or ReLU RNN."""
    weights = [kernel.T, recurrent_kernel.T, bias, _second_bias(kernel, recurrent_kernel, bias)]
    run = torch.rnn_relu if relu else torch.rnn_tanh
    outputs, last = run(sequences, hidden[None], weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    return outputs, last[0]


def torch_lstm(
    sequences: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor, hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM; the order of the gates is PyTorch's own."""
    weights = [kernel.T, recurrent_kernel.T, bias, _second_bias(kernel, recurrent_kernel, bias)]
    states = (hidden[None], cell[None])
    outputs, last_hidden, last_cell = torch.lstm(sequences, states, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    return outputs, last_hidden[0], last_cell[0]


def torch_gru(
    sequences: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    """Run a GRU with the reset gate after the product; PyTorch has the reset gate before the update gate."""
    weights = [_reset_first(one.T) for one in (kernel, recurrent_kernel)] + [_reset_first(row) for row in bias]
    outputs, last = torch.gru(sequences, hidden[None], weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    return outputs, last[0]


def _reset_first(gates: Tensor) -> Tensor:
    """Return (3H, ...) rows of update, reset and candidate as reset, update and candidate."""
    update, reset, candidate = torch.chunk(gates, 3)
    return torch.cat([reset, update, candidate])
