from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Document, Documents
from chargen.corpus.examples import ExampleBatches, fixed_rows, load_examples, split_examples
from chargen.errors import ChargenError, ConfigError, CorpusError
from chargen.settings.schema import CorpusConfig

GOOD = "review,sentiment\ngood,pos\nfine,pos\nbad,neg\npoor,neg\n"


def load(folder: Path, content: str | bytes, name: str = "t.csv", **settings: Any) -> Corpus:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_examples(CorpusConfig(files=(str(path),), **settings))


def pairs(corpus: Corpus) -> list[tuple[str, str | None]]:
    return [(str(document.text), document.label) for document in corpus.documents]


@pytest.mark.parametrize(
    ("content", "name", "settings"),
    [
        (GOOD, "t.csv", {}),
        (GOOD.replace(",", "\t"), "t.TSV", {}),
        (GOOD.replace("\n", "\r\n"), "t.csv", {}),
        (b"\xef\xbb\xbf" + GOOD.encode(), "t.csv", {}),
        (GOOD.encode("utf-16"), "t.csv", {}),
        (GOOD.replace("review,sentiment", "Text , CLASS"), "t.csv", {}),
        (GOOD.replace("review,sentiment", "name,label"), "t.csv", {}),
        (GOOD.replace("review,sentiment", "a,b"), "t.csv", {"text_column": "a", "label_column": "B"}),
        ("\n" + GOOD.replace("\n", "\n\n"), "t.csv", {}),
        (GOOD.replace("good,pos", '"good"," pos "'), "t.csv", {}),
    ],
)
def test_tables_of_every_form(content: str | bytes, name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    corpus = load(tmp_path, content, name, **settings)
    assert pairs(corpus) == [("good", "pos"), ("fine", "pos"), ("bad", "neg"), ("poor", "neg")]
    assert (corpus.labels, corpus.name) == (("neg", "pos"), "t")
    (note,) = corpus.notes
    assert "a table of 2 columns" in note
    assert "4 rows; texts are from the column" in note
    assert "such as 'good'; labels are from" in note


def test_columns_in_any_place_and_cells_with_anything(tmp_path: Path) -> None:
    content = 'id,label,text\n1,a,"two\nlines, ""quoted"""\n2,b,x\n3,a,y\n4,b,' + "z" * 200_000 + "\n"
    assert pairs(load(tmp_path, content)) == [('two\nlines, "quoted"', "a"), ("x", "b"), ("y", "a"), ("z" * 200_000, "b")]


def test_the_likeliest_columns_are_taken(tmp_path: Path) -> None:
    content = "name,text,class,label\nn,good,1,pos\nn,fine,2,pos\nn,bad,3,neg\nn,poor,4,neg\n"
    assert pairs(load(tmp_path, content))[0] == ("good", "pos")


def test_an_encoding_is_guessed_and_told_or_forced(tmp_path: Path) -> None:
    content = ("text,label\n" + "déjà vu à l'été,a\nça c'est très bien,b\n" * 4).encode("cp1252")
    assert load(tmp_path, content, encoding="cp1252").documents[0].text == "déjà vu à l'été"
    assert "t.csv: not UTF-8, read as" in load(tmp_path, content).notes[0]


def test_rows_that_lack_something_are_left_out_and_told(tmp_path: Path) -> None:
    corpus = load(tmp_path, GOOD + " ,pos\nalone\nunlabelled,\n")
    assert len(corpus.documents) == 4
    assert "t.csv: 3 of 7 rows have no text or no label, left out (the first ends on line 6)" in corpus.notes[1]


def test_labelled_files(tmp_path: Path) -> None:
    for name in ("dogs", "cats"):
        (tmp_path / f"{name}.txt").write_text("Rex\nTom\n" * 12, encoding="utf-8")
    files = tuple(str(tmp_path / f"{name}.txt") for name in ("dogs", "cats"))
    corpus = load_examples(CorpusConfig(files=files, label_by="file"))
    assert Counter(pairs(corpus)) == {(name, label): 12 for name in ("Rex", "Tom") for label in ("dogs", "cats")}


@pytest.mark.parametrize(
    ("content", "settings", "kind", "parts"),
    [
        (GOOD, {"text_column": "body"}, ConfigError, ["t.csv has no column body", "it has review, sentiment", "--text-column"]),
        (GOOD, {"label_column": "x"}, ConfigError, ["no column x", "--label-column"]),
        (GOOD, {"label_column": "review"}, ConfigError, ["'review'", "for the texts and for the labels"]),
        ("text,b\nx,2\ny,3\n", {}, ConfigError, ["t.csv has 2 columns (text, b); no column", "labels", "--label-column"]),
        ("text,label\n", {}, CorpusError, ["no row with a text and a label"]),
        ("text,label\na,x\nb,x\n", {}, CorpusError, ["only one label, 'x'"]),
        ("text,label\na,x\nb,x\nc,y\n", {}, CorpusError, ["the label 'y' has 1 text, expected 2 or more"]),
        ("", {}, CorpusError, ["t.csv is empty"]),
    ],
)
def test_tables_that_will_not_do(
    content: str, settings: dict[str, Any], kind: type[ChargenError], parts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(kind) as refused:
        load(tmp_path, content, **settings)
    for part in parts:
        assert part in f"{refused.value.message}; {refused.value.hint}"


def test_a_text_file_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"t\.txt is not a table of texts and labels, expected \.csv") as refused:
        load(tmp_path, "It was a dark night.\nNobody could sleep.\n", "t.txt")
    assert "--label-by" in str(refused.value.hint)


def documents(**counts: int) -> Documents:
    return Documents.of(Document(f"{label}{number}", label) for label, count in counts.items() for number in range(count))


def test_the_split_keeps_the_shares_of_the_labels() -> None:
    whole = documents(a=50, b=20, c=2)
    training, held_out = split_examples(whole, 0.1, seed=1)
    assert Counter(document.label for document in held_out) == {"a": 5, "b": 2, "c": 1}
    assert sorted([*training, *held_out]) == sorted(whole)
    assert split_examples(whole, 0.1, seed=1) == (training, held_out)
    assert split_examples(whole, 0.1, seed=2)[1] != held_out
    assert split_examples(whole, 0.0, seed=1) == (whole, Documents())
    assert Counter(document.label for document in split_examples(whole, 0.9, seed=1)[0]) == {"a": 5, "b": 2, "c": 1}


def test_rows_are_cut_and_filled_at_the_front() -> None:
    ids = [np.array(one, np.uint8) for one in ([1, 2, 3, 4, 5], [6], [], [7, 8, 9])]
    assert fixed_rows(ids, 3, np.uint8).tolist() == [[3, 4, 5], [0, 0, 6], [0, 0, 0], [7, 8, 9]]


def test_every_example_comes_once_an_epoch() -> None:
    rows = np.arange(1, 15, dtype=np.uint8).reshape(7, 2)
    plan = ExampleBatches(rows, np.arange(7, dtype=np.int32), batch_size=3, seed=5)
    assert (plan.num_steps, plan.num_targets, plan.context_length) == (3, 7, 2)
    orders = []
    for epoch in (0, 1):
        inputs, targets, weights = plan.batches(epoch, 0, 3)
        assert (inputs.shape, targets.shape, weights.shape) == ((3, 3, 2), (3, 3), (3, 3))
        assert weights.ravel().tolist() == [1.0] * 7 + [0.0] * 2
        order = targets[weights > 0]
        assert sorted(order) == list(range(7))
        np.testing.assert_array_equal(inputs, rows[targets])
        np.testing.assert_array_equal(plan.batch(epoch, 1).targets, targets[1])
        orders.append(order.tolist())
    assert orders[0] != orders[1]
