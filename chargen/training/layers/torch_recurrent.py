"""Run PyTorch's recurrent kernels on Keras's weights. Imported only if Keras runs on PyTorch.

Each takes inputs, (B, T, D), the weights of a Keras cell and states, (B, H); returns outputs, (B, T, H), and the last states.
"""

from typing import Any

import torch

Tensor = Any  # of PyTorch


def torch_simple_rnn(
    sequences: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor, hidden: Tensor, *, relu: bool
) -> tuple[Tensor, Tensor]:
    """Run a tanh or ReLU RNN."""
    weights = [kernel.T, recurrent_kernel.T, bias, torch.zeros_like(bias)]
    run = torch.rnn_relu if relu else torch.rnn_tanh
    outputs, last = run(sequences, hidden[None], weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    return outputs, last[0]


def torch_lstm(
    sequences: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor, hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM; the order of the gates is PyTorch's own."""
    weights = [kernel.T, recurrent_kernel.T, bias, torch.zeros_like(bias)]
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
