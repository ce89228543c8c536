"""Implement layers without a state, forward and backward: look-up, product, dropout, last step.

A pass is one run of one layer over one batch. Creating it runs the layer forward and keeps what the backward pass needs;
`backward` may be called once. Shapes: T steps, B rows, D inputs, G outputs, V tokens; time comes first. In the equations dv is
the gradient of the loss with respect to v.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]  # float32 for training, float64 for checking gradients
Gradients = dict[str, Array]
Ids = npt.NDArray[np.integer]

ONE_HOT_MAX_TOKENS = 512  # up to this size a table's gradient is a matrix product, above it a sum over sorted rows


class Pass(ABC):
    """One run of a layer over a batch."""

    outputs: Array

    @abstractmethod
    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        """Return the gradients of the inputs and, by name, of the weights, given those of `outputs`, which are overwritten."""


class DensePass(Pass):
    """A dense layer, applied at every position separately.

    y = x W + b,  dx = dy Wᵀ,  dW = xᵀ dy,  db = Σ dy over the positions
    """

    def __init__(self, inputs: Array, kernel: Array, bias: Array) -> None:
        """Run forward: inputs (..., D), kernel (D, G) and bias (G,) to outputs (..., G)."""
        self._rows, self._kernel, self._leading = inputs.reshape(-1, inputs.shape[-1]), kernel, inputs.shape[:-1]
        products = self._rows @ kernel
        products += bias
        self.outputs = products.reshape(*self._leading, -1)

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        d_rows = d_outputs.reshape(len(self._rows), -1)
        d_inputs = (d_rows @ self._kernel.T).reshape(*self._leading, -1)
        return d_inputs, {"kernel": self._rows.T @ d_rows, "bias": d_rows.sum(axis=0)}


class ReluPass(Pass):
    """The activation y = max(0, x),  dx = dy where y > 0."""

    def __init__(self, inputs: Array) -> None:
        """Run forward; `inputs` is overwritten."""
        self.outputs = np.maximum(inputs, 0, out=inputs)

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        d_outputs *= self.outputs > 0
        return d_outputs, {}


class DropoutPass(Pass):
    """Inverted dropout (Srivastava et al. 2014): y = x * m,  dx = dy * m,  m being 0 with probability p, else 1 / (1 - p)."""

    def __init__(self, inputs: Array, share: float, rng: np.random.Generator) -> None:
        """Run forward and drop the share `share` of values, drawn from `rng`; inputs and outputs have equal shapes."""
        self._mask = dropout_mask(inputs.shape, share, rng)
        self.outputs = inputs * self._mask

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        d_outputs *= self._mask
        return d_outputs, {}


class LastStepPass(Pass):
    """The selection of the last of T steps: (T, B, H) to (B, H)."""

    def __init__(self, inputs: Array) -> None:
        """Run forward."""
        self._shape = inputs.shape
        self.outputs = inputs[-1]

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        d_inputs = np.zeros(self._shape, d_outputs.dtype)
        d_inputs[-1] = d_outputs
        return d_inputs, {}


class TokenPass(ABC):
    """The projected inputs, (T, B, G), of the first recurrent layer for token ids, (T, B)."""

    outputs: Array

    @abstractmethod
    def backward(self, d_outputs: Array) -> Gradients:
        """Return the gradients of "embedding" (if there is one), "kernel" and "bias", given those of `outputs`."""


class FoldedTokenPass(TokenPass):
    """Rows of a folded table.

    The projection of a token does not depend on its position, so it is computed once for each token: table = embedding W + b,
    (V, G), or W + b for one-hot vectors, and x = table[ids]. dtable = Σ dx over the positions of each token; then as in
    `DensePass`.
    """

    def __init__(self, ids: Ids, embedding: Array | None, kernel: Array, bias: Array) -> None:
        """Run forward: ids (T, B), embedding (V, D) or None, kernel (D, G) or (V, G), bias (G,)."""
        self._ids = ids
        self._table = DensePass(embedding, kernel, bias) if embedding is not None else None
        self._vocab_size = len(kernel if embedding is None else embedding)
        self.outputs = np.take(self._table.outputs if self._table else kernel + bias, ids, axis=0)

    def backward(self, d_outputs: Array) -> Gradients:
        d_table = sum_by_token(self._ids, d_outputs, self._vocab_size)
        if self._table is None:
            return {"kernel": d_table, "bias": d_table.sum(axis=0)}
        d_embedding, gradients = self._table.backward(d_table)
        return {"embedding": d_embedding} | gradients


class DroppedTokenPass(TokenPass):
    """The vectors of tokens with dropout before the product, so that they cannot be folded into a table.

    x = (embedding[ids] * m) W + b. In a one-hot vector only the 1 can be dropped: x = W[ids] * m + b, one m per position.
    """

    def __init__(
        self, ids: Ids, embedding: Array | None, kernel: Array, bias: Array, *, share: float, rng: np.random.Generator
    ) -> None:
        """Run forward: ids (T, B), embedding (V, D) or None, kernel (D, G) or (V, G), bias (G,); masks come from `rng`."""
        self._ids = ids
        vectors = kernel if embedding is None else embedding
        self._vocab_size = len(vectors)
        mask_width = 1 if embedding is None else embedding.shape[-1]
        self._mask = dropout_mask((*ids.shape, mask_width), share, rng)
        dropped = np.take(vectors, ids, axis=0) * self._mask
        self._product = None if embedding is None else DensePass(dropped, kernel, bias)
        self.outputs = self._product.outputs if self._product else dropped + bias

    def backward(self, d_outputs: Array) -> Gradients:
        if self._product is None:
            d_kernel = sum_by_token(self._ids, d_outputs * self._mask, self._vocab_size)
            return {"kernel": d_kernel, "bias": d_outputs.sum(axis=(0, 1))}
        d_dropped, gradients = self._product.backward(d_outputs)
        return {"embedding": sum_by_token(self._ids, d_dropped * self._mask, self._vocab_size)} | gradients


def dropout_mask(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> Array:
    """Return 0 for the share `share` of positions, drawn from `rng`, and 1 / (1 - share) for the others, float32."""
    return (rng.random(shape, np.float32) >= share) * np.float32(1 / (1 - share))


def sum_by_token(ids: Ids, rows: Array, vocab_size: int) -> Array:
    """Add up the rows, (..., G), of each token in ids, (...), to (V, G): the gradient of a table indexed by ids."""
    ids, rows = ids.reshape(-1), rows.reshape(ids.size, -1)
    if vocab_size <= ONE_HOT_MAX_TOKENS:
        one_hot = np.zeros((len(ids), vocab_size), rows.dtype)
        one_hot[np.arange(len(ids)), ids] = 1
        return one_hot.T @ rows
    order = np.argsort(ids, kind="stable")
    tokens, firsts = np.unique(ids[order], return_index=True)
    sums = np.zeros((vocab_size, rows.shape[-1]), rows.dtype)
    sums[tokens] = np.add.reduceat(rows[order], firsts, axis=0)
    return sums
