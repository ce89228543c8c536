"""The kernel takes the steps that Keras's optimizers take."""

from typing import Any

import numpy as np
import pytest

from chargen.settings.schema import TrainingConfig
from chargen.training.devices.backend import accelerated, load_backend

load_backend()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.training.engines.adam import adam_kernel  # noqa: E402
from chargen.training.layers.native import native_adam  # noqa: E402
from chargen.training.model import make_optimizer  # noqa: E402

SHAPES = {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,), "embedding": (2, 7)}
SHARDS, TOTAL, STEPS = 2, 6.0, 4


def gradients(step: int) -> list[list[tf.Tensor]]:
    rng = np.random.default_rng(step)
    return [[tf.constant(rng.normal(size=shape), tf.float32) for shape in SHAPES.values()] for _ in range(SHARDS)]


def trained(training: TrainingConfig, *, native: bool) -> list[np.ndarray]:
    """Return the weights and the optimizer's variables after some steps."""
    rng = np.random.default_rng(9)
    weights = [keras.Variable(rng.normal(size=shape).astype(np.float32), name=name) for name, shape in SHAPES.items()]
    optimizer = make_optimizer(training, steps_per_epoch=2)
    optimizer.build(weights)
    kernel = adam_kernel(optimizer, threads=2)
    assert kernel is not None

    def update(by_shard: Any, total: tf.Tensor) -> None:
        if native:
            kernel.apply(by_shard, total, weights)
        else:
            optimizer.apply([tf.add_n(shares) / total for shares in zip(*by_shard, strict=True)], weights)

    compiled = tf.function(update, jit_compile=True, autograph=False)
    for step in range(STEPS):
        compiled(gradients(step), tf.constant(TOTAL))
    return [variable.numpy() for variable in [*weights, *optimizer.variables]]


@pytest.mark.skipif(accelerated(), reason="the kernels are for a CPU")
@pytest.mark.parametrize(
    "changed",
    [
        {"clip_norm": 0.3},
        {"clip_norm": 0.0},
        {"clip_norm": 0.0, "clip_value": 0.1},
        {"optimizer": "adamw", "weight_decay": 0.1, "beta_2": 0.99},
        {"optimizer": "muon", "weight_decay": 0.1},
        {"schedule": "cosine", "warmup_epochs": 1.0, "epochs": 3},
    ],
    ids=str,
)
def test_it_is_the_step_of_keras(changed: dict[str, Any]) -> None:
    if native_adam() is None:
        pytest.skip("there are no kernels for this machine")
    training = TrainingConfig(**({"learning_rate": 0.01} | changed))
    for one, other in zip(trained(training, native=True), trained(training, native=False), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_other_optimizers_have_none() -> None:
    assert adam_kernel(keras.optimizers.SGD(), threads=1) is None
    assert adam_kernel(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), threads=1) is None
