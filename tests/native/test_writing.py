"""Text is the same whatever threads share: the rows, the units of each step, or nothing."""

from typing import Any

import numpy as np
import pytest

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.memory.building import build_grams
from chargen.memory.ngrams import Contexts, NgramMemory
from chargen.native.layer import CellName
from chargen.native.library import AVX2, AVX512, BFLOAT16, Kernels
from chargen.network import native_layer, native_writer
from chargen.network.dense import Head
from chargen.network.native_layer import NativeLayer
from chargen.network.native_writer import NativeNetwork, NativeWriter
from tests.native.test_kernels import CELLS, KINDS, kernels_of

V, STOP, STEPS = 9, 4, 24
SIZES = ((33, 1), (70, 3), (5, 2))  # hidden size and layers


@pytest.fixture(params=[AVX512, AVX2, BFLOAT16], ids=lambda one: one.name, scope="module")
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return kernels_of(request.param)


def random_layers(kernels: Kernels, cell: CellName, size: tuple[int, int], rows: int) -> list[NativeLayer]:
    rng, (H, num_layers) = np.random.default_rng(size), size
    G = KINDS[cell].num_gates * H

    def made(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / shape[0] ** 0.5).astype(np.float32)

    cells = [KINDS[cell](made(H, G), made(H, G), made(2, G) if cell == "gru" else made(G)) for _ in range(num_layers)]
    return [NativeLayer(kernels, one, rows, None if place else made(V, G)) for place, one in enumerate(cells)]


def memory_of(rows: int) -> tuple[NgramMemory, Contexts]:
    grams = build_grams([tokenize([Document("abcdefgabcbdcgfeab" * 3)], CharacterVocabulary(sorted("abcdefgh")))], V)
    memory = NgramMemory(grams, vocab_size=V, first_label=V, weight=0.4)
    return memory, memory.start(rows)


def written(
    kernels: Kernels,
    cell: CellName,
    size: tuple[int, int],
    rows: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    threads: int = 1,
    together: int = 1,
    remembers: bool = False,
    at_once: int = STEPS,
) -> list[Any]:
    """Return the drawn ids, (STEPS, rows), and the states of the layers after them."""
    monkeypatch.setattr(native_writer, "num_threads", lambda work: threads)
    monkeypatch.setattr(native_writer, "threads_together", lambda rows, weights: together)
    layers, rng = random_layers(kernels, cell, size, rows), np.random.default_rng(1)
    shapes = (size[0], 40), (40, V)
    head = Head([(rng.normal(size=shape).astype(np.float32), np.zeros(shape[1], np.float32)) for shape in shapes])
    writer = NativeWriter(
        [NativeNetwork(kernels, layers, head)],
        logits=np.zeros((rows, V), np.float32),
        mask=np.array([-np.inf, *[0] * (V - 1)], np.float32),
        temperatures=(0.7, 1.0, 1.5),
        stop=STOP if rows > 1 else None,
        stopped=np.zeros(rows, bool),
        memory=memory_of(rows) if remembers else None,
    )
    points = rng.random((STEPS, rows))
    ids = [writer.write(points[first : first + at_once]) for first in range(0, STEPS, at_once)]
    return [np.concatenate(ids).tolist(), *[[array.tolist() for array in layer.state] for layer in layers]]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("rows", [1, 3])
def test_threads_that_share_units_draw_the_same(
    kernels: Kernels, cell: CellName, size: tuple[int, int], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = written(kernels, cell, size, rows, monkeypatch)
    for together in (2, 3, 5):
        assert written(kernels, cell, size, rows, monkeypatch, together=together) == alone


def test_threads_that_share_rows_draw_the_same(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = written(kernels, "lstm", (33, 2), 7, monkeypatch)[0]  # rows that have all stopped are not read to the end
    for threads in (2, 3, 9):
        assert written(kernels, "lstm", (33, 2), 7, monkeypatch, threads=threads)[0] == ids


@pytest.mark.parametrize("together", [1, 2])
def test_a_memory_is_mixed_once(kernels: Kernels, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = written(kernels, "gru", (33, 2), 3, monkeypatch, remembers=True)
    assert written(kernels, "gru", (33, 2), 3, monkeypatch, remembers=True, together=together) == mixed
    assert written(kernels, "gru", (33, 2), 3, monkeypatch, together=together) != mixed


@pytest.mark.parametrize("together", [1, 3])
def test_a_text_goes_on_from_call_to_call(kernels: Kernels, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written(kernels, "lstm", (70, 2), 1, monkeypatch)
    assert written(kernels, "lstm", (70, 2), 1, monkeypatch, together=together, at_once=6) == whole


def read(kernels: Kernels, cell: CellName, size: tuple[int, int], rows: int) -> list[Any]:
    """Return the outputs of two readings of a text by each layer, and the states after them."""
    ids = np.random.default_rng(2).integers(0, V, (40, rows))
    first, *others = random_layers(kernels, cell, size, rows)
    outputs = []
    for part in (ids[:17], ids[17:]):
        outputs.append(first.read_tokens(part))
        for layer in others:
            outputs.append(layer.read_inputs(outputs[-1]))
    states = [array for layer in (first, *others) for array in layer.state]
    return [one.tolist() for one in (*outputs, *states)]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("rows", [1, 3])
def test_threads_that_share_units_read_the_same(
    kernels: Kernels, cell: CellName, size: tuple[int, int], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = read(kernels, cell, size, rows)
    for together in (2, 3, 40):
        monkeypatch.setattr(native_layer, "threads_together", lambda rows, weights, count=together: count)
        assert read(kernels, cell, size, rows) == alone


def test_more_threads_than_cores_still_draw_the_same(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep each other waiting, and leave the rest of a text to one of them."""
    alone = written(kernels, "lstm", (512, 1), 1, monkeypatch)
    assert written(kernels, "lstm", (512, 1), 1, monkeypatch, together=32) == alone
