"""The kernels compute what the cells of `chargen.network` do, and their gradients are those of finite differences."""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.native.layer import ENDED, CellName, LayerPass
from chargen.native.library import AVX2, AVX512, BFLOAT16, Instructions, Kernels, NoKernelsError, library_path, load_library
from chargen.native.library import processor_flags as flags_of_processor
from chargen.network import native_layer
from chargen.network.cells import HiddenState, LSTMState

KINDS: dict[CellName, Any] = {name: cell for cell, name in native_layer.KINDS.items()}
CELLS = get_args(CellName)
TOLERANCE = {AVX2: 2e-6, AVX512: 2e-6, BFLOAT16: 2e-2}  # of what is near 1
STEP = 1e-5
T, B, D, H, V = 4, 3, 6, 5, 7  # all far from what the kernels pad to
SIZES = [(T, B, D, H, 0), (T, B, 0, H, V), (3, 15, 40, 64, 0), (5, 29, 0, 100, 9), (1, 1, 3, 2, 0), (2, 7, 96, 33, 0)]


def kernels_of(instructions: Instructions) -> Kernels:
    """Return the kernels of some instructions, or skip the test where the processor or a compiler is missing."""
    from chargen.native.building import build_library

    if not instructions.needs <= flags_of_processor():
        pytest.skip(f"the processor has no {instructions.name}")
    instructions = instructions._replace(flags=(*instructions.flags, *os.environ.get("KERNEL_TEST_FLAGS", "").split()))
    path = library_path(instructions)
    try:
        build_library(path, instructions)
    except NoKernelsError as why:
        pytest.skip(str(why))
    return load_library(path, instructions)


@pytest.fixture(params=[AVX512, AVX2, BFLOAT16], ids=lambda one: one.name)
def instructions(request: pytest.FixtureRequest) -> Instructions:
    return request.param


def random_layer(cell: CellName, sizes: tuple[int, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """Return inputs, weights and states of a layer; some ids are outside the table."""
    T, B, D, H, V = sizes
    rng, G = np.random.default_rng([seed, *sizes]), KINDS[cell].num_gates * H
    arrays = {"recurrent_kernel": rng.normal(size=(H, G)) / H**0.5, "h0": rng.normal(size=(B, H)) / 2}
    if KINDS[cell].state_type is LSTMState:
        arrays["c0"] = rng.normal(size=(B, H)) / 2
    if cell == "gru":
        arrays["recurrent_bias"] = rng.normal(size=G) / 3
    if V:
        arrays["table"] = rng.normal(size=(V, G))
    else:
        arrays |= {"x": rng.normal(size=(T, B, D)), "kernel": rng.normal(size=(D, G)) / D**0.5, "bias": rng.normal(size=G) / 3}
    made = {name: array.astype(np.float32) for name, array in arrays.items()}
    return made | ({"ids": rng.integers(-2, V + 2, (T, B)).astype(np.int32)} if V else {})


def masked(cell: CellName, given: dict[str, np.ndarray], *, by_gate: bool = False) -> dict[str, np.ndarray]:
    """Return a layer whose products see some values of its hidden state only, as recurrent dropout has it."""
    rng, shape = np.random.default_rng(3), given["h0"].shape
    masks = rng.integers(0, 2, (KINDS[cell].num_gates if by_gate else 1, *shape)) / 0.5
    return given | {"mask": masks.astype(np.float32)}


def end_early(given: dict[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Return a layer whose rows end at any step, some before the first and some after the last."""
    steps, rows = given["ids"].shape
    ends = np.random.default_rng(seed).integers(0, steps + 1, rows)
    return given | {"ids": np.where(np.arange(steps)[:, None] < ends, given["ids"], np.int32(ENDED))}


def reference(cell: CellName, given: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs, (T, B, H), and the last cell state in the type of what is given."""
    ended = given["ids"] == ENDED if "ids" in given else np.zeros(given["x"].shape[:2], bool)
    if "ids" in given:
        projected = given["table"][np.clip(given["ids"], 0, len(given["table"]) - 1)]
    else:
        projected = given["x"] @ given["kernel"] + given["bias"]
    recurrent_bias = given.get("recurrent_bias")
    bias = np.zeros(1) if recurrent_bias is None else np.stack([recurrent_bias, recurrent_bias])  # the first is projected
    kernel, mask = given["recurrent_kernel"], given.get("mask", np.ones((1, 1, 1)))
    if len(mask) > 1:  # a kernel for each, one below the other, with zeros for the other gates
        gates = np.arange(len(mask))
        kernel = np.concatenate([np.where(gates.repeat(len(kernel)) == gate, kernel, 0) for gate in gates])
    kind = KINDS[cell](np.zeros((1, 1)), kernel, bias)
    state = LSTMState(given["h0"], given["c0"]) if "c0" in given else HiddenState(given["h0"])
    outputs = []
    for row, over in zip(projected, ended[..., None], strict=True):
        output, after = kind.step(row, state._replace(hidden=np.concatenate(list(state.hidden * mask), axis=-1)))
        state = type(state)(*[np.where(over, *pair) for pair in zip(state, after, strict=True)])
        outputs.append(np.where(over, 0, output))
    return np.stack(outputs), state[-1]


def in_float64(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array if name == "ids" else array.astype(np.float64) for name, array in given.items()}


def slope(loss: Callable[[dict[str, np.ndarray]], float], given: dict[str, np.ndarray], name: str, way: np.ndarray) -> float:
    """Return the derivative of the loss along a way of one of the arrays, by a central difference."""
    ahead, behind = (loss(given | {name: given[name] + step * way}) for step in (STEP, -STEP))
    return (ahead - behind) / (2 * STEP)


@pytest.mark.parametrize("together", [2, 3])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_threads_that_share_units_compute_the_same_bytes_as_one(
    cell: CellName, sizes: tuple[int, ...], together: int, instructions: Instructions
) -> None:
    check_together(kernels_of(instructions), cell, random_layer(cell, sizes), together)


def test_threads_that_wait_for_each_other_too_long_leave_the_rest_to_one() -> None:
    """There are more threads than any core can run, so most of them wait."""
    check_together(kernels_of(AVX2), "mlstm", random_layer("mlstm", (300, 4, 40, 1000, 0)), 30)


def check_together(kernels: Kernels, cell: CellName, given: dict[str, np.ndarray], together: int) -> None:
    rng, results = np.random.default_rng(1), []
    steps = len(given["ids" if "ids" in given else "x"])
    d_hidden = rng.normal(size=(steps, *given["h0"].shape)).astype(np.float32)
    d_last_cell = rng.normal(size=d_hidden.shape[1:]).astype(np.float32) if "c0" in given else None
    for count in (1, together):
        layer = LayerPass(kernels, cell, given, together=count)
        forward = [one for one in layer.forward() if one is not None]
        results.append([*forward, *layer.backward(d_hidden, d_last_cell).values()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def shared_layer() -> LayerPass:
    """Return a layer whose rows some threads share."""
    return LayerPass(kernels_of(AVX2), "lstm", random_layer("lstm", (6, 12, 40, 20, 0)), threads=3)


def test_many_callers_have_threads_of_their_own() -> None:
    """Some find a thread that lingers after another caller's layer, others start one."""
    expected = shared_layer().forward()[0]
    with ThreadPoolExecutor(8) as pool:
        for hidden, _ in pool.map(lambda _: shared_layer().forward(), range(400)):
            np.testing.assert_array_equal(hidden, expected)


@pytest.mark.skipif("KERNEL_TEST_FLAGS" in os.environ, reason="the sanitizer's own locks do not survive a fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12
def test_a_child_process_does_not_wait_for_the_threads_of_its_parent() -> None:
    """They linger now and then while another thread computes, so one of many children is born at such a moment."""
    layer, over = shared_layer(), threading.Event()

    def compute() -> None:
        other = shared_layer()
        while not over.is_set():
            other.forward()

    def exit_status() -> int:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            layer.forward()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with ThreadPoolExecutor(1) as pool:
        pool.submit(compute)
        statuses = {exit_status() for _ in range(50)}
        over.set()
    assert statuses == {0}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_are_those_of_the_cell(
    cell: CellName, sizes: tuple[int, ...], threads: int, instructions: Instructions
) -> None:
    check(kernels_of(instructions), cell, random_layer(cell, sizes), threads, TOLERANCE[instructions])


@pytest.mark.parametrize("sizes", [size for size in SIZES if size[-1]], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_rows_that_end_early_have_outputs_of_zero_and_their_own_gradients(
    cell: CellName, sizes: tuple[int, ...], instructions: Instructions
) -> None:
    kernels = kernels_of(instructions)
    check_together(kernels, cell, end_early(random_layer(cell, sizes)), 2)
    for threads in (1, 2):
        check(kernels, cell, end_early(random_layer(cell, sizes)), threads, TOLERANCE[instructions])


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(
    ("cell", "by_gate"), [("tanh", False), ("relu", False), ("lstm", False), ("lstm", True), ("mlstm", False)]
)
def test_masks_apply_to_what_the_products_see_of_the_hidden_state(
    cell: CellName, by_gate: bool, sizes: tuple[int, ...], instructions: Instructions
) -> None:
    kernels, given = kernels_of(instructions), masked(cell, random_layer(cell, sizes), by_gate=by_gate)
    check_together(kernels, cell, given, 2)
    for threads in (1, 2):
        check(kernels, cell, end_early(given) if "ids" in given else given, threads, TOLERANCE[instructions])


def check(kernels: Kernels, cell: CellName, given: dict[str, np.ndarray], threads: int, tolerance: float) -> None:
    layer = LayerPass(kernels, cell, given, threads=threads)
    hidden, last_cell = layer.forward()
    expected, expected_cell = reference(cell, in_float64(given))
    np.testing.assert_allclose(hidden, expected, atol=tolerance, rtol=tolerance)
    rng = np.random.default_rng(1)
    d_hidden = rng.normal(size=hidden.shape).astype(np.float32)
    d_last_cell = None
    if last_cell is not None:
        np.testing.assert_allclose(last_cell, expected_cell, atol=tolerance, rtol=tolerance)
        d_last_cell = rng.normal(size=last_cell.shape).astype(np.float32)

    def loss(given: dict[str, np.ndarray]) -> float:
        outputs, cell_state = reference(cell, given)
        return np.sum(outputs * d_hidden) + (0 if d_last_cell is None else np.sum(cell_state * d_last_cell))

    gradients = layer.backward(d_hidden, d_last_cell)
    assert gradients.keys() == given.keys() - {"ids", "mask"}
    if cell == "relu" and tolerance > 1e-3:
        return  # rounding moves a sum across the bend, whose slopes then differ wholly
    for name, gradient in gradients.items():
        assert gradient.shape == given[name].shape
        way = gradient / max(np.linalg.norm(gradient), 1e-9)
        assert slope(loss, in_float64(given), name, way) == pytest.approx(np.linalg.norm(gradient), rel=2 * tolerance, abs=1e-6)
        other = rng.normal(size=gradient.shape) / gradient.size**0.5
        error = slope(loss, in_float64(given), name, other) - np.sum(gradient * other)
        assert abs(error) < 5 * tolerance * np.linalg.norm(gradient) + 1e-6


@settings(max_examples=30)
@given(
    st.sampled_from(CELLS),
    st.tuples(*[st.integers(1, most) for most in (3, 40, 70, 70)]),
    st.sampled_from(["rows", "ids", "ids that end"]),
    st.integers(1, 3),
)
def test_any_shape_will_do(cell: CellName, sizes: tuple[int, int, int, int], reads: str, threads: int) -> None:
    T, B, D, H = sizes
    given = random_layer(cell, (T, B, D, H, 0) if reads == "rows" else (T, B, 0, H, D))
    check(kernels_of(AVX2), cell, end_early(given) if reads == "ids that end" else given, threads, TOLERANCE[AVX2])


def test_numbers_that_are_too_large_saturate_and_nan_stays(instructions: Instructions) -> None:
    given = random_layer("lstm", (1, 3, 2, 4, 0))
    given["x"][0, 0], given["x"][0, 1] = 1e30, np.nan
    hidden, _ = LayerPass(kernels_of(instructions), "lstm", given).forward()
    assert np.isfinite(hidden[0, 0]).all()
    assert np.isnan(hidden[0, 1]).all()
    assert np.isfinite(hidden[0, 2]).all()


def test_memory_that_cannot_be_had_is_an_error() -> None:
    given = random_layer("lstm", (1, 1, 1, 1, 0))
    layer = LayerPass(kernels_of(AVX2), "lstm", given)
    layer._layer.H = 1 << 29  # hidden units whose packed kernel is beyond any machine
    with pytest.raises(MemoryError, match="recurrent layer"):
        layer.backward(np.zeros((1, 1, 1), np.float32), np.zeros((1, 1), np.float32))
