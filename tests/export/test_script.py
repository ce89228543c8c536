"""The exported program writes the same as `chargen sample`, with nothing but NumPy."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from chargen.corpus.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary
from chargen.corpus.words import BpeVocabulary, WordVocabulary
from chargen.export.script import make_script
from chargen.export.standalone import CONTROLS
from chargen.network.model_file import TextModel, save_model
from chargen.settings.schema import NetworkConfig
from chargen.terminal import ACTIVE
from chargen.writing.prediction import begin
from tests.export.forms import FORMS, E, H, halved, make_model, name_of, several, some_ids, with_memory

Invoke = Callable[..., Result]
Program = Callable[..., subprocess.CompletedProcess[bytes]]

# Runs a program that can import only NumPy and the standard library.
ALONE = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
program, sys.argv[:] = sys.argv[1], sys.argv[1:]
runpy.run_path(program, run_name="__main__")
"""


@pytest.fixture(scope="module")
def numpy_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with NumPy and no other package."""
    folder = tmp_path_factory.mktemp("site")
    package = Path(np.__file__).parent
    for path in (package, package.with_name("numpy.libs")):
        if path.exists():
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def program(numpy_alone: Path, in_folder: Path) -> Program:
    """Run a model's program in isolation."""

    def run(model: TextModel, *arguments: str, precision: str = "float32") -> subprocess.CompletedProcess[bytes]:
        (in_folder / "program.py").write_text(make_script(model, precision), encoding="ascii")
        command = [sys.executable, "-I", "-S", "-c", ALONE, str(numpy_alone), "program.py", *arguments]
        return subprocess.run(command, capture_output=True, check=False)

    return run


def written(run: Program, model: TextModel, *arguments: str) -> str:
    done = run(model, *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


LSTM = NetworkConfig(hidden_size=H, embedding_size=E)
LINES = {"reading": "line", "primer": (0,), "ends": True}
KINDS: list[tuple[Vocabulary, str]] = [
    (CharacterVocabulary("abc é\n🙂"), "é🙂a"),
    (ByteVocabulary(), "é🙂a"),
    (WordVocabulary(["a", " cab", "!", " é"], num_characters=9), "a cab é cab!"),
    (BpeVocabulary("abc é\n", [("a", "b"), ("ab", "c"), (" ", "ab")]), "abc abcab é"),
]


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (["--greedy"], {}),
        (["--greedy", "--count", "3"], LINES),
        (["--random-seed", "7", "--temp", "0.7", "--count", "1"], LINES),
        (["--random-seed", "7", "--length", "60"], {}),
        (["--random-seed", "7", "--length", "0"], {}),
        (["--random-seed", "7", "--length", "60"], {"carried": False}),
        (["--random-seed", "7", "--count", "1"], LINES | {"carried": False, "primer": (0,) * 6}),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(("vocabulary", "prompt"), KINDS, ids=[one.kind for one, _ in KINDS])
def test_it_writes_what_sample_writes(
    arguments: list[str],
    fields: dict[str, object],
    vocabulary: Vocabulary,
    prompt: str,
    invoke: Invoke,
    program: Program,
    in_folder: Path,
) -> None:
    model = make_model(LSTM, vocabulary=vocabulary, **fields)
    save_model(in_folder / "model.safetensors", model)
    expected = invoke("sample", "--run", "model.safetensors", "--seed", prompt, *arguments)
    assert expected.exit_code == 0
    asked = [part for one in arguments for part in (["--temp", "0"] if one == "--greedy" else [one])]
    assert written(program, model, "--seed", prompt, *asked) == expected.stdout


@pytest.mark.parametrize("fields", [{}, {"carried": False}, LINES], ids=str)
@pytest.mark.parametrize(("vocabulary", "prompt"), KINDS, ids=[one.kind for one, _ in KINDS])
def test_it_writes_with_the_memory(
    vocabulary: Vocabulary, prompt: str, fields: dict[str, object], invoke: Invoke, program: Program, in_folder: Path
) -> None:
    alone = make_model(LSTM, vocabulary=vocabulary, **fields)
    model = with_memory(alone, knows_lines=fields == LINES)
    save_model(in_folder / "model.safetensors", model)
    asked = ["--seed", prompt, "--random-seed", "7", "--length", "60", "--count", "1"]
    text = written(program, model, *asked)
    assert text == invoke("sample", "--run", "model.safetensors", *asked).stdout
    assert text != written(program, alone, *asked)


@pytest.mark.parametrize("labels", [(), ("x", "y")])
@pytest.mark.parametrize("knows_lines", [False, True])
def test_probabilities_with_the_memory(labels: tuple[str, ...], knows_lines: bool) -> None:
    fields = LINES if knows_lines and not labels else {}
    model = with_memory(make_model(LSTM, vocabulary=CharacterVocabulary("abc", labels), **fields), knows_lines=knows_lines)
    names: dict[str, Any] = {"__name__": "program"}
    exec(make_script(model, "float32"), names)
    described = names["json"].loads(names["MODEL"])
    weights = names["unpack"](described["tensors"], "float32", names["WEIGHTS"])
    label = labels[0] if labels else ""
    ids = [1, 1, 3, 3, 2, 1, 2, 1, 2]
    for place in range(len(ids)):
        writer = names["Writer"](described, weights, names["Vocabulary"](described["vocabulary"]), ids[:place], label)
        expected, _ = begin(model.with_label(label) if label else model, np.array(ids[:place], np.intp), 1)
        np.testing.assert_allclose(np.exp(writer.logits), np.exp(expected[0]), atol=1e-6)


def test_prompts_and_lengths_of_words(program: Program) -> None:
    vocabulary = WordVocabulary(["The", " cat", " sat", "."], num_characters=9)
    model = make_model(LSTM, vocabulary=vocabulary)
    refused = program(model, "--seed", "The dog sat")
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"the model has never seen 'dog'" in refused.stderr
    text = written(program, model, "--seed", "cat ", "--length", "31", "--random-seed", "1")
    assert text.startswith("cat ")
    assert not text.startswith("cat  ")
    assert 30 <= len(text) - len("cat \n") <= 31  # the space of the first word is already written


def test_lines_are_different(program: Program) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("ab"), **LINES)
    lines = written(program, model, "--count", "30", "--length", "6", "--random-seed", "1").splitlines()
    assert len(lines) == len(set(lines)) == 30
    few = program(model, "--count", "30", "--length", "1", "--random-seed", "1")
    assert (few.returncode, sorted(few.stdout.split())) == (0, [b"a", b"b"])
    assert b"only 2 different texts were found" in few.stderr


def test_labels(invoke: Invoke, program: Program, in_folder: Path) -> None:
    model = make_model(LSTM, vocabulary=CharacterVocabulary("abc", ["x", "y"]), **LINES)
    save_model(in_folder / "model.safetensors", model)
    for label in ("x", "y"):
        asked = ["--label", label, "--random-seed", "3", "--count", "1"]
        assert written(program, model, *asked) == invoke("sample", "--run", "model.safetensors", *asked).stdout
    assert b"--label" in program(model).stderr
    assert b"never seen the label 'z'; it knows x, y" in program(model, "--label", "z").stderr


@pytest.mark.parametrize("config", FORMS, ids=name_of)
def test_every_form_computes_what_the_network_does(config: NetworkConfig) -> None:
    """In this process, because a process for each form would take long."""
    model = make_model(config)
    for precision, network in (("float32", model.network), ("float16", halved(model))):
        names: dict[str, object] = {"__name__": "program"}
        exec(make_script(model, precision), names)
        described = names["json"].loads(names["MODEL"])
        weights = names["unpack"](described["tensors"], precision, names["WEIGHTS"])
        rebuilt = names["make_network"](described, weights)
        for row in some_ids():
            state, there = network.zero_state(1), rebuilt.zero_state()
            for token in row.tolist():
                expected, state = network.step(np.array([token]), state)
                values, there = rebuilt.advance(token, there)
                np.testing.assert_allclose(rebuilt.head(values), expected[0], atol=1e-5)


@pytest.mark.parametrize("carried", [True, False])
def test_several_networks_write_the_average(carried: bool, invoke: Invoke, program: Program, in_folder: Path) -> None:
    model = with_memory(several(carried=carried))
    save_model(in_folder / "model.safetensors", model)
    assert program(model, "--seed", "ab", "--length", "20", precision="float16").returncode == 0
    asked = ["--seed", "ab", "--length", "40", "--random-seed", "3"]
    assert written(program, model, *asked) == invoke("sample", "--run", "model.safetensors", *asked).stdout


def test_no_text_of_a_model_becomes_code(program: Program) -> None:
    nasty = '"""\'\\\n{}%s</script>\x00\x1b[31m\u202e'
    typed = nasty.replace("\x00", "")
    model = make_model(LSTM, vocabulary=CharacterVocabulary(sorted(set(nasty)), [nasty]), provenance={"corpus": nasty})
    assert "with a network that was trained on" in " ".join(written(program, model, "--help").split())
    done = program(model, "--label", typed)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    model = make_model(LSTM, vocabulary=CharacterVocabulary(sorted(set(nasty)), [typed]), provenance={"corpus": nasty})
    assert written(program, model, "--label", typed, "--seed", typed, "--length", "5").startswith(typed)


def test_a_terminal_is_shown_what_chargen_shows_it() -> None:
    """Except for the rest of an escape sequence, which is harmless without its first character."""
    for code in (*range(0xD800), *range(0xE000, 0x10000)):
        assert bool(CONTROLS.match(chr(code))) == bool(ACTIVE.match(chr(code)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "ü"], "the model has never seen 'ü' (U+00FC)"),
        (["--temp", "-1"], "temperature is -1, expected 0 or more"),
        (["--temp", "nan"], "temperature is nan, expected 0 or more"),
        (["--length", "-1"], "--length is 0 or more"),
        (["--count", "0"], "--count 1 or more"),
        (["--random-seed", "-1"], "--random-seed is -1, expected 0 or more"),
    ],
    ids=" ".join,
)
def test_bad_input_is_refused(arguments: list[str], message: str, program: Program) -> None:
    done = program(make_model(LSTM), *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert message in done.stderr.decode().splitlines()[-1]
