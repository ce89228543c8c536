"""Compute a trained network in NumPy: token ids in, logits out, one step at a time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from chargen.network.cells import Cell, Floats, cell_type
from chargen.network.dense import Head, project
from chargen.network.normalization import LayerNorm, batch_normalized
from chargen.network.stepper import Stepper
from chargen.settings.schema import NetworkConfig

BATCH_NORM_WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")
LAYER_NORM_WEIGHTS = ("gamma", "beta")
LARGEST_TABLE = 1 << 25  # values; a table of all tokens' projections may be a hundred times as large as the weights

NetworkState = tuple[Any, ...]  # one cell state for each recurrent layer


def weight_shapes(config: NetworkConfig, vocab_size: int, *, num_outputs: int | None = None) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight of a network, in layer order.

    num_outputs: units of the output layer, one per token by default. Training writes model files by these shapes, and loading
    checks them.
    """
    H, width = config.hidden_size, config.embedding_size or vocab_size
    shapes: dict[str, tuple[int, ...]] = {}
    if config.embedding_size:
        shapes["embedding"] = (vocab_size, width)
    if config.embedding_norm == "batch":
        shapes |= {f"embedding_norm.{name}": (width,) for name in BATCH_NORM_WEIGHTS}
    gates = cell_type(config).num_gates * H
    bias = (2, gates) if config.cell == "gru" and config.reset_after else (gates,)
    for layer in range(config.num_layers):
        shapes[f"recurrent.{layer}.kernel"] = (width, gates)
        shapes[f"recurrent.{layer}.recurrent_kernel"] = (H, gates)
        shapes[f"recurrent.{layer}.bias"] = bias
        width = H
        if config.layer_norm and layer < config.num_layers - 1:
            shapes |= {f"norm.{layer}.{name}": (H,) for name in LAYER_NORM_WEIGHTS}
    if config.dense_size:
        shapes |= {"dense.kernel": (width, config.dense_size), "dense.bias": (config.dense_size,)}
        width = config.dense_size
    outputs = num_outputs or vocab_size
    return shapes | {"output.kernel": (width, outputs), "output.bias": (outputs,)}


class Network:
    """A stack of recurrent layers between token ids and logits.

    The embedding (or the one-hot input) and the first layer's input projection are folded into one table, so that the first
    layer's inputs are a row look-up. If that table would be too large, the table is the embedding alone.
    """

    def __init__(self, config: NetworkConfig, vocab_size: int, weights: Mapping[str, Floats]) -> None:
        """Take the weights named by `weight_shapes`, all float32; only those whose rows are not in order are copied."""
        self.config, self.vocab_size = config, vocab_size
        self.weights = {name: np.ascontiguousarray(weight) for name, weight in weights.items()}  # as the kernels in C read them
        self.cells = [self._cell(layer) for layer in range(config.num_layers)]
        self.norms = [self._norm(layer) for layer in range(config.num_layers - 1)]
        names = ["dense", "output"] if config.dense_size else ["output"]
        self.head = Head([(self.weights[f"{name}.kernel"], self.weights[f"{name}.bias"]) for name in names])
        first = self.cells[0]
        self.folded = not config.embedding_size or vocab_size * first.kernel.shape[1] <= LARGEST_TABLE
        inputs = self.embedding if config.embedding_size else None
        if inputs is None:
            self.table = first.kernel + first.input_bias
        else:
            self.table = project(inputs, first.kernel, first.input_bias) if self.folded else inputs

    @property
    def embedding(self) -> Floats:
        """The normalised input vectors of all tokens, (V, E); not defined for one-hot inputs."""
        embedding = self.weights["embedding"]
        if self.config.embedding_norm == "none":
            return embedding
        return batch_normalized(embedding, **{name: self.weights[f"embedding_norm.{name}"] for name in BATCH_NORM_WEIGHTS})

    def _cell(self, layer: int) -> Cell[Any]:
        kind = cell_type(self.config)
        return kind(*[self.weights[f"recurrent.{layer}.{name}"] for name in ("kernel", "recurrent_kernel", "bias")])

    def _norm(self, layer: int) -> LayerNorm | None:
        """Return the normalisation between a layer and the next, if any."""
        if not self.config.layer_norm:
            return None
        return LayerNorm(*[self.weights[f"norm.{layer}.{name}"] for name in LAYER_NORM_WEIGHTS])

    @property
    def members(self) -> tuple["Network", ...]:
        """The network alone; a `NetworkAverage` has several."""
        return (self,)

    @property
    def output_size(self) -> int:
        """The size of the last recurrent layer's outputs."""
        return self.config.hidden_size

    @property
    def num_parameters(self) -> int:
        """The number of trained parameters."""
        return sum(weight.size for weight in self.weights.values())

    def with_temperature(self, temperature: float) -> "Network":
        """Return the network with its logits divided by a temperature."""
        scaled = {name: self.weights[name] / np.float32(temperature) for name in ("output.kernel", "output.bias")}
        return Network(self.config, self.vocab_size, self.weights | scaled)

    def zero_state(self, batch_size: int) -> NetworkState:
        """Return the initial state, all zeros."""
        return tuple(cell.zero_state(batch_size) for cell in self.cells)

    def advance(self, ids: npt.NDArray[np.integer], state: NetworkState) -> tuple[Floats, NetworkState]:
        """Read one token a row, (B,), and return the last layer's output, (B, H), and the next state."""
        projected = self.table[ids] if self.folded else self.cells[0].project(self.table[ids])  # (B, gates * H)
        output, first = self.cells[0].step(projected, state[0])
        following = [first]
        for cell, norm, before in zip(self.cells[1:], self.norms, state[1:], strict=True):
            output, after = cell.step(cell.project(norm(output) if norm else output), before)
            following.append(after)
        return output, tuple(following)

    def step(self, ids: npt.NDArray[np.integer], state: NetworkState) -> tuple[Floats, NetworkState]:
        """Read one token a row, (B,), and return the next token's logits, (B, V), and the next state."""
        output, state = self.advance(ids, state)
        return self.head(output), state

    def stepper(self, state: NetworkState) -> Stepper:
        """Return a faster stepper that starts from a copy of the state."""
        return Stepper(self.cells, table=self.table, folded=self.folded, norms=self.norms, head=self.head, state=state)

    def logits(self, ids: npt.NDArray[np.integer], state: NetworkState) -> tuple[Floats, NetworkState]:
        """Read (B, T) ids and return the logits after every position, (B, T, V), and the state after the last."""
        outputs = []
        for column in ids.T:
            output, state = self.advance(column, state)
            outputs.append(output)
        return self.head(np.stack(outputs, axis=1)), state
