import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.results import text_of

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


def refusal(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("chargen: ")
    return line


@pytest.fixture(params=["generator", "classifier"])
def labelled(request: pytest.FixtureRequest, write_run: WriteRun, write_classifier: WriteRun) -> Path:
    """The model file of a run of either kind, with the labels neg and pos."""
    if request.param == "generator":
        return write_run(reading="line", characters="abcH\u00e9 ", labels=("neg", "pos"))
    return write_classifier()


def test_one_text_gives_one_label_a_line_the_likeliest_first(labelled: Path, invoke: Invoke) -> None:
    lines = text_of(invoke("classify", "aH")).splitlines()
    found = [re.fullmatch(r"(neg|pos)  ([01]\.\d{4})", line) for line in lines]
    first, second = (float(one[2]) for one in found if one)
    assert first + second == pytest.approx(1, abs=2e-4)
    assert first >= second


def test_several_texts_give_one_line_each(labelled: Path, invoke: Invoke) -> None:
    one, two = text_of(invoke("classify", "aH", "b c")).splitlines()
    assert re.fullmatch(r"(neg|pos) 0\.\d{4}  (neg|pos) 0\.\d{4}  aH", one)
    assert two.endswith("  b c")


def test_json_holds_texts_labels_and_probabilities(labelled: Path, invoke: Invoke) -> None:
    rows = json.loads(text_of(invoke("classify", "aH", "bé", "--json")))
    assert [row["text"] for row in rows] == ["aH", "bé"]
    for row in rows:
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probabilities"][row["label"]] == max(row["probabilities"].values())
    (alone,) = json.loads(text_of(invoke("classify", "bé", "--json")))
    assert alone["probabilities"] == pytest.approx(rows[1]["probabilities"], abs=1e-6)


def test_texts_come_from_arguments_stdin_and_files(labelled: Path, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "more.txt").write_text("HH\r\na b\r\n", encoding="utf-8")
    result = invoke("classify", "c", "-", "ab", "--file", "more.txt", "--json", input="aa\nbb\n")
    assert [row["text"] for row in json.loads(text_of(result))] == ["c", "aa", "bb", "ab", "HH", "a b"]


def test_a_run_is_named_or_pointed_at(labelled: Path, invoke: Invoke) -> None:
    given = [text_of(invoke("classify", "a", "--run", spec)) for spec in (labelled.parent.name, labelled, labelled.parent)]
    assert given[0] == given[1] == given[2] == text_of(invoke("classify", "a"))


def test_a_prior_weighs(write_run: WriteRun, invoke: Invoke) -> None:
    """Odds after the text, divided by the odds before it, do not depend on the latter."""
    write_run(labels=("neg", "pos"))

    def odds(*options: str) -> float:
        (row,) = json.loads(text_of(invoke("classify", "ab", "--json", *options)))
        return float(row["probabilities"]["pos"] / row["probabilities"]["neg"])

    assert odds("--prior", "pos=0.8") == pytest.approx(4 * odds())
    assert odds("--prior", "neg=0.8", "--prior", "pos=0.2") == pytest.approx(odds() / 4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["aЖb"], "never seen 'Ж' (U+0416)"),
        ([""], "text 1 of 1 is empty"),
        (["a", "  "], "text 2 of 2 is empty"),
        ([], "no text to classify"),
        (["Ж", "--on-unknown", "skip"], "knows no token of 'Ж'"),
        (["--file", "missing.txt"], "no such file: missing.txt"),
        (["-"], "stdin is empty"),
        (["a", "--run", "missing"], "no such run: missing"),
        (["a", "--prior", "pos"], "--prior is 'pos', expected LABEL=P"),
        (["a", "--prior", "pos=much"], "--prior is 'pos=much'"),
        (["a", "--prior", "pos=0.2", "--prior", "pos=0.3"], "each label once"),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_what_cannot_be_is_refused(arguments: list[str], told: str, labelled: Path, invoke: Invoke) -> None:
    assert told in refusal(invoke("classify", *arguments))


def test_unknown_characters_may_be_left_out(labelled: Path, invoke: Invoke) -> None:
    skipped, nearest = (text_of(invoke("classify", "aЖB", "--on-unknown", choice)) for choice in ("skip", "nearest"))
    assert skipped == text_of(invoke("classify", "a"))
    assert nearest != skipped


def test_a_label_that_there_is_not_is_refused(write_run: WriteRun, invoke: Invoke) -> None:
    write_run(labels=("neg", "pos"))
    assert "--prior: no label 'so-so'" in refusal(invoke("classify", "a", "--prior", "so-so=0.2"))


def test_a_classifier_learnt_its_prior(write_classifier: WriteRun, invoke: Invoke) -> None:
    write_classifier()
    assert "a classifier has learned it" in refusal(invoke("classify", "a", "--prior", "pos=0.2"))


def test_a_run_without_labels_is_refused(write_run: WriteRun, invoke: Invoke) -> None:
    write_run()
    line = refusal(invoke("classify", "a"))
    assert "was trained without labels" in line
    assert "--label-by" in line


def test_sample_refuses_a_classifier(write_classifier: WriteRun, invoke: Invoke) -> None:
    write_classifier()
    assert "holds a classifier, which writes no text; chargen classify" in refusal(invoke("sample"))


def test_runs_lists_a_classifier_by_how_often_it_is_right(
    write_classifier: WriteRun, write_run: WriteRun, invoke: Invoke
) -> None:
    write_classifier()
    write_run(labels=("x", "y"))
    (row,) = [line for line in invoke("runs").stdout.splitlines() if line.startswith("critic")]
    assert row.split()[:7] == ["critic", "reviews", "lstm", "1x5", "3", "81.2%", "right"]
    runs = {run["name"]: run for run in json.loads(invoke("runs", "--json").stdout)}
    assert (runs["critic"]["task"], runs["critic"]["accuracy"], runs["critic"]["labels"]) == (
        "classify",
        0.8125,
        ["neg", "pos"],
    )
    assert (runs["noise"]["task"], runs["noise"]["accuracy"], runs["noise"]["labels"]) == ("generate", None, ["x", "y"])


TRAIN_ERRORS = [
    (["t.csv", "--text-column", "body"], "t.csv has no column body; it has review, sentiment"),
    (["plain.txt"], "plain.txt is not a table of texts and labels, expected .csv, .tsv, .jsonl, .json or .parquet"),
    (["lonely.csv"], "only one label, 'pos'"),
    (["few.csv"], "the label 'neg' has 1 text, expected 2 or more"),
    (["t.csv", "--stateful"], "training.stateful is for writing text"),
    (["t.csv", "--stride", "3"], "training.stride is for writing text"),
    (["--mix", "t.csv:1"], "corpus.mix is for writing text"),
    (["plain.txt", "--label-by", "file"], "all documents have the label 'plain'"),
]


@pytest.mark.parametrize(("arguments", "told"), TRAIN_ERRORS, ids=lambda value: " ".join(value)[:40])
def test_train_refuses(arguments: list[str], told: str, invoke: Invoke, in_folder: Path) -> None:
    for name, content in {
        "t.csv": "review,sentiment\ngood,pos\nfine,pos\nbad,neg\npoor,neg\n",
        "plain.txt": "It was a dark night, and nobody could sleep. " * 5,
        "lonely.csv": "review,sentiment\ngood,pos\nfine,pos\n",
        "few.csv": "review,sentiment\ngood,pos\nfine,pos\nbad,neg\n",
    }.items():
        (in_folder / name).write_text(content, encoding="utf-8")
    assert told in refusal(invoke("train", *arguments, "--task", "classify"))
    assert not (in_folder / "runs").exists()


TABLE = "id;said;mood\n1;aH;pos\n2;b c;neg\n3;cab;pos\n4; ;pos\n5;ab;\n"


def test_a_table_gives_texts_true_labels_and_a_confusion_matrix(labelled: Path, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "t.csv").write_text(TABLE, encoding="utf-8")
    result = invoke("classify", "--file", "t.csv", "--label-column", "mood", "--json")
    found = json.loads(result.stdout)
    truth = {"aH": "pos", "b c": "neg", "cab": "pos", "ab": None}
    assert {row["text"]: row["true"] for row in found["texts"]} == truth
    told = {row["text"]: row["label"] for row in found["texts"]}
    pairs = [(truth[text], told[text]) for text in truth if truth[text]]
    counts = [[pairs.count((true, guess)) for guess in ("neg", "pos")] for true in ("neg", "pos")]
    assert (found["labels"], found["confusion"], found["labelled"]) == (["neg", "pos"], counts, 3)
    assert found["accuracy"] == pytest.approx((counts[0][0] + counts[1][1]) / 3)
    assert "t.csv: a table of 3 columns (id, said, mood), 4 rows; texts are from the column 'said'" in result.stderr
    assert "1 of 5 rows have no text, left out" in result.stderr
    lines = text_of(invoke("classify", "--file", "t.csv", "--label-column", "mood", "-q")).splitlines()
    assert lines[-4] == f"accuracy {found['accuracy']:.4f} ({counts[0][0] + counts[1][1]} of 3 texts)"
    assert [line.split() for line in lines[-3:]] == [
        ["true", "/", "predicted", "neg", "pos"],
        ["neg", *map(str, counts[0])],
        ["pos", *map(str, counts[1])],
    ]


def test_labels_that_the_model_does_not_know_are_not_counted(labelled: Path, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "t.jsonl").write_text('{"text": "aH", "label": "good"}\n{"text": "b", "label": "bad"}\n', encoding="utf-8")
    result = invoke("classify", "--file", "t.jsonl", "--json")
    assert [row["text"] for row in json.loads(result.stdout)] == ["aH", "b"]
    assert "does not know the labels of 2 texts (bad, good), so they are not counted; the model knows neg, pos" in result.stderr


def test_columns_need_a_table(labelled: Path, invoke: Invoke, in_folder: Path) -> None:
    (in_folder / "t.txt").write_text("aH\nb\n", encoding="utf-8")
    for arguments in (["a", "--text-column", "x"], ["--file", "t.txt", "--text-column", "x"]):
        assert "--text-column needs a table given with --file" in refusal(invoke("classify", *arguments))
    assert "t.txt is not a table, so it has no column a" in refusal(invoke("train", "t.txt", "--text-column", "a"))
    both = refusal(invoke("train", "t.csv", "--label-column", "a", "--label-by", "file"))
    assert "choose one of --label-column and --label-by" in both
