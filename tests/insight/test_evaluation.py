"""Every protocol, compared with the network's own steps."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import BOUNDARY
from chargen.corpus.words import WordVocabulary
from chargen.errors import ConfigError
from chargen.insight.evaluation import (
    EncodedText,
    Quality,
    evaluate_blocks,
    evaluate_carried,
    ignore,
    protocols,
)
from chargen.network.average import log_softmax
from chargen.network.model_file import TextModel
from chargen.writing.ensemble import join_models

RandomModel = Callable[..., TextModel]

TEXTS = ["abcabcH", "ba", "\u00e9\u00e9abHHcab"]


def documents(texts: Sequence[str], labels: Sequence[str | None] = (None, None, None)) -> list[Document]:
    return [Document(text, label) for text, label in zip(texts, labels, strict=True)]


def costs(model: TextModel, read: Sequence[int], targets: Sequence[int]) -> list[float]:
    """Return the cost of each of the last targets after reading some ids from a zero state."""
    logits, _ = model.network.logits(np.array([read]), model.network.zero_state(1))
    logs = log_softmax(logits[0])[-len(targets) :]
    return [-float(row[target]) for row, target in zip(logs, targets, strict=True)]


def cost(model: TextModel, read: Sequence[int], targets: Sequence[int]) -> float:
    return sum(costs(model, read, targets))


def encoded(model: TextModel, text: str) -> list[int]:
    return model.vocabulary.encode(text).tolist()


@pytest.mark.parametrize("piece", [4, 4096])
def test_a_stream_is_one_text_from_boundary_to_boundary(
    piece: int, random_model: RandomModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargen.writing.reading.tokens_at_once", lambda _: piece)
    model, reported = random_model(), []
    ids = [BOUNDARY]
    for text in TEXTS:
        ids += [*encoded(model, text), BOUNDARY]
    found = evaluate_carried(model, EncodedText.of(documents(TEXTS), model.vocabulary), reported.append)
    assert found.characters == len(ids) - 1 == sum(reported)
    assert found.nats == pytest.approx(cost(model, ids[:-1], ids[1:]), rel=1e-6)


@pytest.mark.parametrize("length", [2, 3, 5, 100])
@pytest.mark.parametrize("rows", [1, 2, 256])
def test_blocks_begin_with_the_token_before_their_first_target(
    length: int, rows: int, random_model: RandomModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargen.insight.evaluation.ROWS_AT_ONCE", rows)
    model, expected, reported = random_model(), 0.0, []
    for text in TEXTS:
        ids = [BOUNDARY, *encoded(model, text), BOUNDARY]
        for first in range(0, len(ids) - 1, length):
            targets = ids[first + 1 : first + 1 + length]
            expected += cost(model, ids[first : first + len(targets)], targets)
    found = evaluate_blocks(model, EncodedText.of(documents(TEXTS), model.vocabulary), length, reported.append)
    assert found.nats == pytest.approx(expected, rel=1e-6)
    assert found.characters == sum(reported) == sum(len(text) + 1 for text in TEXTS)


@pytest.mark.parametrize("length", [2, 3, 5, 100])
def test_labelled_blocks_begin_with_their_label(length: int, random_model: RandomModel) -> None:
    model, expected, reported = random_model(labels=("x", "y")), 0.0, []
    labels = ["y", "x", "y"]
    for text, label in zip(TEXTS, labels, strict=True):
        ids = [model.vocabulary.label_id(label), *encoded(model, text), BOUNDARY]
        for first in range(0, max(1, len(ids) - 2), length - 1):
            read = [ids[0], *ids[first + 1 : first + length]][: len(ids) - 1 - first]
            targets = ids[first + (1 if first == 0 else 2) : first + 1 + length]
            expected += cost(model, read, targets)
    found = evaluate_blocks(model, EncodedText.of(documents(TEXTS, labels), model.vocabulary), length, reported.append)
    assert found.characters == sum(reported)
    assert found.nats == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 256])
@pytest.mark.parametrize("primer", [1, 3])
def test_lines_begin_as_generation_begins_them(
    primer: int, rows: int, random_model: RandomModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargen.writing.reading.ROWS_AT_ONCE", rows)
    model, reported = replace(random_model(reading="line"), primer=(BOUNDARY,) * primer), []
    expected = 0.0
    for text in TEXTS:
        targets = [*encoded(model, text), BOUNDARY]
        expected += cost(model, [BOUNDARY] * primer + targets[:-1], targets)
    found = evaluate_carried(model, EncodedText.of(documents(TEXTS), model.vocabulary), reported.append)
    assert found.nats == pytest.approx(expected, rel=1e-6)
    assert sum(reported) == found.characters


def test_labelled_lines_begin_with_their_label(random_model: RandomModel) -> None:
    model = random_model(reading="line", labels=("x", "y"))
    targets = [*encoded(model, "ab"), BOUNDARY]
    expected = cost(model, [model.vocabulary.label_id("y"), *targets[:-1]], targets)
    found = evaluate_carried(model, EncodedText.of([Document("ab", "y")], model.vocabulary))
    assert found.nats == pytest.approx(expected, rel=1e-6)


def test_unknown_words_are_charged_for_their_spelling(random_model: RandomModel) -> None:
    vocabulary = WordVocabulary(["the", " cat"], num_characters=9)
    model = random_model(vocabulary=vocabulary)
    passage = EncodedText.of([Document("the dog")], vocabulary)
    assert passage.num_targets == 3
    found = evaluate_carried(model, passage)
    ids = [BOUNDARY, *vocabulary.encode("the dog").tolist(), BOUNDARY]
    assert found.nats == pytest.approx(cost(model, ids[:-1], ids[1:]) + 5 * np.log(10))
    assert found.characters == len("the dog") + 1


def test_figures_of_a_cost() -> None:
    quality = Quality(nats=4 * np.log(8), characters=4)
    assert (quality.cross_entropy, quality.bits_per_character) == pytest.approx((np.log(8), 3))
    assert quality.perplexity == pytest.approx(8)
    assert quality.shown_perplexity == "8.000"
    assert Quality(nats=1e9, characters=1).perplexity == float("inf")
    assert Quality(nats=500, characters=1).shown_perplexity == "1.404e+217"


def test_protocols_suit_what_a_model_reads(random_model: RandomModel) -> None:
    names = [[one.name for one in protocols(random_model(reading=kind), block_length=64)] for kind in ("line", "document")]
    assert names == [["lines"], ["stream", "blocks of 64"]]


@pytest.mark.parametrize("reading", ["line", "document"])
def test_each_protocol_reads_every_character(reading: str, random_model: RandomModel) -> None:
    model = random_model(reading=reading)
    passage = EncodedText.of(documents(TEXTS), model.vocabulary)
    for one in protocols(model, block_length=2):
        reported: list[int] = []
        assert one.evaluate(model, passage, reported.append).characters == sum(reported)


@pytest.mark.parametrize("reading", ["line", "document"])
def test_several_models_are_measured_by_the_mean_of_their_probabilities(reading: str, random_model: RandomModel) -> None:
    """The second model has the same characters in another order."""
    models = [random_model(reading=reading), random_model(reading=reading, characters="Hab\u00e9c\n", seed=1)]
    pair = join_models([("first", models[0]), ("second", models[1])])
    expected = 0.0
    for text in TEXTS:
        by_model = []
        for model in models:
            targets = [*encoded(model, text), BOUNDARY]
            by_model.append(costs(model, [BOUNDARY, *targets[:-1]], targets))
        expected -= np.log(np.mean(np.exp(-np.array(by_model)), axis=0)).sum()
    passage = EncodedText.of(documents(TEXTS), pair.vocabulary)
    found = protocols(pair, block_length=100)[-1].evaluate(pair, passage, ignore)
    assert found.nats == pytest.approx(expected, rel=1e-6)


def test_models_that_take_turns_are_not_measured_together(random_model: RandomModel) -> None:
    pair = join_models([("first", random_model()), ("second", random_model(seed=1))], "turns")
    with pytest.raises(ConfigError, match="take turns"):
        evaluate_carried(pair, EncodedText.of(documents(TEXTS), pair.vocabulary))
