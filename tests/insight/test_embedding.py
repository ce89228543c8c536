"""Neighbours and the picture of an embedding."""

from collections.abc import Callable

import numpy as np
import pytest

from chargen.corpus.words import WordVocabulary
from chargen.errors import ConfigError
from chargen.insight.embedding import Embedding, read_embedding
from chargen.network.model_file import TextModel
from chargen.pages.scatter import draw_scatter, scatter_lines

VECTORS = np.array([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 2.0, 0.0], [-1.0, 0.0, 0.1]], np.float32)


def test_neighbours_are_those_of_the_smallest_angle() -> None:
    embedding = Embedding(list("abcd"), VECTORS)
    found = embedding.neighbours("a", 9)
    assert [one.token for one in found] == ["b", "c", "d"]
    assert found[0].similarity == pytest.approx(0.9 / np.hypot(0.9, 0.1))
    assert found[2].similarity == pytest.approx(-1 / np.hypot(1, 0.1))
    assert len(embedding.neighbours("c", 1)) == 1
    with pytest.raises(ConfigError, match="no such token: 'x'"):
        embedding.neighbours("x", 1)


def test_the_plane_keeps_distances_along_the_two_widest_directions() -> None:
    flat = np.zeros((5, 4))
    flat[:, [1, 3]] = np.random.default_rng(1).normal(size=(5, 2))
    points = Embedding(list("abcde"), flat.astype(np.float32)).plane()
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    expected = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    np.testing.assert_allclose(distances / distances.max(), expected / expected.max(), atol=1e-6)
    assert np.abs(points).max() == 1
    np.testing.assert_allclose(Embedding(list("ab"), np.ones((2, 1), np.float32)).plane(), 0)


def test_only_tokens_that_have_a_text_are_compared(random_model: Callable[..., TextModel]) -> None:
    words = WordVocabulary(["a", " cat"], ["label"], num_characters=4)
    model = random_model(vocabulary=words)
    embedding = read_embedding(model)
    assert embedding.tokens == ["a", " cat"]
    np.testing.assert_array_equal(embedding.vectors, model.network.embedding[2:4])


def test_a_picture() -> None:
    points = np.array([[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0], [0.0, 0.0]])
    assert scatter_lines(["a", "bc", "<", "d"], points, width=9, height=3) == ["a", "    <", "       bc"]
    drawn = draw_scatter(["a", "<b>"], points[:2], title="A & B")
    assert '<text x="40.0" y="40.0">a</text>' in drawn
    assert "&lt;b&gt;" in drawn
    assert "A &amp; B: 2 tokens" in drawn
