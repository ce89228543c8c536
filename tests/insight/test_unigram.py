import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from chargen.config import Settings
from chargen.corpus.documents import Corpus, Document
from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.insight import unigram
from chargen.insight.assessment import baselines
from chargen.insight.baseline import NgramModel
from chargen.insight.unigram import count_tokens, cross_entropies, describe_worse, unigram_nats
from chargen.resolution import resolve
from chargen.training.planning.plan import make_plan

texts = st.lists(st.text("abc ", min_size=1, max_size=20), min_size=1, max_size=5)
MARCH = "left right left right left right\n"
NOISE = "zyxwvut zyxwvut zyxwvut zyxwvu\n"


@given(texts, texts, st.booleans())
def test_the_figure_is_that_of_the_ngram_model(learnt: list[str], measured: list[str], ends: bool) -> None:
    training, other = ([Document(text, ends=ends) for text in some] for some in (learnt, measured))
    vocabulary = CharacterVocabulary.of([*learnt, *measured])
    counts = [count_tokens([tokenize(documents, vocabulary)], len(vocabulary)) for documents in (training, other)]
    expected = NgramModel.fit(training, order=1, vocabulary=vocabulary).cross_entropy(other)
    assert counts[1] @ unigram_nats(counts[0]) / counts[1].sum() == pytest.approx(expected)
    assert np.exp(-unigram_nats(counts[0])).sum() == pytest.approx(1)


def test_a_long_stream_is_counted_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unigram, "TOKENS_AT_ONCE", 3)
    vocabulary = CharacterVocabulary("abc", ["x", "y"])
    stream = tokenize([Document("abcab", "x", ends=False), Document("cc", "y"), Document("a", "x")], vocabulary)
    assert count_tokens([stream, stream], len(vocabulary)).tolist() == [4, 6, 4, 6, 0, 0]
    assert BOUNDARY == 0


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"training": {"stateful": True, "context_length": 8, "batch_size": 3}},
        {"network": {"targets": "last"}, "training": {"context_length": 8, "stride": 1}},
        {"corpus": {"validation": "tail"}},
        {"corpus": {"reading": "line"}},
        {"corpus": {"tokens": "word"}},
    ],
)
def test_validation_is_compared_on_its_own_tokens(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unigram, "STEPS_AT_ONCE", 2)
    settings: Settings = resolve(("test", sections)).settings
    lines = (MARCH * 20 + NOISE * 4).splitlines()
    documents = lines if settings.corpus.reading == "line" else ["\n".join(lines)]
    plan = make_plan(settings, Corpus("text", tuple(map(Document, documents)), settings.corpus.reading, "0" * 64))
    assert plan.validation is not None
    assert plan.parts.validation is not None
    vocab_size = len(plan.vocabulary)
    nats = cross_entropies(plan.parts.training, plan.validation, vocab_size)
    counts = count_tokens([plan.parts.validation], vocab_size)
    expected = counts @ unigram_nats(count_tokens(plan.parts.training, vocab_size)) / counts.sum()
    assert nats == pytest.approx({"1-gram": expected, "uniform": math.log(vocab_size)})


def test_only_what_is_worse_than_both_is_warned_of() -> None:
    assert describe_worse("stream", 2.0, {"1-gram": 2.0, "uniform": 5.0}, held_out=True) == []
    (line,) = describe_worse("stream", 2.5, {"1-gram": 2.0, "uniform": 5.0}, held_out=True)
    assert "stream: 2.500 bits/char is worse than 2.000, which a 1-gram model" in line
    assert "--validation spread" in line
    (line,) = describe_worse("lines", 7.5, {"1-gram": 7.0, "uniform": 6.0}, held_out=False)
    assert "than 6.000, which equal guesses" in line
    assert "unlike the one that it was trained on" in line


SMALL = ("--hidden-size", 4, "--backend", "numpy", "--epochs", 3, "--context-length", 16, "--batch-size", 4)


@pytest.mark.parametrize("reading", ["--document", "--per-line"])
def test_a_held_out_part_that_is_nothing_like_the_rest(reading: str, invoke: Callable[..., Result], in_folder: Path) -> None:
    (in_folder / "march.txt").write_text(MARCH * 60 + NOISE * 8, encoding="utf-8")
    options = ("march.txt", "--config", "plain", "--learning-rate", 0.1, *SMALL)
    result = invoke("train", *options, "--document", "--validation", "tail", "--json")
    summary = json.loads(result.stdout)
    best = min(summary["baselines"].values())
    assert best < summary["bits_per_character"]
    assert f"warning: validation: {summary['bits_per_character']:.3f} bits/char is worse than {best:.3f}" in result.stderr
    measured = invoke("evaluate", summary["run"], "--json")
    figures = {row["name"]: row["bits_per_character"] for row in json.loads(measured.stdout)["results"]}
    assert figures["1-gram"] == pytest.approx(summary["baselines"]["1-gram"])
    assert measured.stderr.count("warning: ") == 1
    assert "warning" not in invoke("evaluate", summary["run"], "march.txt", "--no-baselines").stderr
    assert invoke("evaluate", summary["run"], "-q").stderr == ""
    assert "warning" not in invoke("train", *options, reading).stderr


def test_baselines_hold_the_same_figure() -> None:
    training, measured = [Document(MARCH * 9, ends=False)], [Document(NOISE + MARCH)]
    vocabulary = CharacterVocabulary.of([MARCH, NOISE])
    counts = [count_tokens([tokenize(some, vocabulary)], len(vocabulary)) for some in (training, measured)]
    nats = float(counts[1] @ unigram_nats(counts[0]))
    assert baselines(training, measured)["1-gram"].nats == pytest.approx(nats)
