from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.errors import ConfigError
from chargen.network.average import average_logits
from chargen.network.model_file import TextModel, save_model
from chargen.network.network import Network
from chargen.writing.ensemble import AnyModel, Ensemble, join_models, load_models
from chargen.writing.generation import sample_texts, stream_text
from chargen.writing.prediction import begin
from chargen.writing.sampling import Sampler, softmax
from tests.writing.samplers import sampler_of

RandomModel = Callable[..., TextModel]


@pytest.fixture
def pair(random_model: RandomModel) -> list[TextModel]:
    return [random_model(characters="abcd", seed=seed) for seed in (1, 2)]


def reordered(model: TextModel, characters: str) -> TextModel:
    """The same model with its characters, and the rows and columns that belong to them, in another order."""
    order = [0, *[1 + model.vocabulary.characters.index(one) for one in characters]]
    weights = dict(model.network.weights)
    weights["embedding"] = weights["embedding"][order]
    weights["output.kernel"] = weights["output.kernel"][:, order]
    weights["output.bias"] = weights["output.bias"][order]
    primer = tuple(order.index(one) for one in model.primer)
    network = Network(model.network.config, len(order), weights)
    return replace(model, network=network, vocabulary=CharacterVocabulary(characters), primer=primer)


def text(model: AnyModel, sampler: Sampler | None = None, length: int = 40) -> str:
    ids = model.vocabulary.encode("ab")
    return "".join(stream_text(model, ids, length=length, sampler=sampler or sampler_of(), rng=np.random.default_rng(1)))


def test_probabilities_are_averaged() -> None:
    one, other = np.array([[0.0, 5.0, -900.0]]), np.array([[4.0, -1.0, -1000.0]])
    np.testing.assert_allclose(softmax(average_logits([one, other])), (softmax(one) + softmax(other)) / 2)


def test_a_cache_is_mixed_with_the_average(pair: list[TextModel]) -> None:
    together, same = join_models([("a", pair[0]), ("b", pair[1])]), join_models([("a", pair[0]), ("a", pair[0])])
    sampler = sampler_of(cache=0.9)
    assert text(together, sampler, 200) != text(together, length=200)
    assert text(same, sampler, 200) == text(pair[0], sampler, 200)


def test_an_average_is_that_of_the_members_at_every_step(pair: list[TextModel]) -> None:
    together = join_models([("a", pair[0]), ("b", pair[1])])
    prompt = pair[0].vocabulary.encode("ab")
    readers = [begin(model, prompt, 2) for model in (together, *pair)]
    logits = [one[0] for one in readers]
    for ids in np.array([[1, 2], [3, 3], [4, 1]]):
        np.testing.assert_allclose(softmax(logits[0]), (softmax(logits[1]) + softmax(logits[2])) / 2, atol=1e-6)
        logits = [predictor.step(ids) for _, predictor in readers]
    for _, predictor in readers:
        predictor.take(np.array([1, 1]))
    logits = [predictor.step(np.array([2, 2])) for _, predictor in readers]
    np.testing.assert_allclose(softmax(logits[0]), (softmax(logits[1]) + softmax(logits[2])) / 2, atol=1e-6)


def test_in_turns_each_member_has_read_everything(pair: list[TextModel]) -> None:
    together = join_models([("a", pair[0]), ("b", pair[1])], "turns")
    prompt = pair[0].vocabulary.encode("ab")
    readers = [begin(model, prompt, 1) for model in (together, *pair)]
    logits = [one[0].copy() for one in readers]
    for position, token in enumerate((1, 3, 2, 4)):
        np.testing.assert_array_equal(logits[0], logits[1 + position % 2])
        logits = [predictor.step(np.array([token])).copy() for _, predictor in readers]


@pytest.mark.parametrize("how", ["average", "turns"])
def test_a_model_joined_with_itself_is_itself(how: str, pair: list[TextModel]) -> None:
    assert text(join_models([("a", pair[0]), ("b", pair[0])], how)) == text(pair[0])
    assert text(join_models([("a", pair[0]), ("b", pair[1])], how)) not in (text(pair[0]), text(pair[1]))
    assert join_models([("a", pair[0])], how) is pair[0]


@pytest.mark.parametrize("how", ["average", "turns"])
def test_characters_are_matched_whatever_their_order(how: str, pair: list[TextModel]) -> None:
    other = reordered(pair[1], "dbca")
    assert text(other, sampler_of(temperature=0)) == text(pair[1], sampler_of(temperature=0))
    mixed, plain = (join_models([("a", pair[0]), ("b", one)], how) for one in (other, pair[1]))
    assert text(mixed) == text(plain)


def test_an_ensemble_writes_in_batches(pair: list[TextModel]) -> None:
    together = Ensemble(members=tuple(pair))
    drawn = {"length": 9, "sampler": sampler_of(), "rng": np.random.default_rng(1)}
    texts = sample_texts(together, together.vocabulary.encode("a"), count=5, **drawn)
    assert len(set(texts)) == 5
    assert {len(one) for one in texts} == {9}


def test_vocabularies_that_differ_are_refused_by_what_differs(random_model: RandomModel) -> None:
    models = [("first", random_model(characters="abxy")), ("second", random_model(characters="abz"))]
    with pytest.raises(ConfigError, match="only first knows 'x', 'y', only second knows 'z'"):
        join_models(models)
    with pytest.raises(ConfigError, match="only first knows 'c', 'd', 'e', 'f', 'g' and 2 more;"):
        join_models([("first", random_model(characters="abcdefghi")), ("second", random_model(characters="ab"))])


def test_lines_and_documents_do_not_go_together(random_model: RandomModel) -> None:
    with pytest.raises(ConfigError, match="names writes lines that end by themselves, prose does not"):
        join_models([("prose", random_model()), ("names", random_model(reading="line"))])


def test_models_are_loaded_from_files(tmp_path_factory: pytest.TempPathFactory, pair: list[TextModel]) -> None:
    paths = [tmp_path_factory.mktemp("models") / "model.safetensors" for _ in pair]
    for path, model in zip(paths, pair, strict=True):
        save_model(path, model)
    assert text(load_models(paths)) == text(join_models([("a", pair[0]), ("b", pair[1])]))
