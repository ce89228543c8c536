"""Untrusted text on a terminal and in a pipe."""

import ast
import os
import pty
import random
import re
import shutil
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chargen
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.terminal import Sanitizer, sanitized

WriteRun = Callable[..., Path]

# Declared again, independently of the module: characters that may act on a terminal, or break it.
ACTIVE = {
    *map(chr, range(0x20)),
    "\x7f",
    *map(chr, range(0x80, 0xA0)),
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *map(chr, range(0xD800, 0xE000)),
} - {"\n", "\t"}
PIECES = [
    *("\x1b", "\x1b[", "\x9b", "\x1b]", "\x9d", "\x1bP", "\x90", "\x1b_", "\x9f", "\x1b^", "\x9e", "\x1bX", "\x98"),
    *("\x1b\\", "\x9c", "\x07", "\x1b(B", "\x1b#8", "\x1b c", "\x18", "\x1a", "\r", "\b", "\n", "\t", "\x00", "\x7f", "\x85"),
    *(
        "\u202e",
        "\u2066",
        "\u2069",
        "\ud800",
        "\udc9b",
        "0;title",
        "52;c;aGk=",
        "31m",
        "2J",
        "?1049h",
        ";",
        " ",
        "a",
        "é",
        "日",
    ),
    *("\U0001f468\u200d\U0001f469", "e\u0301", "שלום", "[bold]", "\\"),
]
FUZZED = 10_000
PLAIN = st.text(st.characters(exclude_characters=ACTIVE))


def in_chunks(text: str, places: list[int]) -> str:
    sanitizer = Sanitizer()
    cuts = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return "".join(sanitizer.feed(text[start:stop]) for start, stop in pairwise(cuts))


def fuzzed() -> Iterator[tuple[str, list[int]]]:
    rng = random.Random(20261121)
    for _ in range(FUZZED):
        text = "".join(
            rng.choice(PIECES) if rng.random() < 0.8 else chr(rng.randrange(0x110000)) for _ in range(rng.randrange(1, 30))
        )
        yield text, [rng.randrange(len(text) + 1) for _ in range(rng.randrange(6))]


def test_nothing_active_is_left_of_fuzzed_text() -> None:
    left = 0
    for text, places in fuzzed():
        shown = in_chunks(text, places)
        left += len(ACTIVE & set(shown))
        assert shown == sanitized(text), "how a text is cut makes no difference"
    assert left == 0


@given(st.lists(st.sampled_from(PIECES) | st.text()), st.lists(st.integers(0, 500)))
@settings(max_examples=1000, deadline=None)
def test_nothing_active_is_left(pieces: list[str], places: list[int]) -> None:
    text = "".join(pieces)
    shown = in_chunks(text, places)
    assert not ACTIVE & set(shown)
    assert shown == sanitized(text) == sanitized(shown)


@given(PLAIN, st.lists(st.integers(0, 500)))
@settings(max_examples=1000, deadline=None)
def test_plain_text_of_any_script_passes(text: str, places: list[int]) -> None:
    assert in_chunks(text, places) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x9d52;c;aGk=\x9cb", "ab"),
        ("a\x1bPq#0\x1b\\b\x1b_x\x1b\\c\x1b^x\x9cd\x1bXx\x9ce", "abcde"),
        ("a\x1b]never ended\nb", "a\nb"),
        ("a\x1b[31\nb", "a\nb"),
        ("a\x1b[31日", "a日"),
        ("a\x1b(Bb\x1b#8c\x1b7d\x1bce", "abcde"),
        ("a\x1b\x1b[2Jb", "ab"),
        ("a\x1b(\x1b[2Jb", "ab"),
        ("a\x1b", "a"),
        ("a\rb\bc\x7fd\x85e\x00f", "abcdef"),
        ("a\u202eb\u2067c", "abc"),
        ("\ud83d\udc9b", "\ufffd\ufffd"),
        ("[bold]x[/bold] :smile: \\", "[bold]x[/bold] :smile: \\"),
        ("é e\u0301 שלום \U0001f468\u200d\U0001f469 \u200e\t\n", "é e\u0301 שלום \U0001f468\u200d\U0001f469 \u200e\t\n"),
    ],
)
def test_what_is_left_out(text: str, shown: str) -> None:
    assert sanitized(text) == shown
    assert in_chunks(text, list(range(len(text)))) == shown


def on_terminal(*arguments: object, folder: Path, code: int = 0, typed: str = "") -> str:
    """Run `chargen` with a terminal as stdin, stdout and stderr, without echo, and return the terminal's output."""
    own, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    os.write(own, typed.encode())
    command = [sys.executable, "-m", "chargen", *map(str, arguments)]
    plain = os.environ | {"TERM": "dumb", "NO_COLOR": "1"}  # the progress bar then needs no escape sequences either
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=plain)
    os.close(theirs)
    seen = b""
    try:
        while more := os.read(own, 65536):
            seen += more
    except OSError:  # the last process has closed the other end
        pass
    finally:
        os.close(own)
    assert process.wait() == code, seen
    return seen.decode("utf-8").replace("\r\n", "\n")


def through_pipe(*arguments: str, folder: Path) -> str:
    command = [sys.executable, "-m", "chargen", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout.decode("utf-8")


HOSTILE = "\x1b[]0;5m\x07\x9b\u202e\x08ab\n"


def test_a_model_that_writes_escape_sequences(write_run: WriteRun, in_folder: Path) -> None:
    write_run(characters=HOSTILE)
    command = ["sample", "--length", "500", "--random-seed", "1", "--seed", "a\x1b[5mb"]
    piped = through_pipe(*command, folder=in_folder)
    assert set(HOSTILE) <= set(piped)
    assert piped.startswith("a\x1b[5mb")
    assert len(piped) == len("a\x1b[5mb") + 500 + len("\n")
    shown = on_terminal(*command, folder=in_folder)
    assert not ACTIVE & set(shown)
    assert shown == sanitized(piped)
    assert on_terminal(*command, "--raw", folder=in_folder) == piped


def test_several_texts_and_a_file(write_run: WriteRun, in_folder: Path) -> None:
    write_run(characters=HOSTILE)
    command = ["sample", "--length", "100", "--random-seed", "1", "--count", "3"]
    piped = through_pipe(*command, folder=in_folder)
    assert on_terminal(*command, folder=in_folder) == sanitized(piped)
    assert on_terminal(*command, "--output", "new.txt", folder=in_folder) == ""
    assert (in_folder / "new.txt").read_text(encoding="utf-8") == piped


def test_a_conversation_about_escape_sequences(write_run: WriteRun, in_folder: Path) -> None:
    write_run(characters=HOSTILE)
    command = ["play", "--seed", "a\x1b[5mb\x07", "--random-seed", "1", "--length", "200"]
    shown = on_terminal(*command, typed="xyz\n/text\n/quit\n", folder=in_folder)
    assert not ACTIVE & set(shown)
    assert shown.count("abxyz\n") == 3  # the text in the second turn, on demand, and at the end
    raw = on_terminal(*command, "--raw", typed="xyz\n/text\n/quit\n", folder=in_folder)
    assert raw.count("a\x1b[5mb\x07xyz\n") == 3
    assert set(HOSTILE) <= set(raw)


def test_what_is_expected_after_escape_sequences(write_run: WriteRun, in_folder: Path) -> None:
    write_run(characters=HOSTILE)
    shown = on_terminal("next", "\x1b[m\u202e\x9b", folder=in_folder)
    assert not ACTIVE & set(shown)
    assert r"after '\x1b[m\u202e\x9b'" in shown
    assert not ACTIVE & set(on_terminal("next", "\x1b[m\u202e\x9b", "--json", folder=in_folder))


def test_texts_that_are_looked_into(write_trained: Callable[..., Path], in_folder: Path) -> None:
    name = "a\x1b]0;title\x07\u202eb.txt"
    (in_folder / name).write_text(HOSTILE * 9, encoding="utf-8")
    write_trained(files=(name,), characters=HOSTILE)
    for command in (
        ["novelty", "--count", 2, "--length", 200, "--temp", 0.1],
        ["novelty", "--file", name],
        ["novelty", "--json", "--count", 1],
        ["sample", "--novel", "--copy-length", 50],
        ["surprise", name],
        ["surprise", name, "--order", "text"],
        ["surprise", name, "--json"],
        ["units", name],
        ["units", name, "--unit", 1],
        ["units", name, "--unit", 1, "--json"],
    ):
        assert not ACTIVE & set(on_terminal(*command, folder=in_folder)), command
    on_terminal("surprise", name, "--html", "page.html", folder=in_folder)
    assert not ACTIVE & set((in_folder / "page.html").read_text(encoding="utf-8"))


def test_labels_and_texts_that_are_classified(write_run: WriteRun, in_folder: Path) -> None:
    labels = ("a\x1b[5mb", "c\u202ed")
    write_run(reading="line", vocabulary=CharacterVocabulary(HOSTILE, labels))
    shown = on_terminal("classify", "a\x1b]0;m\x07b", "ab", folder=in_folder)
    assert not ACTIVE & set(shown)
    assert "ab 0." in shown
    assert shown.count("  ab\n") == 2


def test_no_character_is_lost_to_an_encoding(write_run: WriteRun, in_folder: Path) -> None:
    write_run(characters="é")
    narrow = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "chargen", "sample", "--length", "50"]
    for extra in ([], ["--output", "new.txt"]):
        done = subprocess.run([*command, *extra], cwd=in_folder, env=narrow, capture_output=True, check=True)
    assert set((in_folder / "new.txt").read_text(encoding="utf-8")) == {"é", "\n"}
    done = subprocess.run(command, cwd=in_folder, env=narrow, capture_output=True, check=True)
    assert set(re.findall(r"\\x..|\\u....", done.stdout.decode("ascii"))) == {r"\xe9"}
    assert set(on_terminal("sample", "--length", 50, folder=in_folder)) == {"é", "\n"}


def test_names_of_runs_and_files(write_run: WriteRun, in_folder: Path) -> None:
    name = "a\x1b]0;title\x07\u202eb"
    (write_run(name).parent / "metrics.csv").write_text("epoch,cross_entropy,learning_rate\n1,2.5,0.003\n", encoding="utf-8")
    write_run("other")
    (in_folder / "runs/other/metrics.csv").write_text("epoch,cross_entropy,learning_rate\n1,2.5,0.003\n", encoding="utf-8")
    assert "\nab " in on_terminal("runs", folder=in_folder)
    assert name in through_pipe("runs", folder=in_folder)
    assert "training, ab" in on_terminal("plot", name, "other", folder=in_folder)
    assert "no such run: x?[2J?0;t?y;" in on_terminal("sample", "--run", "x\x1b[2J\x9d0;t\x9cy", folder=in_folder, code=2)
    output = on_terminal("sample", "--run", "x\x1b[2Jy", "--debug", folder=in_folder, code=1)
    assert "no such run: xy;" in output.splitlines()[-1]
    assert not ACTIVE & set(output)
    (in_folder / name).write_text("the cat sat on the mat.\n" * 50, encoding="utf-8")
    shown = on_terminal("config", "show", name, "--config", "char-rnn", folder=in_folder)
    assert not ACTIVE & set(shown)
    assert "num_layers = 2" in shown


def test_training_on_escape_sequences(in_folder: Path) -> None:
    (in_folder / "a\x1b[5m\u202eb.txt").write_text(
        "It is \x1b[31mred\x1b[0m,\u202e\x07 or [bold]not[/bold].\n" * 9, encoding="utf-8"
    )
    small = ["--context-length", 6, "--hidden-size", 3, "--epochs", 1, "--sample-length", 200, "--diversity", 3]
    shown = on_terminal("train", "a\x1b[5m\u202eb.txt", *small, "--backend", "numpy", folder=in_folder)
    assert shown.startswith("ab: 1 document, 387 characters")
    assert "epoch 1/1" in shown
    assert "----- Generating with seed" in shown
    assert not ACTIVE & set(shown)
    (run,) = (in_folder / "runs").iterdir()
    shown = on_terminal("evaluate", folder=in_folder)
    assert "\nblocks of 256 " in shown
    assert not ACTIVE & set(shown)
    copy = shutil.copytree(run, run.with_name("c\x1b[5m\u202ed"))
    shown = on_terminal("compare", run.name, copy.name, folder=in_folder)
    assert " cd\n" in shown
    assert not ACTIVE & set(shown)


PACKAGE = Path(chargen.__file__).parent
OURS = sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "export" / "standalone.py"})  # runs without the others


@pytest.mark.parametrize("module", OURS, ids=lambda path: path.name)
def test_all_text_takes_this_way(module: Path) -> None:
    """Only `chargen.terminal` writes to the standard streams; progress bars use `Display`."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}, called
