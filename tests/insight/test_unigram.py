import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.insight import unigram
from chargen.insight.assessment import baselines
from chargen.insight.baseline import NgramModel
from chargen.insight.unigram import count_tokens, cross_entropies, describe_worse, unigram_nats

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


def test_figures_are_means_over_the_predicted_tokens() -> None:
    vocabulary = CharacterVocabulary("ab")
    learnt, measured = (tokenize([Document(text, ends=False)], vocabulary) for text in ("aab", "bbba"))
    costs = unigram_nats(count_tokens([learnt], 3))
    expected = {"1-gram": (3 * costs[2] + costs[1]) / 4, "uniform": math.log(3)}
    assert cross_entropies([learnt], measured, 3) == pytest.approx(expected)


def test_only_what_is_worse_than_both_is_warned_of() -> None:
    assert describe_worse("stream", 2.0, {"1-gram": 2.0, "uniform": 5.0}, part="held out") == []
    (line,) = describe_worse("stream", 2.5, {"1-gram": 2.0, "uniform": 5.0}, part="held out")
    assert "stream: 2.500 bits/char is worse than 2.000, the figure of a 1-gram model" in line
    assert "--validation spread" in line
    (line,) = describe_worse("lines", 7.5, {"1-gram": 7.0, "uniform": 6.0}, part="file")
    assert "than 6.000, the figure of guessing" in line
    assert "differs from the training text" in line
    (line,) = describe_worse("lines", 7.5, {"1-gram": 7.0, "uniform": 6.0}, part="training")
    assert line.endswith("; train longer (--epochs)")


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
