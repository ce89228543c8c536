"""Bad input is one line on stderr and exit code 2; nothing is left behind."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.results import assert_one_line

Invoke = Callable[..., Result]

PROSE = "It was a dark night, and nobody could sleep. " * 5


@pytest.fixture
def files(in_folder: Path) -> Path:
    """A folder with texts of every unusable kind."""
    for name, content in {
        "empty.txt": b"",
        "one.txt": b"x",
        "blank.txt": b" \n\n ",
        "short.txt": b"too short a text",
        "prose.txt": PROSE.encode(),
        "binary.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\xff\xfe" + bytes(range(256)),
        "latin.txt": "été".encode("latin-1") * 9,
        "unknown-key.toml": b"[network]\nhidden_sizes = 3\n",
        "unknown-section.toml": b"[networks]\n",
        "not.toml": b"= 3",
        "type.toml": b"[training]\nepochs = 'many'\n",
    }.items():
        (in_folder / name).write_bytes(content)
    (in_folder / "folder").mkdir()
    (in_folder / "folder" / "notes.rst").write_text(PROSE, encoding="utf-8")
    return in_folder


TRAIN_ERRORS: list[tuple[list[str], list[str]]] = [
    ([], ["no text is given"]),
    (["empty.txt"], ["empty.txt is empty"]),
    (["one.txt"], ["one character", "two characters or more"]),
    (["blank.txt"], ["only blank lines"]),
    (["short.txt", "--context-length", "64"], ["short", "one window needs 65", "--context-length 13"]),
    (
        ["prose.txt", "--stateful", "--targets", "last", "--context-length", "40", "--batch-size", "64"],
        ["64 streams of", "each needs 40", "--context-length", "--batch-size"],
    ),
    (["prose.txt", "--context-length", "5000"], ["one window needs 5001"]),
    (["prose.txt", "--stateful", "--context-length", "5000"], ["one window needs 5001"]),
    (["folder"], ["no .txt or .md file in folder, only .rst 1", "--glob"]),
    (["folder", "--glob", "*.py"], ["no file in folder matches *.py", "--glob"]),
    (["folder", "--glob", "/etc/*"], ["--glob"]),
    (["mael.txt"], ["no such file: mael.txt", "male.txt"]),
    (["nothing-like-it.csv"], ["no such file: nothing-like-it.csv"]),
    (["binary.png"], ["binary.png is a PNG picture, not text"]),
    (["latin.txt", "--encoding", "utf-8"], ["latin.txt is not utf-8 text at byte 0"]),
    (["latin.txt", "--encoding", "klingon"], ["unknown encoding 'klingon'"]),
    (["prose.txt", "--config", "unknown-key.toml"], ["unknown key network.hidden_sizes", "hidden_size"]),
    (["prose.txt", "--config", "unknown-section.toml"], ["[networks]", "network"]),
    (["prose.txt", "--config", "not.toml"], ["not.toml is not TOML"]),
    (["prose.txt", "--config", "type.toml"], ["training.epochs is 'many'", "a whole number"]),
    (["prose.txt", "--config", "dem"], ["no such config: dem", "demo.toml"]),
    (["prose.txt", "--context-length", "0"], ["--context-length is 0, expected 1 or more"]),
    (["prose.txt", "--layers", "-1"], ["--layers is -1"]),
    (["prose.txt", "--dropout", "1.5"], ["--dropout is 1.5"]),
    (["prose.txt", "--learning-rate", "nan"], ["--learning-rate is nan"]),
    (["prose.txt", "--validation-split", "1"], ["--validation-split"]),
    (["prose.txt", "--diversity", "-0.1"], ["--diversity is -0.1"]),
    (["prose.txt", "--epochs", "ten"], ["'ten'"]),
    (["prose.txt", "--cell", "lstn"], ["lstn", "lstm"]),
    (["prose.txt", "--cel", "lstm"], ["--cel", "--cell"]),
    (["prose.txt", "--stateful", "--per-line"], ["--stateful", "--per-line"]),
    (["prose.txt", "--stateful", "--stride", "3"], ["--stride"]),
    (["prose.txt", "--one-hot", "--embedding", "8"], ["embedding_size", "exclude each other"]),
    (["prose.txt", "--per-line", "--document"], ["reading", "exclude each other"]),
    (["prose.txt", "--hidden-size", "65536", "--layers", "64", "--context-length", "9"], ["GB of memory", "--hidden-size"]),
    (["prose.txt", "--runs-dir", "prose.txt", "--context-length", "9"], ["prose.txt"]),
]


@pytest.mark.parametrize(("arguments", "parts"), TRAIN_ERRORS, ids=lambda value: " ".join(value)[:50])
def test_train_refuses(arguments: list[str], parts: list[str], invoke: Invoke, files: Path) -> None:
    assert_one_line(invoke("train", *arguments), *parts)
    assert not (files / "runs").exists()


def test_an_unreadable_file_is_refused(invoke: Invoke, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert_one_line(invoke("train", "prose.txt"), "cannot read prose.txt: Permission denied")


def test_standard_input_without_text_is_refused(invoke: Invoke) -> None:
    assert_one_line(invoke("train", "-", input=""), "stdin is empty")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--run", "missing"], ["no such run: missing", "chargen runs"]),
        (["--run", "unfinished"], ["unfinished", "no model"]),
        (["--temp", "-1"], ["--temp is -1"]),
        (["--temp", "nan"], ["--temp is nan"]),
        (["--temp", "warm"], ["--temp", "warm"]),
        (["--temp", "0.2,,1"], ["--temp", "'0.2,,1' is not a number, nor several separated by commas"]),
        (["--temp", "0.2,-1"], ["--temp is -1"]),
        (["--top-k", "-2"], ["top-k is -2"]),
        (["--repetition-penalty", "0"], ["repetition-penalty is 0"]),
        (["--repetition-window", "0"], ["repetition-window is 0"]),
        (["--ban", "abcHé\n"], ["--ban leaves none of the model's 6 tokens"]),
        (["--must-contain", "Ж"], ["no text can contain 'Ж'", "U+0416"]),
        (["--must-contain", "ab", "--ban", "b"], ["--must-contain 'ab' needs 'b', which --ban forbids"]),
        (["--min-length", "3"], ["--min-length needs a model of lines", "--length"]),
        (["--max-length", "3"], ["--max-length needs a model of lines", "--length"]),
        (["--max-length", "3", "--min-length", "4"], ["--min-length 4 is more than --max-length 3"]),
        (["--max-length", "3", "--length", "4"], ["--length and --max-length exclude each other"]),
        (["--tries", "0"], ["--tries", "0"]),
        (["--beam", "0"], ["--beam", "0"]),
        (["--beam", "3", "--temp", "0.5", "--top-k", "2"], ["--beam draws nothing", "--temp, --top-k"]),
        (["--beam", "3", "--top-p", "0.5"], ["--beam draws nothing", "--top-p"]),
        (["--beam", "3", "--greedy"], ["--beam draws nothing", "--greedy"]),
        (["--beam", "3", "--repetition-penalty", "2"], ["--beam draws nothing", "--repetition-penalty"]),
        (["--beam", "3", "--tries", "9"], ["--beam draws nothing", "--tries"]),
        (["--beam", "3", "--must-contain", "a"], ["--beam draws nothing", "--must-contain"]),
        (["--beam", "3", "--count", "4"], ["--count 4 is more than the 3 texts"]),
        (["--run", "noise", "--run", "other"], ["different vocabularies", "only runs/other/", "knows 'x'"]),
        (["--run", "noise", "--run", "missing"], ["no such run: missing"]),
        (["--run", "noise", "--run", "lines"], ["lines", "noise", "end by themselves"]),
        (["--ensemble", "vote"], ["--ensemble", "vote", "average"]),
        (["--top-p", "0"], ["--top-p is 0"]),
        (["--length", "-5"], ["--length", "-5"]),
        (["--length", "x"], ["invalid value for '--length': 'x' is not a whole number"]),
        (["--count", "0"], ["--count", "0"]),
        (["--random-seed", "-1"], ["--random-seed"]),
        (["--seed", "aЖb"], ["'Ж' (U+0416)", "--on-unknown"]),
        (["--output", "no/such/folder/text"], ["cannot write", "--output"]),
        (["surplus"], ["surplus"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_sample_refuses(
    arguments: list[str], parts: list[str], invoke: Invoke, write_run: Callable[..., Path], in_folder: Path
) -> None:
    write_run("other", characters="abcHé\nx")
    write_run("lines", reading="line")
    os.utime(write_run(), (2_000_000_000, 2_000_000_000))  # the newest
    (in_folder / "runs" / "unfinished").mkdir()
    assert_one_line(invoke("sample", *arguments), *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["next", "aЖb"], ["'Ж' (U+0416)", "--on-unknown"]),
        (["next", "--top", "0"], ["--top", "0"]),
        (["next", "--run", "missing"], ["no such run: missing"]),
        (["next", "a", "b"], ["b"]),
        (["play", "--run", "missing"], ["no such run: missing"]),
        (["play", "--temp", "warm", "--seed", "a"], ["--temp", "warm"]),
        (["play", "-q", "--temp", "-1", "--seed", "a"], ["--temp is -1"]),
        (["play", "-q", "--ban", "abcHé\n", "--seed", "a"], ["--ban leaves none"]),
        (["play", "--count", "0"], ["--count", "0"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_next_and_play_refuse(arguments: list[str], parts: list[str], invoke: Invoke, write_run: Callable[..., Path]) -> None:
    write_run()
    assert_one_line(invoke(*arguments, input=""), *parts)


def test_too_few_wanted_texts_are_a_failure_and_write_nothing(
    invoke: Invoke, write_run: Callable[..., Path], in_folder: Path
) -> None:
    write_run()
    result = invoke("sample", "--must-contain", "HHHHHHHHH", "--tries", 300, "--count", 2, "--output", "new.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("chargen: 0 of 300 drawn texts satisfy the conditions, expected 2; ")
    assert len(result.stderr.splitlines()) == 1
    assert not (in_folder / "new.txt").exists()


def test_sample_without_any_run_says_how_to_get_one(invoke: Invoke) -> None:
    assert_one_line(invoke("sample"), "no trained run", "chargen train")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_model_file_is_refused(share: float, invoke: Invoke, write_run: Callable[..., Path]) -> None:
    path = write_run()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert_one_line(invoke("sample"), "model.safetensors is not a model file")


def test_an_unknown_command_is_refused(invoke: Invoke) -> None:
    assert_one_line(invoke("smaple"), "no such command 'smaple'", "sample")
    assert_one_line(invoke("xyz"), "no such command 'xyz'", "train")


def test_debug_shows_where_an_error_comes_from(in_folder: Path) -> None:
    command = [sys.executable, "-m", "chargen", "train", "missing.txt"]
    plain, debug = (
        subprocess.run([*command, *extra], capture_output=True, text=True, cwd=in_folder, check=False)
        for extra in ([], ["--debug"])
    )
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert (plain.returncode, debug.returncode) == (2, 1)
