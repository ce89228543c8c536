"""Text drawn in C is the text that is drawn in NumPy, from the same numbers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.memory import cache as caching
from chargen.memory import ngrams
from chargen.memory.building import build_grams
from chargen.memory.ngrams import NgramMemory
from chargen.native.library import kernels_or_none
from chargen.network import dense, native_writer, stepper
from chargen.network.average import NetworkAverage
from chargen.network.model_file import TextModel
from chargen.network.native_writer import NativeWriter
from chargen.network.network import Network, weight_shapes
from chargen.settings.schema import NetworkConfig
from chargen.writing.generation import TOKENS_AHEAD, draw_tokens, stream_text
from chargen.writing.sampling import Sampler, make_sampler
from tests.writing.samplers import sampler_of

pytestmark = pytest.mark.skipif(kernels_or_none() is None, reason="there are no kernels for this machine")

LENGTH = 2 * TOKENS_AHEAD + 50
CONFIGS = [
    NetworkConfig(cell="lstm", hidden_size=9),
    NetworkConfig(cell="lstm", num_layers=3, hidden_size=33, embedding_size=4, dense_size=6),
    NetworkConfig(cell="gru", num_layers=2, hidden_size=5),
    NetworkConfig(cell="gru", hidden_size=5, reset_after=False, embedding_size=3),
    NetworkConfig(cell="simplernn", num_layers=2, hidden_size=40),
]


def model_of(config: NetworkConfig, *, ends: bool = False) -> TextModel:
    rng, vocabulary = np.random.default_rng(5), CharacterVocabulary(sorted("abcdefg"))
    shapes = weight_shapes(config, len(vocabulary))  # small weights: in a chaotic network every rounding grows
    weights = {name: (rng.normal(size=shape) * 0.7 / shape[0] ** 0.5).astype(np.float32) for name, shape in shapes.items()}
    return TextModel(
        network=Network(config, len(vocabulary), weights),
        vocabulary=vocabulary,
        reading="document",
        context_length=4,
        primer=(1, 2),
        ends=ends,
    )


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many tokens were drawn in C at a time."""
    counts: list[int] = []
    write = NativeWriter.write

    def counted(self: NativeWriter, points: np.ndarray) -> np.ndarray:
        ids = write(self, points)
        counts.append(len(ids))
        return ids

    monkeypatch.setattr(NativeWriter, "write", counted)
    for module in (stepper, dense, ngrams, caching):
        monkeypatch.setattr(module, "find_kernels", kernels_or_none)
    return counts


def with_memory(model: TextModel) -> TextModel:
    vocab_size = len(model.vocabulary)
    grams = build_grams([tokenize([Document("abcdefgabcbdcgfeab" * 3)], model.vocabulary)], vocab_size)
    return replace(model, memory=NgramMemory(grams, vocab_size=vocab_size, first_label=vocab_size, weight=0.4))


def drawn(model: TextModel, sampler: Sampler, length: int = LENGTH, *, count: int = 1) -> tuple[list[Any], float]:
    """Return the ids, those of several rows as lists, and what the generator of random numbers gives after them."""
    rng = np.random.default_rng(3)
    ids = list(draw_tokens(model, np.array([1]), count=count, length=length, sampler=sampler, rng=rng))
    return [one.tolist() if count > 1 else int(one[0]) for one in ids], rng.random()


def in_numpy(monkeypatch: pytest.MonkeyPatch, draw: Callable[[], object]) -> object:
    with monkeypatch.context() as patch:
        for module in (stepper, dense, ngrams, caching):
            patch.setattr(module, "find_kernels", lambda: None)
        return draw()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda one: f"{one.cell}-{one.num_layers}")
@pytest.mark.parametrize("temperatures", [(1.0,), (0.5, 1.0, 2.0)], ids=str)
def test_the_same_ids_are_drawn(
    config: NetworkConfig, temperatures: tuple[float, ...], written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sampler = model_of(config), sampler_of(temperature=temperatures)
    assert in_numpy(monkeypatch, lambda: drawn(model, sampler)) == drawn(model, sampler)
    assert written == [TOKENS_AHEAD, TOKENS_AHEAD, 49]


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize("cache", [0.0, 0.8])
def test_the_same_rows_are_drawn(
    cores: int, ends: bool, remembers: bool, cache: float, written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some rows stop before others, and draw the boundary from then on."""
    monkeypatch.setattr(native_writer, "num_threads", lambda work: cores)
    monkeypatch.setattr(native_writer, "threads_together", lambda rows, weights: cores)
    model, sampler = model_of(CONFIGS[1], ends=ends), sampler_of(temperature=(0.8, 1.2), cache=cache)
    model = with_memory(model) if remembers else model
    expected = in_numpy(monkeypatch, lambda: drawn(model, sampler, length=300, count=5))
    assert expected == drawn(model, sampler, length=300, count=5)
    assert sum(written) > 4


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("remembers", [False, True])
def test_several_networks_draw_from_their_average(
    cores: int, remembers: bool, written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_writer, "num_threads", lambda work: cores)
    monkeypatch.setattr(native_writer, "threads_together", lambda rows, weights: cores)
    networks = [model_of(config).one_network for config in CONFIGS[:3]]
    for count in (1, 4):
        model = replace(model_of(CONFIGS[0], ends=count > 1), network=NetworkAverage(networks))
        model = with_memory(model) if remembers else model
        draw = partial(drawn, model, Sampler(), length=200, count=count)
        expected = in_numpy(monkeypatch, draw)
        assert expected == draw()
        assert expected != drawn(replace(model, network=networks[0]), Sampler(), length=200, count=count)
    assert sum(written) > 50


def test_one_network_that_needs_numpy_takes_the_others_with_it(written: list[int]) -> None:
    normalized = NetworkConfig(cell="lstm", num_layers=2, hidden_size=5, layer_norm=True)
    networks = [model_of(config).one_network for config in (CONFIGS[0], normalized)]
    drawn(replace(model_of(CONFIGS[0]), network=NetworkAverage(networks)), Sampler(), length=20)
    assert written == []


def test_weights_in_another_order_in_memory_are_read_right(written: list[int]) -> None:
    model = model_of(CONFIGS[-1])
    columns_first = {name: np.asfortranarray(weight) for name, weight in model.network.weights.items()}
    other = replace(model, network=Network(model.network.config, model.network.vocab_size, columns_first))
    assert drawn(other, Sampler()) == drawn(model, Sampler())
    assert len(written) == 6


def test_the_same_ids_are_drawn_with_an_ngram_memory(written: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = model_of(CONFIGS[0])
    model = with_memory(alone)
    found = drawn(model, Sampler())
    assert in_numpy(monkeypatch, lambda: drawn(model, Sampler())) == found != drawn(alone, Sampler())
    assert written[:3] == [TOKENS_AHEAD, TOKENS_AHEAD, 49]


def test_the_same_ids_are_drawn_with_a_cache(written: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    model, sampler = model_of(CONFIGS[0]), sampler_of(cache=0.9)
    found = drawn(model, sampler)
    assert in_numpy(monkeypatch, lambda: drawn(model, sampler)) == found != drawn(model, Sampler())
    assert written[:3] == [TOKENS_AHEAD, TOKENS_AHEAD, 49]


def test_a_text_ends_where_it_does_in_numpy(written: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(CONFIGS[0], ends=True)
    ids, following = drawn(model, Sampler())
    assert in_numpy(monkeypatch, lambda: drawn(model, Sampler())) == (ids, following)
    assert ids[-1] == 0 not in ids[:-1]
    assert sum(written) == len(ids) - 1


def test_a_reader_who_has_had_enough_leaves_the_other_numbers(written: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def begin() -> tuple[list[int], float]:
        rng = np.random.default_rng(3)
        tokens = draw_tokens(model_of(CONFIGS[0]), np.array([1]), count=1, length=LENGTH, sampler=Sampler(), rng=rng)
        ids = [int(one[0]) for one in islice(tokens, 10)]
        tokens.close()
        return ids, rng.random()

    assert begin() == in_numpy(monkeypatch, begin)
    assert written == [TOKENS_AHEAD]


def test_banned_characters_are_never_drawn(written: list[int]) -> None:
    model = model_of(CONFIGS[0])
    sampler = make_sampler(sampler_of(ban="abc").options, model.vocabulary)
    text = "".join(stream_text(model, np.array([1]), length=300, sampler=sampler, rng=np.random.default_rng(1)))
    assert set(text) == set("defg")
    assert sum(written) == 299


@pytest.mark.parametrize("options", [{"top_k": 3}, {"top_p": 0.9}, {"repetition_penalty": 1.2}, {"temperature": (0.0, 1.0)}])
def test_other_draws_take_numpy(options: dict[str, object], written: list[int]) -> None:
    drawn(model_of(CONFIGS[0]), sampler_of(**options), length=20)
    assert written == []


def test_a_normalisation_between_layers_takes_numpy(written: list[int]) -> None:
    drawn(model_of(NetworkConfig(cell="lstm", num_layers=2, hidden_size=5, layer_norm=True)), Sampler(), length=20)
    assert written == []
