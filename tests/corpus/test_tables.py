import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus import reading
from chargen.corpus.corpus import Corpus, load_corpus
from chargen.corpus.cutting import ReadText
from chargen.corpus.formats.rows import Rows
from chargen.corpus.reading import SourceText
from chargen.errors import ChargenError, ConfigError, CorpusError
from chargen.settings.schema import CorpusConfig

TWEETS = ['so this bus, "really"', "two\nlines", "ends here ", "née à 日本 🔥"]


def load(folder: Path, content: str | bytes, name: str = "t.csv", **settings: Any) -> Corpus:
    path = folder / name
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return load_corpus(CorpusConfig(files=(str(path),), **settings))


def texts(corpus: Corpus) -> list[str]:
    return [str(text) for text in corpus.texts]


def table(rows: Sequence[Sequence[str]], *, delimiter: str = ",", header: str = "id,created_at,tweet,likes") -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([header.split(","), *rows] if header else rows)
    return file.getvalue()


ROWS = [[f"10453211953365{n}", f"2021-10-0{n + 1} 10:44:00", tweet, str(n)] for n, tweet in enumerate(TWEETS)]
RECORDS = [{"id": int(row[0]), "tweet": {"text": row[2], "lang": None}, "likes": 3} for row in ROWS]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (table(ROWS), "t.csv"),
        (table(ROWS).replace("\n", "\r\n"), "t.CSV"),
        (b"\xef\xbb\xbf" + table(ROWS).encode(), "t.csv"),
        (table(ROWS).encode("utf-16"), "t.csv"),
        (table(ROWS, delimiter=";"), "t.csv"),
        ("sep=;\n" + table(ROWS, delimiter=";"), "t.csv"),
        (table(ROWS, delimiter="|"), "t.csv"),
        (table(ROWS, delimiter="\t"), "t.csv"),
        (table(ROWS, delimiter="\t"), "t.tsv"),
        (table(ROWS, header=""), "t.csv"),
        (table(ROWS, header="nr,wann,was,wieviel"), "t.csv"),
        (table([row[2:] for row in ROWS], header="remark,n"), "t.csv"),
        (table([row[2:3] for row in ROWS], header="headline"), "t.csv"),
        ("All tweets of 2021\n" + table(ROWS), "t.csv"),
        ("".join(json.dumps(record) + "\n" for record in RECORDS), "t.jsonl"),
        ("\n\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS), "t.ndjson"),
        ("".join(json.dumps(record) + "\n" for record in RECORDS), "t.json"),
        (json.dumps(RECORDS), "t.json"),
        (json.dumps(RECORDS, indent=2), "t.jsonl"),
        (json.dumps({"about": "tweets", "tags": ["a"], "data": {"n": 4, "items": RECORDS}}), "t.json"),
        (json.dumps({str(n): record for n, record in enumerate(RECORDS)} | {"x": RECORDS[0]})[:-1] + "}", "t.json"),
        (json.dumps(TWEETS), "t.json"),
        (json.dumps({"text": TWEETS, "n": [1, 2, 3, 4]}), "t.json"),
        (json.dumps({"text": dict(enumerate(TWEETS)), "n": {0: 1, 1: 2, 2: 3, 3: 4}}), "t.json"),
        (json.dumps([["id", "text"], *([n, tweet] for n, tweet in enumerate(TWEETS))]), "t.json"),
        (json.dumps([{"messages": [{"role": "user", "content": tweet}]} for tweet in TWEETS]), "t.json"),
    ],
)
def test_each_row_of_a_table_is_a_document(content: str | bytes, name: str, tmp_path: Path) -> None:
    corpus = load(tmp_path, content, name)
    found = texts(corpus)
    assert found[:4] == TWEETS
    assert len(found) == 4 or found[4:] == TWEETS[:1]
    assert (corpus.reading, corpus.entries, corpus.is_list) == ("document", True, True)
    (note,) = corpus.notes
    assert note.startswith(f"{name}: a table of ")
    assert f"{len(found)} rows; texts are from the column " in note
    assert f"such as {TWEETS[0]!r} (--text-column NAME takes another" in note


@pytest.mark.parametrize(
    ("header", "rows", "chosen"),
    [
        ("name,age", [["Ada", "36"], ["Grace", "85"]], 0),
        ("title,author,year", [["Emma", "Jane Austen", "1815"], ["Ulysses", "James Joyce", "1922"]], 0),
        ("ID,Headline_Text,Publish Date", [["1", "rain falls", "20030219"], ["2", "sun shines", "20030219"]], 1),
        ("url,reviewText,summary_length", [["http://a.b/c", "good", "5"], ["http://a.b/d", "very bad", "9"]], 1),
        ("v1,v2", [["ham", "Go until jurong point"], ["spam", "Free entry in 2 a wkly"], ["ham", "Ok lar"]], 1),
        ("Comments,Verified", [["nice", "true"], ["not so", "false"]], 0),
        ("lang,message", [["en", "hi there"], ["fr", "bonjour"]], 1),
        ("uuid,bezeichnung", [["a3f1c2d4", "Ein Haus am See"], ["b1f1c2d4", "Zwei Tiere"]], 1),
        ("title,plot", [["Emma", "A young woman makes matches."], ["Ulysses", "A day in Dublin, hour by hour."]], 1),
        (
            "name,meaning",
            [["The Fool", "Freeing yourself from limits, and more"], ["The Moon", "Embracing all of your own fears"]],
            1,
        ),
        ("text,plot", [["12", "A man walks."], ["13", "A dog barks."]], 1),
    ],
)
def test_the_column_of_texts_is_found(header: str, rows: list[list[str]], chosen: int, tmp_path: Path) -> None:
    assert texts(load(tmp_path, table(rows, header=header))) == [row[chosen] for row in rows]


@pytest.mark.parametrize("requested", ["likes", " LIKES ", "4"])
def test_a_column_is_named_or_numbered(requested: str, tmp_path: Path) -> None:
    corpus = load(tmp_path, table(ROWS), text_column=requested)
    assert (texts(corpus), corpus.reading) == (["0", "1", "2", "3"], "line")
    assert "--text-column" not in corpus.notes[0]


@pytest.mark.parametrize("requested", ["tweet.text", "Text"])
def test_a_nested_field_is_named_by_its_path_or_its_end(requested: str, tmp_path: Path) -> None:
    assert texts(load(tmp_path, json.dumps(RECORDS), "t.json", text_column=requested)) == TWEETS


def test_labels_come_from_a_column(tmp_path: Path) -> None:
    content = table([["good day", "a"], ["bad day", " b "], ["no label", ""]], header="text,kind")
    corpus = load(tmp_path, content, label_column="kind")
    assert [tuple(document[:2]) for document in corpus.documents] == [("good day", "a"), ("bad day", "b")]
    assert "labels are from 'kind'" in corpus.notes[0]
    assert "1 of 3 rows have no text or no label" in corpus.notes[1]


def test_rows_of_one_line_are_read_as_lines(tmp_path: Path) -> None:
    corpus = load(tmp_path, "name\nAda\nGrace Hopper\n\nJean\n")
    assert (texts(corpus), corpus.reading) == (["Ada", "Grace Hopper", "Jean"], "line")
    assert texts(load(tmp_path, "Ada\nGrace\nJean\n")) == ["Ada", "Grace", "Jean"]
    assert "1 column without names, 3 rows" in load(tmp_path, "Ada\nGrace\nJean\n").notes[0]


def test_a_reading_is_applied_to_each_row(tmp_path: Path) -> None:
    by_line = load(tmp_path, table(ROWS), reading="line")
    assert texts(by_line) == [line for tweet in TWEETS for line in tweet.split("\n")]
    assert texts(load(tmp_path, table(ROWS), reading="document")) == TWEETS
    assert load(tmp_path, table(ROWS), reading="document").entries


def test_rows_are_entries_also_when_a_run_that_carried_the_state_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(table(ROWS), encoding="utf-8")
    assert load_corpus(CorpusConfig(files=(str(path),), reading="document"), stateful=True).entries


def test_long_rows_are_read_as_prose(tmp_path: Path) -> None:
    corpus = load(tmp_path, table([["A long review of a film. " * 20], ["And another one. " * 30]], header="review"))
    assert (len(corpus.documents), corpus.reading, corpus.is_list) == (2, "document", False)


def test_commas_without_quotes_belong_to_the_text(tmp_path: Path) -> None:
    assert texts(load(tmp_path, "id,text\n1,one\n2,well, yes, two\n3,three,\n4,four\n5,five\n")) == [
        *("one", "well, yes, two", "three", "four", "five")
    ]
    corpus = load(tmp_path, "text,label\none,a\ntwo, or so,b\nthree,a\nfour,b\nfive,a\n", label_column="label")
    assert [document[:2] for document in corpus.documents][1] == ("two, or so", "b")


def test_speech_in_a_table_of_one_column_keeps_its_marks(tmp_path: Path) -> None:
    content = 'He left.\n"Hello," she said.\n"Who\'s there?\nNobody.\n'
    assert texts(load(tmp_path, content)) == content.splitlines()


@pytest.mark.parametrize(
    "value",
    [
        {"about": "names", "boys": ["Tom", "Jim", "Abe"], "girls": ["Ada", "Ida"]},
        {"about": "names", "names": {"boys": ["Tom", "Jim", "Abe"], "girls": ["Ada", "Ida"]}},
        {"names": [{"boys": ["Tom", "Jim", "Abe"]}, {"girls": ["Ada", "Ida"]}]},
    ],
)
def test_lists_of_texts_that_have_names_are_labelled_by_them(value: dict[str, Any], tmp_path: Path) -> None:
    corpus = load(tmp_path, json.dumps(value), "names.json", label_column="label")
    assert [tuple(one[:2]) for one in corpus.documents] == [
        ("Tom", "boys"),
        ("Jim", "boys"),
        ("Abe", "boys"),
        ("Ada", "girls"),
        ("Ida", "girls"),
    ]


def test_rows_without_a_text_and_damaged_ones_are_left_out(tmp_path: Path) -> None:
    corpus = load(tmp_path, '{"text": "one"}\n{"text": ""}\n{"n": 1}\n{"text": "two"}\n{"text": "cut of', "t.jsonl")
    assert texts(corpus) == ["one", "two"]
    assert "2 of 5 rows have no text, left out (the first ends on line 2)" in corpus.notes[1]
    assert "1 of 5 rows cannot be read, left out (the first ends on line 5)" in corpus.notes[2]


@pytest.mark.parametrize(
    ("content", "name", "settings", "kind", "expected"),
    [
        (table(ROWS), "t.csv", {"text_column": "body"}, ConfigError, "t.csv has no column body; it has id, created_at, tweet"),
        (table(ROWS), "t.csv", {"text_column": "9"}, ConfigError, "t.csv has no column 9"),
        (table(ROWS), "t.csv", {"label_column": "tweet"}, ConfigError, "is given both for the texts and for the labels"),
        ("a story, and no more\n" * 3, "t.txt", {"text_column": "body"}, CorpusError, "t.txt is not a table"),
        ("a story, and no more\n" * 3, "t.txt", {"label_column": "x"}, CorpusError, "t.txt is not a table"),
        ('{"text": "a"', "t.json", {"text_column": "text"}, CorpusError, "t.json is not a table: it is not JSON"),
        ('{"a": 1}', "t.txt", {"format": "json"}, CorpusError, "its JSON has no list of records"),
        ("[" * 100_000, "t.json", {"format": "json"}, CorpusError, "t.json is not a table: its JSON is nested too deeply"),
        (table(ROWS[:1], header="id,a,tweet,b").replace("so", " "), "t.csv", {"text_column": "2"}, None, ""),
        ("text,label\n", "t.csv", {}, CorpusError, "no row with a text"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    content: str, name: str, settings: dict[str, Any], kind: type[ChargenError] | None, expected: str, tmp_path: Path
) -> None:
    if kind is None:
        assert texts(load(tmp_path, content, name, **settings))
        return
    with pytest.raises(kind) as refused:
        load(tmp_path, content, name, **settings)
    assert expected in refused.value.message
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ('{"name": "chargen", "version": 1}\n', "t.json", "its JSON has no list of records, read as plain text"),
        ("// a note\n{}\n", "t.json", "it is not JSON"),
        ("1,2.5\n3,4.5\n", "t.csv", "a table without a column of texts, read as plain text"),
        (table(ROWS * 3), "t.txt", "looks like a table (id, created_at, tweet, likes), read as plain text (--format csv"),
        ("".join(json.dumps(record) + "\n" for record in RECORDS * 2), "t.txt", "(--format jsonl reads a text from each row)"),
    ],
)
def test_what_is_read_as_plain_text_is_told(content: str, name: str, expected: str, tmp_path: Path) -> None:
    corpus = load(tmp_path, content, name)
    assert texts(corpus) == [content]
    assert expected in corpus.notes[0]
    plain = load(tmp_path, content, name, format="text")
    assert (texts(plain), plain.notes) == ([content], ())


def test_a_format_may_be_told(tmp_path: Path) -> None:
    assert texts(load(tmp_path, table(ROWS), "t.txt", format="csv")) == TWEETS
    assert texts(load(tmp_path, table(ROWS), "t.txt", text_column="tweet")) == TWEETS
    assert texts(load(tmp_path, table(ROWS), "t.csv", format="text")) == [table(ROWS)]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_large_table_is_read_as_a_small_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[str(n), f"{text} {n}"] for n in range(300) for text in TWEETS]
    records = "".join(json.dumps({"id": row[0], "text": row[1]}) + "\n" for row in rows)
    content = table(rows, header="id,text") if name == "t.csv" else records
    small = load(tmp_path, content, name)
    monkeypatch.setattr(reading, "LARGE_BYTES", 1000)
    monkeypatch.setattr("chargen.corpus.large_text.BLOCK", 1000)
    monkeypatch.setattr("chargen.corpus.formats.rows.BLOCK_CHARACTERS", 1000)
    large = load(tmp_path, content, name)
    assert not any(isinstance(group.text, str) for group in large.documents.groups)
    assert (texts(large), large.sha256, large.notes) == (texts(small), small.sha256, small.notes)


@given(raw=st.binary(max_size=200) | st.text('{}[]",:;\t|\n\\eltux0 ', max_size=120).map(str.encode))
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "txt"])
def test_any_bytes_give_a_text_or_one_line(suffix: str, raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    for settings in ({}, {"tokens": "byte"}, {"format": "json"}, {"text_column": "1"}):
        try:
            corpus = load(tmp_path_factory.getbasetemp(), raw, f"fuzzed.{suffix}", **settings)
        except ChargenError as error:
            expected = str(error)
        else:
            expected = "" if corpus.num_characters > 1 else "\n"
        assert "\n" not in expected


@pytest.mark.parametrize("rows", [[["id", "text"], ["1", "Good day"]], [["1", "Good day"]]])
def test_short_tables_of_json_lists(rows: list[list[str]], tmp_path: Path) -> None:
    assert texts(load(tmp_path, json.dumps(rows), "t.json")) == ["Good day"]


def test_records_are_looked_into_some_levels_deep(tmp_path: Path) -> None:
    def nested(levels: int) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = [{"text": "Good day"}, {"text": "Good night"}]
        for _ in range(levels):
            records = [{"a": record, "n": 1} for record in records]
        return records

    for levels in (1, 2, 5):
        assert texts(load(tmp_path, json.dumps(nested(levels)), "t.json")) == ["Good day", "Good night"]
    deep = load(tmp_path, json.dumps(nested(60)), "t.json")
    assert "Good day" not in texts(deep)


def test_lines_of_rows_keep_the_labels_of_their_rows(tmp_path: Path) -> None:
    content = 'text,label\n"one\n\ntwo",a\nthree,b\n'
    corpus = load(tmp_path, content, "t.csv", reading="line", label_column="label")
    assert [tuple(one[:2]) for one in corpus.documents] == [("one", "a"), ("two", "a"), ("three", "b")]


def test_a_table_without_rows_has_no_lines() -> None:
    rows = Rows([("", None)])
    assert len(ReadText(SourceText("t.csv", rows.text, rows=rows), "%").cut()) == 0
