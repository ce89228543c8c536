"""The usual figures are those of the benchmarks, and shown for texts that look like theirs."""

import json
from pathlib import Path

import numpy as np
import pytest

import benchmarks
from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Document, Documents
from chargen.insight.usual import USUAL_BITS, describe_usual

LONGEST_SHORT = 63_497  # characters of the text of benchmarks/short_texts.py
RESULTS = json.loads((Path(benchmarks.__path__[0]) / "results.json").read_text(encoding="utf-8"))


def corpus(text: str, *, reading: str = "document") -> Corpus:
    texts = text.split("\n") if reading == "line" else [text]
    return Corpus("text", Documents.of(map(Document, texts)), reading, "0" * 64)


@pytest.mark.parametrize(("size", "bits"), [one for one in USUAL_BITS if one[0] < LONGEST_SHORT])
def test_usual_figures_of_short_texts_are_those_that_were_measured(size: int, bits: float) -> None:
    rows = [row for row in RESULTS["short-texts"]["rows"] if row["what"].endswith("characters")]
    sizes = [int(row["what"].partition(" ")[0].replace(",", "")) for row in rows]
    assert bits == pytest.approx(np.interp(np.log(size), np.log(sizes), [row["median"] for row in rows]), abs=0.1)


@pytest.mark.parametrize(("size", "bits", "text"), [(540_000, 1.8, "nietzsche"), (1_000_000, 2.0, "tinyshakespeare")])
def test_usual_figures_of_long_texts_are_those_that_were_measured(size: int, bits: float, text: str) -> None:
    assert (size, bits) in USUAL_BITS
    row = next(row for row in RESULTS["quality"]["rows"] if row["text"] == text and row["what"].endswith("stream"))
    assert bits == pytest.approx(row["median"] / np.log(2), abs=0.1)


def test_a_usual_figure_is_shown_for_english_of_a_size_that_was_measured() -> None:
    sentence = "It was a dark night, and the rain fell in torrents.\n"
    (line,) = describe_usual(corpus(sentence * 500))
    assert line == "English texts of about 30,000 characters usually reach 2.1 bits/char with the automatic settings"
    others = [corpus(sentence), corpus(sentence * 500, reading="line"), corpus("if (x[0] += 1) { y(); }\n" * 1000)]
    assert [describe_usual(one) for one in [*others, corpus("Темна была ночь. " * 2000)]] == [[]] * 4
    after_an_empty_one = Corpus(
        "text", Documents.of([Document(""), Document("Темна была ночь. " * 2000)]), "document", "0" * 64
    )
    assert describe_usual(after_an_empty_one) == []
