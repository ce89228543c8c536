"""Tokens that are written into files once are trained on as the text is."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from chargen.corpus import shards
from chargen.corpus.corpus import load_corpus
from chargen.corpus.shards import ShardedIds, write_shards
from chargen.corpus.token_folder import load_token_folder, write_token_folder
from chargen.corpus.windows import ContiguousStreams, RegionWindows, TokenStream
from chargen.errors import ChargenError, TrainingError
from chargen.settings.schema import CorpusConfig, Settings, TrainingConfig
from chargen.training.planning.text_plan import TextPlan, make_plan

PROSE = "It was late, and the river was high.\nNobody had seen the ferryman \u2014 since noon. \u732b\n\n" * 40
Invoke = Callable[..., Result]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_TOKENS", 500)


@pytest.fixture
def text(in_folder: Path) -> str:
    (in_folder / "text.txt").write_text(PROSE, encoding="utf-8")
    return "text.txt"


@pytest.fixture
def folder(text: str, in_folder: Path, small_shards: None) -> Path:
    write_token_folder(in_folder / "tokens", CorpusConfig(files=(text,)), seed=1)
    return in_folder / "tokens"


def plan(corpus: Any, **training: Any) -> TextPlan:
    chosen = TrainingConfig(context_length=9, batch_size=4, **training)
    return make_plan(Settings(corpus=CorpusConfig(files=("text.txt",)), training=chosen), corpus)


def array(stream: TokenStream | None) -> Any:
    assert stream is not None
    return np.asarray(stream.ids[0 : len(stream.ids)])


@given(st.lists(st.lists(st.integers(0, 6), max_size=9), max_size=9), st.integers(0, 60), st.integers(0, 60))
def test_shards_are_the_ids_that_were_written(blocks: list[list[int]], start: int, stop: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(shards, "SHARD_TOKENS", 5)
        written = write_shards(Path(folder), "ids", [np.array(one, np.uint8) for one in blocks], np.dtype(np.uint8))
        assert all(shard.tokens == 5 for shard in written[:-1])
        ids = ShardedIds(folder, written, np.dtype(np.uint8), vocab_size=7)
        expected = np.array([one for block in blocks for one in block], np.uint8)
        assert len(ids) == len(expected)
        np.testing.assert_array_equal(ids[start:stop], expected[start:stop])
        if len(expected) >= 3:
            positions = np.array([[0, 1, 2], [len(expected) - 1, len(expected) - 2, len(expected) - 1]])
            np.testing.assert_array_equal(ids[positions], expected[positions])


def test_a_folder_has_the_tokens_of_the_text(folder: Path, text: str) -> None:
    expected, found = plan(load_corpus(CorpusConfig(files=(text,)))), plan(load_token_folder(str(folder)).corpus)
    assert len(list(folder.glob("training-*.ids"))) > 3
    assert found.vocabulary == expected.vocabulary
    assert (found.conversion, found.ends, found.windows) == (expected.conversion, expected.ends, expected.windows)
    differ = {name: found.summary()[name] for name in ("memory_bytes", "steps_per_epoch")}  # the last batch is left out
    assert found.summary() == expected.summary() | differ
    for mine, theirs in zip(found.parts.all, expected.parts.all, strict=True):
        np.testing.assert_array_equal(array(mine), array(theirs))
        np.testing.assert_array_equal(mine.starts, theirs.starts)
        np.testing.assert_array_equal(mine.unended, theirs.unended)


def test_every_window_is_read_once_and_each_row_from_its_own_region(folder: Path) -> None:
    batches = plan(load_token_folder(str(folder)).corpus).training
    assert isinstance(batches, RegionWindows)
    windows = np.stack([batches._windows(3, 0, batches.num_steps, row) for row in range(4)])
    assert len(np.unique(windows)) == windows.size > batches.num_windows - 4
    assert (np.diff([windows.min(axis=1), windows.max(axis=1)], axis=0) == batches.num_steps - 1).all()
    assert (batches._windows(4, 0, batches.num_steps, 0) != windows[0]).any()


def test_some_rows_are_read_as_in_the_whole_batch(folder: Path) -> None:
    batches = plan(load_token_folder(str(folder)).corpus, epoch_steps=5).training
    whole, part = batches.batches(1, 2, 3), batches.of_rows(range(1, 3)).batches(1, 2, 3)
    for mine, theirs in zip(part, whole, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_array_equal(mine[:, 1:3], theirs[:, 1:3])
        assert not mine[:, [0, 3]].any()


def test_a_process_opens_only_the_shards_of_its_rows(folder: Path) -> None:
    found = plan(load_token_folder(str(folder)).corpus)
    ids = found.parts.training[0].ids
    assert isinstance(ids, ShardedIds)
    opened = set(ids._opened)  # for the examples
    fresh = plan(load_token_folder(str(folder)).corpus)
    stream = fresh.parts.training[0]
    assert isinstance(stream.ids, ShardedIds)
    stream.ids._opened.clear()
    for step in range(fresh.training.num_steps):
        fresh.training.of_rows(range(1)).batches(0, step, 1)
    assert 0 < len(stream.ids._opened) < len(opened)


def test_a_stateful_training_reads_the_same_streams(folder: Path, text: str) -> None:
    expected = plan(load_corpus(CorpusConfig(files=(text,))), stateful=True).training
    found = plan(load_token_folder(str(folder)).corpus, stateful=True).training
    assert isinstance(found, ContiguousStreams)
    for mine, theirs in zip(found.batches(1, 0, 3), expected.batches(1, 0, 3), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_it_is_trained_on_and_resumed(folder: Path, invoke: Invoke) -> None:
    small = ("--config", "plain", "--hidden-size", 7, "--backend", "numpy", "--epochs", 2, "--context-length", 9, "-q")
    result = invoke("train", "tokens", *small)
    assert result.exit_code == 0, result.output
    again = invoke("train", "--resume", "--epochs", 3, "-q")
    assert (again.exit_code, again.stdout) == (0, result.stdout), again.output
    assert invoke("sample", "--length", 5).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tokens", "byte"), "corpus.tokens is byte, but tokens was made with char; leave it out"),
        (("--validation-split", "0.2"), "corpus.validation_split is 0.2, but tokens was made with 0.1"),
        (("text.txt",), "tokens is a folder of tokens, which is trained on alone"),
        (("--task", "classify", "--backend", "tensorflow"), "tokens holds tokens without labels"),
        (("--from", "noise"), "the weights of noise are for tokens that text does not have"),
    ],
)
def test_what_does_not_fit_the_tokens_is_said(
    folder: Path, invoke: Invoke, write_run: Any, arguments: tuple[str, ...], message: str
) -> None:
    write_run(characters="xyz")
    result = invoke("train", "tokens", "--backend", "numpy", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"chargen: {message}")
    assert len(result.stderr.splitlines()) == 1


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("damage", "name", "message"),
    [
        (Path.unlink, "training-00001.ids", "no such file: tokens/training-00001.ids, a shard of the tokens"),
        (truncate, "training-00001.ids", "tokens/training-00001.ids has 499 bytes, expected 500"),
        (flip, "training-00001.ids", "tokens/training-00001.ids is damaged: its sha256 is"),
        (flip, "validation-00000.ids", "tokens/validation-00000.ids is damaged"),
        (Path.unlink, "documents.npz", "cannot read tokens/documents.npz: No such file"),
        (flip, "documents.npz", "tokens/documents.npz is damaged"),
        (truncate, "tokens.json", "tokens/tokens.json is damaged"),
        (flip, "tokens.json", "tokens/tokens.json is damaged"),
    ],
)
def test_damage_is_one_clear_line(
    folder: Path, invoke: Invoke, damage: Callable[[Path], None], name: str, message: str
) -> None:
    damage(folder / name)
    result = invoke("train", "tokens", "--config", "plain", "--hidden-size", 7, "--backend", "numpy", "-q")
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith(f"chargen: {message}"), result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("before", "after"), [('"training-00001.ids"', '"../text.txt"'), ("500", "-500"), ("500", '"500"'), ("500", "400")]
)
def test_facts_that_make_no_sense_are_one_clear_line(folder: Path, invoke: Invoke, before: str, after: str) -> None:
    facts = folder / "tokens.json"
    facts.write_text(facts.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    result = invoke("train", "tokens", "--backend", "numpy")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1), result.output


def test_a_shard_that_changes_during_training_is_noticed(tmp_path: Path) -> None:
    written = write_shards(tmp_path, "ids", [np.arange(6, dtype=np.uint8)], np.dtype(np.uint8))
    ids = ShardedIds(str(tmp_path), written, np.dtype(np.uint8), vocab_size=7)
    assert ids[0:2].tolist() == [0, 1]
    (tmp_path / written[0].name).write_bytes(b"\xff" * 6)
    with pytest.raises(TrainingError, match="has changed during training"):
        ids[0:2]


def test_other_commands_say_that_it_is_not_text(folder: Path, invoke: Invoke) -> None:
    result = invoke("inspect", "tokens")
    assert (result.exit_code, result.stderr) == (
        2,
        "chargen: tokens holds tokens, not text; only chargen train reads it; give text files\n",
    )


@pytest.mark.parametrize("config", [{"mix": ("text.txt:1",), "files": ()}, {"label_by": "file"}])
def test_a_mix_and_labels_are_refused(text: str, in_folder: Path, config: dict[str, Any]) -> None:
    with pytest.raises(ChargenError, match="one text without labels"):
        write_token_folder(in_folder / "tokens", CorpusConfig(**{"files": (text,)} | config), seed=1)
    assert [path.name for path in in_folder.iterdir()] == ["text.txt"]


def test_an_existing_folder_is_left_alone(folder: Path, invoke: Invoke) -> None:
    result = invoke("tokenize", "text.txt", "--output", "tokens")
    assert (result.exit_code, result.stderr) == (
        2,
        "chargen: tokens exists already; give another --output, or remove it first\n",
    )


INTERRUPTED = """
import os, signal
from chargen.corpus import token_folder

def stop(*arguments):
    os.kill(os.getpid(), signal.{name})

token_folder._facts = stop
from chargen.cli import main
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_an_interruption_leaves_no_folder(text: str, in_folder: Path, name: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED.format(name=name), "tokenize", text, "--output", "tokens"]
    done = subprocess.run(command, cwd=in_folder, capture_output=True, text=True, check=False)
    assert done.returncode == {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -signal.SIGKILL}[name], done.stderr
    left = [path.name for path in in_folder.iterdir() if path.name != "text.txt"]
    assert "tokens" not in left
    assert not left or name == "SIGKILL"


def test_tokens_at_an_address_are_downloaded(folder: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("CHARGEN_CACHE", str(folder.parent / "cache"))
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/tokens", recursive=True)
    try:
        options = ("--config", "plain", "--hidden-size", 7, "--backend", "numpy", "--epochs", 1, "--context-length", 9, "-q")
        result = invoke("train", "memory://tokens/tokens.json", *options)
        assert result.exit_code == 0, result.output
    finally:
        memory.rm("/tokens", recursive=True)


def test_the_command_says_what_it_has_written(text: str, invoke: Invoke) -> None:
    result = invoke("tokenize", text, "--output", "tokens")
    assert (result.exit_code, result.stdout) == (0, "tokens\n")
    assert "held out" in result.stderr
