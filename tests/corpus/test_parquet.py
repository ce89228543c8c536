"""Parquet tables, which need the optional package pyarrow."""

import io
import random
import sys
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus import reading
from chargen.corpus.corpus import Corpus, load_corpus
from chargen.corpus.examples import load_examples
from chargen.corpus.formats import containers
from chargen.corpus.reading import read_sources
from chargen.errors import ChargenError, ConfigError, CorpusError
from chargen.settings.schema import CorpusConfig

pa = pytest.importorskip("pyarrow", reason="pyarrow, which reads Parquet, is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

TWEETS = ['so this bus, "really"', "two\nlines", "ends here ", "née à 日本 🔥"]
RECORDS = [
    {"id": n, "at": datetime(2021, 10, 1, 10, n), "tweet": {"text": text, "lang": None}, "likes": 3, "kind": "xy"[n % 2]}
    for n, text in enumerate(TWEETS)
]
COLUMNS = "id, at, tweet.text, tweet.lang, likes, kind"


def packed(records: Any = RECORDS, **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(records) if isinstance(records, dict) else pa.Table.from_pylist(records), file, **options)
    return file.getvalue()


def load(folder: Path, raw: bytes, name: str = "t.parquet", **settings: Any) -> Corpus:
    (folder / name).write_bytes(raw)
    return load_corpus(CorpusConfig(files=(str(folder / name),), **settings))


def texts(corpus: Corpus) -> list[str]:
    return [str(text) for text in corpus.texts]


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zstd"}, {"use_dictionary": False}, {"row_group_size": 1}, {"version": "1.0"}]
)
@pytest.mark.parametrize("name", ["t.parquet", "other"])
def test_each_row_is_a_document(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    corpus = load(tmp_path, packed(**options), name)
    assert (texts(corpus), corpus.entries, corpus.unit) == (TWEETS, True, "row")
    assert corpus.notes[0] == (
        f"{name}: a table of 6 columns ({COLUMNS}), 4 rows; texts are from the column 'tweet.text', such as {TWEETS[0]!r} "
        "(--text-column NAME takes another)"
    )


def test_columns_are_named_and_labels_read(tmp_path: Path) -> None:
    assert texts(load(tmp_path, packed(), text_column="kind")) == list("xyxy")
    assert texts(load(tmp_path, packed(), text_column="Text")) == TWEETS
    corpus = load(tmp_path, packed(), label_column="kind")
    assert [document[:2] for document in corpus.documents] == list(zip(TWEETS, "xyxy", strict=True))
    speakers = [{"speaker": who, "line": line} for who, line in (("Ada", "Good day"), ("Tom", "Oh"), ("Ada", "And to you"))]
    assert load(tmp_path, packed(speakers), label_by="speaker").labels == ("Ada", "Tom")


def test_examples_to_classify_are_read(
    tmp_path: Path, invoke: Callable[..., Result], write_classifier: Callable[..., Path]
) -> None:
    (tmp_path / "t.parquet").write_bytes(packed({"text": ["aa", "bb", "ab", "cc"], "label": ["pos", "neg", "pos", "neg"]}))
    corpus = load_examples(CorpusConfig(files=(str(tmp_path / "t.parquet"),)))
    assert [document[:2] for document in corpus.documents] == [("aa", "pos"), ("bb", "neg"), ("ab", "pos"), ("cc", "neg")]
    write_classifier()
    result = invoke("classify", "--file", tmp_path / "t.parquet")
    assert result.exit_code == 0
    assert "of 4 texts)" in result.stdout
    assert "texts are from the column 'text', such as 'aa'; labels are from 'label'" in result.stderr


def test_cells_of_all_types_become_text(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "list": pa.array([["one", "two"], None]),
        "turns": pa.array([[{"role": "user", "content": "Hi"}, {"role": "bot", "content": "Hello"}], []]),
        "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        "category": pa.array(["red", "blue"]).dictionary_encode(),
        "bytes": pa.array([b"text in bytes", b"\xff\xd8\xff\xe0"]),
        "decimal": pa.array([Decimal("1.20"), None]),
        "time": pa.array([1, 2], pa.timestamp("ns")),
        "truth": pa.array([True, None]),
    }
    expected = {
        "list": ["one\ntwo"],
        "turns": ["Hi\nHello"],
        "map": ["a\n1"],
        "category": ["red", "blue"],
        "bytes": ["text in bytes"],
        "decimal": ["1.20"],
        "time": [f"1970-01-01 00:00:00.00000000{n}" for n in (1, 2)],
        "truth": ["true"],
    }
    for column, found in expected.items():
        assert texts(load(tmp_path, packed(columns), text_column=column)) == found


def test_rows_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    raw = packed({"text": ["one", "two", "tree", "", "five"]}, compression="none", use_dictionary=False, write_statistics=False)
    corpus = load(tmp_path, raw.replace(b"tree", b"\xffree"))
    assert texts(corpus) == ["one", "two", "five"]
    assert "t.parquet: 1 of 5 rows have no text, left out (the first is row 4)" in corpus.notes
    assert "t.parquet: 1 of 5 rows cannot be read, left out (the first is row 3)" in corpus.notes


def test_a_large_table_stays_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = packed({"text": [f"{text} {n}" for n in range(100) for text in TWEETS], "id": range(400)}, row_group_size=150)
    small = load(tmp_path, raw)
    monkeypatch.setattr(reading, "LARGE_BYTES", 1000)
    large = load(tmp_path, raw)
    assert not any(isinstance(source.text, str) for source in read_sources([str(tmp_path / "t.parquet")]))
    assert (texts(large), large.sha256, large.notes) == (texts(small), small.sha256, small.notes)


def test_tables_are_read_of_folders_and_archives(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "one.parquet").write_bytes(packed({"text": ["a tale", "and another"]}))
    (folder / "two.parquet").write_bytes(packed({"text": ["a third one"]}))
    corpus = load_corpus(CorpusConfig(files=(str(folder),), glob="*.parquet"))
    assert texts(corpus) == ["a tale", "and another", "a third one"]
    with pytest.raises(CorpusError, match=r"only \.parquet 2; --glob '\*\*/\*\.parquet' reads \.parquet"):
        load_corpus(CorpusConfig(files=(str(folder),)))


WHOLE = packed()
REFUSED = [
    (
        WHOLE,
        {"text_column": "body"},
        ConfigError,
        f"t.parquet has no column body; it has {COLUMNS}; name one with --text-column",
    ),
    (packed({"n": [1, 2], "m": [0.5, 2]}), {}, CorpusError, "t.parquet has 2 columns (n, m); no column looks like texts"),
    (
        packed({"text": pa.array([], pa.string())}),
        {},
        CorpusError,
        "t.parquet has no row with a text; texts are from",
    ),
    (packed({"text": ["", None]}), {}, CorpusError, "t.parquet has no row with a text"),
    (WHOLE[:-20], {}, CorpusError, "t.parquet is damaged: "),
    (WHOLE[:8], {}, CorpusError, "t.parquet is damaged: "),
    (b"PAR1", {}, CorpusError, "t.parquet is damaged: "),
    (packed({"text": ["a" * 2000] * 3000}), {}, CorpusError, "t.parquet unpacks to more than 250 times its size"),
    (WHOLE, {"format": "text"}, CorpusError, "t.parquet is not text: byte "),
]


@pytest.mark.parametrize(("raw", "given", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_read_is_refused_in_one_line(
    raw: bytes, given: dict[str, Any], kind: type[ChargenError], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "ALWAYS_ALLOWED", 100_000)
    with pytest.raises(kind) as refused:
        load(tmp_path, raw, **given)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_the_library_a_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CorpusError) as refused:
        load(tmp_path, WHOLE, "a.parquet")
    assert str(refused.value) == "a.parquet is a Parquet table; pip install 'chargen[parquet]' reads it"


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100)
def test_any_damage_gives_a_text_or_one_line(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(seed)
    raw = bytearray(WHOLE)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(4, len(raw))
        raw[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    try:
        message = "" if load(tmp_path_factory.getbasetemp(), bytes(raw), "damaged").num_characters else "\n"
    except ChargenError as error:
        message = str(error)
    assert "\n" not in message
