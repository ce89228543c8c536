from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from chargen.corpus.documents import Document
from chargen.corpus.windows import Batch, tokenize
from chargen.errors import ConfigError
from chargen.insight import dynamic
from chargen.insight.dynamic import evaluate_dynamic, gradient_sizes, stream_segments
from chargen.insight.evaluation import EncodedText, evaluate_carried
from chargen.network.average import NetworkAverage
from chargen.network.model_file import TextModel
from chargen.network.network import Network
from chargen.scratch.network import ScratchNetwork

RandomModel = Callable[..., TextModel]

TRAINING = [Document("abcH" * 30), Document("cab" * 20)]
TEXT = [Document("Hcba" * 40)]


def changed(model: TextModel, **settings: object) -> TextModel:
    network = model.network
    return replace(model, network=Network(replace(network.config, **settings), network.vocab_size, network.weights))


@pytest.mark.parametrize("reading", ["line", "document"])
def test_at_a_rate_of_nothing_it_is_the_static_figure(reading: str, random_model: RandomModel) -> None:
    model = random_model(reading=reading)
    passage, reported = EncodedText.of([*TEXT, *TEXT], model.vocabulary), []
    static = evaluate_carried(model, passage)
    found = evaluate_dynamic(model, passage, tokenize(TRAINING, model.vocabulary), rate=1e-12, report=reported.append)
    assert found.nats == pytest.approx(static.nats, rel=1e-5)
    assert sum(reported) == found.characters


@pytest.mark.parametrize("reading", ["line", "document"])
def test_it_learns_what_the_text_repeats_and_leaves_the_model_alone(reading: str, random_model: RandomModel) -> None:
    model = random_model(reading=reading)
    before = {name: weight.copy() for name, weight in model.network.weights.items()}
    passage = EncodedText.of([Document("Hcba" * 8)] * 15, model.vocabulary)
    learnt = tokenize(TRAINING, model.vocabulary)
    slow, fast = (evaluate_dynamic(model, passage, learnt, rate=rate).nats for rate in (1e-12, 0.01))
    assert fast < 0.8 * slow
    for name, weight in model.network.weights.items():
        np.testing.assert_array_equal(weight, before[name])


def test_of_several_networks_each_learns_and_their_predictions_are_averaged(random_model: RandomModel) -> None:
    passage = EncodedText.of([Document("Hcba" * 40)], random_model().vocabulary)
    learnt = tokenize(TRAINING, random_model().vocabulary)
    one, other = random_model(), random_model(seed=9)
    both = replace(one, network=NetworkAverage([one.network, other.network]))
    static = evaluate_carried(both, passage).nats
    assert evaluate_dynamic(both, passage, learnt, rate=1e-12).nats == pytest.approx(static, rel=1e-5)
    apart = [evaluate_dynamic(model, passage, learnt, rate=0.01).nats for model in (one, other)]
    together = evaluate_dynamic(both, passage, learnt, rate=0.01).nats
    assert together < min(static, sum(apart) / 2)  # the mean of probabilities is never worse than the mean of the costs
    twice = replace(one, network=NetworkAverage([one.network, one.network]))
    assert evaluate_dynamic(twice, passage, learnt, rate=0.01).nats == pytest.approx(apart[0], rel=1e-6)


def test_an_update_by_the_formula(random_model: RandomModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two segments; the weights in between and after are computed from the gradients of the batches."""
    monkeypatch.setattr(dynamic, "SEGMENT", 4)
    model = random_model()
    stream = EncodedText.of([Document("abcabHc")], model.vocabulary).stream
    learnt = tokenize(TRAINING, model.vocabulary)
    trained = {name: weight.astype(np.float64) for name, weight in model.network.weights.items()}
    weights = {name: weight.copy() for name, weight in trained.items()}
    network = ScratchNetwork(model.network.config, model.network.vocab_size, weights)
    sizes = gradient_sizes(network, learnt)
    mean = np.concatenate([size.ravel() for size in sizes.values()]).mean()
    state, expected = network.zero_state(1), 0.0
    for segment in stream_segments(stream):
        batch = Batch(segment.ids, segment.targets, segment.weights)
        loss, gradients, state = network.loss_and_gradients(batch, state, np.random.default_rng(0))
        expected += loss
        for name, weight in weights.items():
            pull = np.minimum(1, dynamic.DECAY * sizes[name] / mean) * (trained[name] - weight)
            weight += pull - 0.01 * gradients[name] / (sizes[name] + dynamic.SMALL * mean)
    found = evaluate_dynamic(model, EncodedText(stream=stream, characters=8, spelling_nats=0.0), learnt, rate=0.01)
    assert found.nats == pytest.approx(expected, rel=1e-4)


def test_what_only_matters_in_training_is_no_obstacle(random_model: RandomModel) -> None:
    model = random_model()
    learnt = tokenize(TRAINING, model.vocabulary)
    passage = EncodedText.of(TEXT, model.vocabulary)
    expected = evaluate_dynamic(model, passage, learnt).nats
    dropouts = {"dropout": 0.3, "input_dropout": 0.1, "locked_dropout": True, "recurrent_dropout": 0.2, "weight_drop": 0.4}
    other = changed(model, targets="last", **dropouts)
    assert evaluate_dynamic(other, passage, learnt).nats == expected


def test_what_has_no_way_back_is_refused(random_model: RandomModel) -> None:
    model = random_model()
    weights = dict(model.network.weights) | {
        f"embedding_norm.{name}": np.ones(4, np.float32) for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    config = replace(model.network.config, embedding_norm="batch")
    normed = replace(model, network=Network(config, model.network.vocab_size, weights))
    with pytest.raises(ConfigError, match=r"--dynamic .* network\.embedding_norm"):
        evaluate_dynamic(normed, EncodedText.of(TEXT, model.vocabulary), tokenize(TRAINING, model.vocabulary))
