"""A large text in a file behaves like the same text in memory."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargen.corpus import large_text, reading
from chargen.corpus.corpus import load_corpus
from chargen.corpus.large_text import FileIds, LargeText, decoded_blocks, plain_blocks
from chargen.errors import CorpusError
from chargen.settings.schema import CorpusConfig, Settings, TrainingConfig
from chargen.training.planning.text_plan import make_plan

PROSE = "It was late, and the river was high.\r\nNobody had seen the ferryman — since noon. 猫\n" * 20
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every file as large, and read it in pieces that cut characters and line ends in two."""
    monkeypatch.setattr(reading, "LARGE_BYTES", 1)
    monkeypatch.setattr(large_text, "BLOCK", 7)


@given(st.lists(texts, max_size=5), st.integers(0, 60), st.integers(0, 60))
def test_it_is_the_text(blocks: list[str], start: int, stop: int) -> None:
    whole, text = "".join(blocks), LargeText(blocks)
    assert (str(text), len(text), text.characters) == (whole, len(whole), set(whole))
    part = text[start:stop]
    assert (str(part), len(part)) == (whole[start:stop], len(whole[start:stop]))
    assert str(part[1:]) == whole[start:stop][1:]


@given(st.text(st.sampled_from("aé猫\r\n"), max_size=40), st.sampled_from(["utf-8", "utf-16", "cp932"]))
def test_pieces_are_decoded_as_the_whole_is(text: str, encoding: str) -> None:
    raw = text.encode(encoding, "ignore")
    expected = raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_text, "BLOCK", 3)
        assert "".join(plain_blocks(decoded_blocks(io.BytesIO(raw), encoding))) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("last", [False, True])
def test_it_makes_the_same_plan(
    encoding: str, last: bool, small_blocks: None, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_folder / "text.txt").write_bytes(PROSE.encode(encoding))
    config = CorpusConfig(files=("text.txt",), encoding="auto" if encoding != "gb18030" else encoding)
    chosen = Settings(corpus=config, training=TrainingConfig(context_length=9, batch_size=4, stateful=last))
    large = make_plan(chosen, load_corpus(config, stateful=last))
    monkeypatch.setattr(reading, "LARGE_BYTES", 1 << 30)
    small = make_plan(chosen, load_corpus(config, stateful=last))
    assert isinstance(next(iter(large.corpus.texts)), LargeText)
    assert isinstance(next(iter(small.corpus.texts)), str)
    assert large.vocabulary == small.vocabulary
    assert (large.corpus.sha256, large.primer) == (small.corpus.sha256, small.primer)
    assert large.training.num_steps == small.training.num_steps
    assert large.validation is not None
    assert small.validation is not None
    for one, other in ((large.training, small.training), (large.validation.batches, small.validation.batches)):
        for made, expected in zip(one.batches(1, 0, one.num_steps), other.batches(1, 0, other.num_steps), strict=True):
            np.testing.assert_array_equal(made, expected)


def test_another_encoding_is_found_out_and_said(small_blocks: None, in_folder: Path) -> None:
    text = "Été comme hiver, le garçon naïf rêvait déjà à Noël ; où était-il passé ? À l'école, bien sûr.\n" * 4
    (in_folder / "text.txt").write_bytes(text.encode("cp1252"))
    (source,) = reading.read_sources(["text.txt"])
    assert str(source.text) == text
    assert source.notes[0].startswith("text.txt: not UTF-8, read as cp1252")


@pytest.mark.parametrize(
    ("raw", "encoding", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\xff\xfe\x01\x02" * 9, "auto", "is a PNG picture, not text"),
        (b"ab\xff", "ascii", "is not ascii text"),
        (b"ab", "nonsense", "unknown encoding 'nonsense'"),
    ],
)
def test_what_cannot_be_read_is_refused(raw: bytes, encoding: str, message: str, small_blocks: None, in_folder: Path) -> None:
    (in_folder / "text.txt").write_bytes(raw)
    with pytest.raises(CorpusError, match=message):
        reading.read_sources(["text.txt"], encoding=encoding)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=3), st.integers(1, 5))
def test_ids_are_looked_up_as_in_an_array(lengths: list[int], width: int) -> None:
    blocks = [np.arange(length, dtype=np.uint16) * 7 for length in lengths]
    array = np.concatenate(blocks)
    ids = FileIds(blocks, np.dtype(np.uint16))
    assert len(ids) == len(array)
    np.testing.assert_array_equal(ids[1:9], array[1:9])
    if len(array):
        places = np.random.default_rng(1).integers(0, len(array), (2, 3, width))
        np.testing.assert_array_equal(ids[places], array[places])
