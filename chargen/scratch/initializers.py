"""Initialise weights from Keras's distributions, drawn with NumPy."""

import numpy as np

from chargen.network.cells import Floats
from chargen.network.network import weight_shapes
from chargen.settings.schema import NetworkConfig

EMBEDDING_LIMIT = 0.05


def initial_weights(
    config: NetworkConfig, vocab_size: int, rng: np.random.Generator, *, num_outputs: int | None = None
) -> dict[str, Floats]:
    """Draw float32 weights with the names and shapes of `weight_shapes` from `rng`.

    Kernels are Glorot uniform, recurrent kernels as configured, embeddings uniform in [-0.05, 0.05], biases zero, an LSTM's
    forget gate bias one if configured. Normalisation layers start as the identity.
    """
    shapes = weight_shapes(config, vocab_size, num_outputs=num_outputs)
    weights = {name: _initial(name, shape, config, rng) for name, shape in shapes.items()}
    if config.cell in ("lstm", "mlstm") and config.unit_forget_bias:
        H = config.hidden_size
        for layer in range(config.num_layers):
            weights[f"recurrent.{layer}.bias"][H : 2 * H] = 1
    return weights


def _initial(name: str, shape: tuple[int, ...], config: NetworkConfig, rng: np.random.Generator) -> Floats:
    kind = name.rpartition(".")[-1]
    if kind in ("bias", "beta", "moving_mean"):
        return np.zeros(shape, np.float32)
    if kind in ("gamma", "moving_variance"):
        return np.ones(shape, np.float32)
    if kind == "embedding":
        return rng.uniform(-EMBEDDING_LIMIT, EMBEDDING_LIMIT, shape).astype(np.float32)
    if kind == "kernel" or config.recurrent_init == "glorot_uniform":
        return glorot_uniform(shape, rng)
    return np.eye(*shape, dtype=np.float32) if config.recurrent_init == "identity" else orthogonal(shape, rng)


def glorot_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw a kernel, (D, G), uniformly within sqrt(6 / (D + G)) of zero (Glorot and Bengio 2010)."""
    limit = np.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw a matrix, (H, G), whose rows, or columns if they are fewer, are orthonormal (Saxe et al. 2014)."""
    wide = shape[1] > shape[0]
    columns, upper = np.linalg.qr(rng.normal(size=shape[::-1] if wide else shape))
    columns *= np.sign(np.diag(upper))  # otherwise the matrix is not uniformly distributed
    return np.ascontiguousarray(columns.T if wide else columns, dtype=np.float32)
