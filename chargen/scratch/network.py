"""Train a network with hand-written backpropagation: token ids in, loss and gradients out."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from chargen.corpus.windows import Batch
from chargen.errors import ConfigError
from chargen.network.cells import cell_type
from chargen.network.network import NetworkState
from chargen.scratch.cells import RecurrentPass, pass_type
from chargen.scratch.layers import (
    Array,
    DensePass,
    DropoutPass,
    DroppedTokenPass,
    FoldedTokenPass,
    Gradients,
    Ids,
    LastStepPass,
    Pass,
    ReluPass,
    TokenPass,
)
from chargen.scratch.loss import cross_entropy, cross_entropy_and_gradient
from chargen.settings.schema import NetworkConfig


class LossAndGradients(NamedTuple):
    """The result of a batch.

    loss: the cross-entropy in nats, summed over the positions with a weight. gradients: of the mean over these positions, with
    the names and shapes of the weights. state: the state after the batch, for the next one.
    """

    loss: float
    gradients: Gradients
    state: NetworkState


class ScratchNetwork:
    """The network that `chargen.network.Network` computes, with gradients.

    Each call reads the current weights, so an optimizer may change them in place.
    """

    def __init__(self, config: NetworkConfig, vocab_size: int, weights: Mapping[str, Array]) -> None:
        """Take the weights named by `weight_shapes`, all of one dtype, without copying; compute everything in that dtype.

        Raises ConfigError for a network that only the Keras model supports.
        """
        check_supported(config)
        self.config, self.vocab_size, self.weights = config, vocab_size, weights

    def zero_state(self, batch_size: int) -> NetworkState:
        """Return the initial state, all zeros."""
        zeros = np.zeros((batch_size, self.config.hidden_size), self.weights["output.bias"].dtype)
        kind = cell_type(self.config).state_type
        return tuple(kind(*[zeros] * len(kind._fields)) for _ in range(self.config.num_layers))

    def logits(self, ids: Ids, state: NetworkState) -> tuple[Array, NetworkState]:
        """Read (B, T) ids without dropout, and return the logits and the state after the last.

        The logits are (B, T, V), after every position, or with targets "last" (B, V).
        """
        run = NetworkPass(self, ids, state)
        return (run.logits if run.logits.ndim == 2 else run.logits.swapaxes(0, 1)), run.state

    def loss(self, batch: Batch, state: NetworkState) -> tuple[float, NetworkState]:
        """Return the cross-entropy in nats, summed over the positions with a weight, and the next state; without dropout."""
        run = NetworkPass(self, batch.inputs, state)
        return cross_entropy(run.logits, batch.targets.T, batch.sample_weights.T), run.state

    def loss_and_gradients(self, batch: Batch, state: NetworkState, rng: np.random.Generator) -> LossAndGradients:
        """Run a batch forward and backward, with dropout drawn from `rng`.

        The gradient is cut at both ends of the batch.
        """
        run = NetworkPass(self, batch.inputs, state, rng)
        loss, d_logits = cross_entropy_and_gradient(run.logits, batch.targets.T, batch.sample_weights.T)
        return LossAndGradients(loss, run.backward(d_logits), run.state)


class NetworkPass:
    """One run of the network over a batch of ids, (B, T), from a state; with dropout if `rng` is given.

    logits: (T, B, V), or (B, V) with targets "last". state: after the last step. step_norms: after `backward`, for each
    recurrent layer the norm of the gradient of its hidden state at each step, (T,).
    """

    def __init__(self, network: ScratchNetwork, ids: Ids, state: NetworkState, rng: np.random.Generator | None = None) -> None:
        self._config, self._weights, self._rng = network.config, network.weights, rng
        self._passes: list[tuple[str, Pass]] = []  # each with its name in `weight_shapes`, in forward order
        self._tokens = self._read_tokens(np.ascontiguousarray(ids.T))
        states = []
        values = self._tokens.outputs
        for layer in range(self._config.num_layers):
            name = f"recurrent.{layer}"
            if layer > 0:
                values = self._project(name, values)
            recurrent = self._recur(name, values, state[layer])
            values = self._drop(recurrent.outputs) if layer < self._config.num_layers - 1 else recurrent.outputs
            states.append(recurrent.state)
        self.state: NetworkState = tuple(states)
        self.logits = self._head(values)

    @property
    def saturation(self) -> dict[str, float]:
        """The share of saturated units and gates of each recurrent layer; read it before calling `backward`."""
        return {name: one.saturation for name, one in self._passes if isinstance(one, RecurrentPass)}

    def backward(self, d_logits: Array) -> Gradients:
        """Return the gradients of all weights, given those of `logits`, which are overwritten."""
        by_name: Gradients = {}
        self.step_norms: dict[str, Array] = {}
        for name, one in reversed(self._passes):
            d_outputs = d_logits
            d_logits, gradients = one.backward(d_outputs)
            if isinstance(one, RecurrentPass):  # backward has added the gradients through time to d_outputs
                self.step_norms[name] = np.linalg.norm(d_outputs, axis=(1, 2))
            by_name |= {f"{name}.{weight}": gradient for weight, gradient in gradients.items()}
        for weight, gradient in self._tokens.backward(d_logits).items():
            by_name["embedding" if weight == "embedding" else f"recurrent.0.{weight}"] = gradient
        for layer in range(self._config.num_layers):
            bias, recurrent_bias = f"recurrent.{layer}.bias", f"recurrent.{layer}.recurrent_bias"
            if recurrent_bias in by_name:
                by_name[bias] = np.stack([by_name[bias], by_name[recurrent_bias]])
        return {name: by_name[name] for name in self._weights}

    def _read_tokens(self, ids: Ids) -> TokenPass:
        """Return the projected inputs of the first recurrent layer for ids, (T, B)."""
        kernel, (bias, _) = self._weights["recurrent.0.kernel"], self._biases("recurrent.0")
        embedding = self._weights.get("embedding")
        if self._rng is None or not self._config.input_dropout:
            return FoldedTokenPass(ids, embedding, kernel, bias)
        return DroppedTokenPass(ids, embedding, kernel, bias, share=self._config.input_dropout, rng=self._rng)

    def _recur(self, name: str, projected: Array, state: Any) -> RecurrentPass:
        kernel, (_, recurrent_bias) = self._weights[f"{name}.recurrent_kernel"], self._biases(name)
        one = pass_type(self._config)(projected, kernel, recurrent_bias, state)
        self._passes.append((name, one))
        return one

    def _biases(self, name: str) -> tuple[Array, Array | None]:
        """Return the bias of a layer's input product, and that of its recurrent product, which only some GRUs have."""
        bias = self._weights[f"{name}.bias"]
        return (bias, None) if bias.ndim == 1 else (bias[0], bias[1])

    def _head(self, values: Array) -> Array:
        """Return the logits of the last recurrent layer's outputs, (T, B, H)."""
        if self._config.targets == "last":
            values = self._then("", LastStepPass(values))
        values = self._drop(values)
        if self._config.dense_size:
            values = self._drop(self._then("", ReluPass(self._project("dense", values))))
        return self._project("output", values)

    def _project(self, name: str, values: Array) -> Array:
        return self._then(name, DensePass(values, self._weights[f"{name}.kernel"], self._biases(name)[0]))

    def _drop(self, values: Array) -> Array:
        if self._rng is None or not self._config.dropout:
            return values
        return self._then("", DropoutPass(values, self._config.dropout, self._rng))

    def _then(self, name: str, one: Pass) -> Array:
        """Store a pass for the backward pass and return its outputs."""
        self._passes.append((name, one))
        return one.outputs


def supported(config: NetworkConfig) -> bool:
    """Return whether a network can be trained by hand-written backpropagation."""
    return not refused(config)


def check_supported(config: NetworkConfig) -> None:
    """Raise ConfigError for a network that only the Keras model can train."""
    for name in refused(config):
        raise ConfigError(f"the NumPy trainer does not support network.{name}", hint="use --backend tensorflow")


def refused(config: NetworkConfig) -> list[str]:
    """Return the names of a network's settings that are not supported here."""
    wanted = {
        "recurrent_dropout": bool(config.recurrent_dropout),
        "weight_drop": bool(config.weight_drop),
        "locked_dropout": config.locked_dropout,
        "embedding_norm": config.embedding_norm != "none",
        "layer_norm": config.layer_norm,
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]
