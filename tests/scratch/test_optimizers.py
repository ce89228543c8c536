import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chargen.network.network import weight_shapes
from chargen.scratch.optimizers import SGD, Adam, clip_by_norm, clip_by_value, muon_gates, optimizer_type, orthogonal
from chargen.settings.schema import NetworkConfig
from chargen.training.devices.backend import load_backend

load_backend()

import keras  # noqa: E402

from chargen.training.engines.muon import Muon  # noqa: E402
from chargen.training.model import build_model  # noqa: E402

SHAPES = {"embedding": (4, 3), "kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,), "2_recurrent_kernel": (131, 131)}
KERAS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "muon": Muon,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
    "sgd": keras.optimizers.SGD,
}
CLIPPING = [({}, {}), ({"clip_norm": 1.5}, {"global_clipnorm": 1.5}), ({"clip_value": 0.5}, {"clipvalue": 0.5})]

gradients = st.lists(arrays(np.float64, (2, 3), elements=st.floats(-1e6, 1e6)), min_size=1, max_size=3)
limits = st.floats(1e-3, 1e3)


@pytest.mark.parametrize("name", KERAS)
@pytest.mark.parametrize(("ours", "theirs"), CLIPPING, ids=["unclipped", "norm", "value"])
def test_several_steps_equal_those_of_keras(name: str, ours: dict[str, float], theirs: dict[str, float]) -> None:
    rng = np.random.default_rng(1)
    weights = {key: rng.normal(size=shape).astype(np.float32) for key, shape in SHAPES.items()}
    variables = [keras.Variable(one, name=name) for name, one in weights.items()]
    optimizer, reference = optimizer_type(name)(0.03, **ours), KERAS[name](0.03, **theirs)
    for step in range(6):
        drawn = {key: (10.0 ** (step % 3 - 1) * rng.normal(size=shape)).astype(np.float32) for key, shape in SHAPES.items()}
        reference.apply([keras.ops.convert_to_tensor(one) for one in drawn.values()], variables)
        optimizer.update(weights, drawn)
    for weight, variable in zip(weights.values(), variables, strict=True):
        assert weight.dtype == np.float32
        np.testing.assert_allclose(weight, keras.ops.convert_to_numpy(variable), atol=1e-5)


def test_a_step_is_taken_in_place() -> None:
    weight = np.ones(3, np.float32)
    SGD(0.5).update({"weight": weight}, {"weight": np.full(3, 2, np.float32)})
    np.testing.assert_array_equal(weight, 0)


def test_steps_and_slots_are_all_that_is_carried() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(4, 3)).astype(np.float32)
    straight, parted = np.ones(3, np.float32), np.ones(3, np.float32)
    first, second = Adam(0.1), Adam(0.1)
    for gradient in drawn:
        first.update({"weight": straight}, {"weight": gradient})
    begun = Adam(0.1)
    for gradient in drawn[:2]:
        begun.update({"weight": parted}, {"weight": gradient})
    second.num_steps, second.slots = begun.num_steps, begun.slots
    for gradient in drawn[2:]:
        second.update({"weight": parted}, {"weight": gradient})
    np.testing.assert_array_equal(parted, straight)


@given(gradients, limits)
def test_clipping_by_norm_keeps_the_direction(drawn: list[np.ndarray], limit: float) -> None:
    before = np.concatenate(drawn).copy()
    clip_by_norm(drawn, limit)
    after, norm = np.concatenate(drawn), float(np.linalg.norm(before))
    assert np.linalg.norm(after) == pytest.approx(min(norm, limit), rel=1e-9)
    np.testing.assert_allclose(after * max(norm, limit), before * limit, rtol=1e-9, atol=1e-9)


@given(gradients, limits)
def test_clipping_by_value_changes_only_what_is_outside(drawn: list[np.ndarray], limit: float) -> None:
    before = np.concatenate(drawn).copy()
    clip_by_value(drawn, limit)
    after = np.concatenate(drawn)
    assert np.abs(after).max() <= limit
    np.testing.assert_array_equal(after[np.abs(before) <= limit], before[np.abs(before) <= limit])
    np.testing.assert_array_equal(np.sign(after), np.sign(before))


@given(gradients, limits)
def test_clipping_twice_changes_no_more(drawn: list[np.ndarray], limit: float) -> None:
    for clip in (clip_by_norm, clip_by_value):
        clip(drawn, limit)
        once = np.concatenate(drawn).copy()
        clip(drawn, limit)
        np.testing.assert_allclose(np.concatenate(drawn), once, rtol=1e-12)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_clipping_hides_no_number_that_is_none(wrong: float) -> None:
    drawn = [np.array([1.0, wrong]), np.ones(2)]
    with np.errstate(invalid="ignore"):
        clip_by_norm(drawn, 1.0)
    assert not np.isfinite(drawn[0]).all()


@pytest.mark.parametrize("shape", [(5, 5), (3, 9), (9, 3), (64, 40)])
def test_an_orthogonal_step_keeps_the_singular_vectors_and_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(1).normal(size=shape)
    found = orthogonal(matrix)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    diagonal = left.T @ found @ right.T
    np.testing.assert_allclose(diagonal, np.diag(np.diag(diagonal)), atol=1e-9)
    large = values > values.max() / 20  # smaller ones have not come near 1 yet
    assert np.diag(diagonal)[large].min() > 0.6
    assert np.diag(diagonal).max() < 1.3


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("mlstm", 5), ("gru", 3), ("simplernn", 1)])
@pytest.mark.parametrize("embedding", [0, 6])
def test_muon_is_for_the_kernels_of_recurrent_layers(cell: str, gates: int, embedding: int) -> None:
    """By their names in our networks and in Keras."""
    config = NetworkConfig(cell=cell, hidden_size=8, num_layers=2, embedding_size=embedding, dense_size=7)
    kernels = [f"recurrent.{layer}.{kernel}" for layer in (0, 1) for kernel in ("kernel", "recurrent_kernel")]
    assert muon_gates(weight_shapes(config, 11)) == dict.fromkeys(kernels, gates)
    variables = build_model(config, vocab_size=11, context_length=9).trainable_variables
    found = muon_gates({one.path: tuple(one.shape) for one in variables})
    assert sorted(found.values()) == [gates] * 4
    assert all("recurrent_" in path.split("/")[-3] for path in found)
