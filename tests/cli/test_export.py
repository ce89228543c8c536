"""`chargen export`: what it writes, under which names, and what it refuses."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from chargen.export import contents
from chargen.export.corpus_lines import packed_lines
from chargen.network.model_file import save_model
from chargen.settings.schema import NetworkConfig
from tests.export.forms import make_model, with_memory

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]


def assert_refused(result: Result, *parts: str) -> None:
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("name", "begins"), [("noise.html", "<!DOCTYPE html>"), ("noise.py", '"""Write text'), ("n.PY", '"""')]
)
def test_the_newest_run_goes_into_a_file(name: str, begins: str, invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run()
    result = invoke("export", "--output", name)
    assert (result.exit_code, result.stdout) == (0, "")
    content = (in_folder / name).read_bytes()
    assert content.startswith(begins.encode())
    assert content.isascii()
    assert result.stderr == f"{name}: {len(content) / 1000:,.0f} kB, 270 weights in float{16 if 'html' in name else 32}\n"


def test_a_keras_file_of_a_layer_that_keras_lacks_says_what_it_needs(invoke: Invoke, in_folder: Path) -> None:
    save_model(in_folder / "model.safetensors", make_model(NetworkConfig(cell="mlstm", hidden_size=5)))
    note, written = invoke("export", "model.safetensors", "--output", "model.keras").stderr.splitlines()
    assert note == "Keras has no multiplicative LSTM: import chargen.keras before you load this file"
    assert written.startswith("model.keras: ")
    assert len(invoke("export", "model.safetensors", "--output", "model.py").stderr.splitlines()) == 1


def test_the_ngram_memory_goes_into_the_file(invoke: Invoke, in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(in_folder / "model.safetensors", with_memory(make_model(NetworkConfig(hidden_size=5))))
    lines, sizes = [], []
    for options in ((), ("--memory", 0), ("--precision", "float32")):
        result = invoke("export", "model.safetensors", "--output", "page.html", *options)
        assert result.exit_code == 0
        lines.append(result.stderr.splitlines()[:-1])
        sizes.append((in_folder / "page.html").stat().st_size)
    whole = r"n-gram memory: (\d+) n-grams of up to 8 tokens, \d kB \(--memory 0 leaves it out\)"
    assert re.fullmatch(whole, *lines[0])
    assert (lines[1], lines[2]) == ([], lines[0])
    assert sizes[1] < sizes[0] < sizes[2]
    monkeypatch.setattr(contents, "LARGEST_MEMORY", 100)
    (line,) = invoke("export", "model.safetensors", "--output", "page.py").stderr.splitlines()[:-1]
    assert re.fullmatch(r"n-gram memory: \d+ of \d+ n-grams of up to \d tokens, 0 kB \(--memory 0 leaves it out\)", line)


def test_a_run_by_name_path_and_file_gives_the_same(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run("one", seed=1)
    write_run("other", seed=2)
    written = set()
    for spec in ("one", "runs/one", "runs/one/model.safetensors"):
        assert invoke("export", spec, "--output", "one.py", "-q").output == ""
        written.add((in_folder / "one.py").read_bytes())
    invoke("export", "other", "--output", "one.py")  # which replaces it
    assert len(written) == 1
    assert (in_folder / "one.py").read_bytes() not in written
    assert [path.name for path in in_folder.iterdir() if path.is_file()] == ["one.py"]


def test_half_weights_are_half_as_large(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run()
    sizes = []
    for precision in ("float32", "float16"):
        assert invoke("export", "--output", "noise.html", "--precision", precision).exit_code == 0
        page = (in_folder / "noise.html").read_text(encoding="ascii")
        sizes.append(len(page.split('id="weights">')[1].split("<")[0]))
    assert sizes == [1440, 720]  # base64 of 270 numbers


def test_a_program_runs(invoke: Invoke, write_run: WriteRun, in_folder: Path) -> None:
    write_run(reading="line")
    invoke("export", "--format", "script", "--output", "noise.py")
    done = subprocess.run(
        [sys.executable, "noise.py", "--seed", "H", "--temp", "0"], capture_output=True, text=True, check=True
    )
    assert done.stdout == invoke("sample", "--seed", "H", "--greedy").stdout


def test_what_cannot_be_exported_is_refused(
    invoke: Invoke, write_run: WriteRun, write_classifier: WriteRun, in_folder: Path
) -> None:
    assert_refused(invoke("export", "--output", "noise.html"), "no trained run", "chargen train")
    write_run()
    write_classifier()
    assert_refused(invoke("export", "critic", "--output", "critic.html"), "holds a classifier", "chargen classify")
    assert_refused(invoke("export", "critic", "--output", "critic.keras", "--carry"), "--carry is for runs that write text")
    assert_refused(invoke("export", "missing", "--output", "noise.html"), "no such run: missing", "chargen runs")
    assert_refused(invoke("export"), "missing option '--output'")
    assert_refused(invoke("export", "--output", "noise.txt"), "unknown format: noise.txt", ".html, .keras, .onnx, .py")
    assert_refused(invoke("export", "noise", "--output", "runs/noise/model.safetensors"), "unknown format")
    assert_refused(invoke("export", "--format", "html", "--output", "noise.py"), "--format html makes a .html file")
    assert_refused(
        invoke("export", "noise", "--output", "no/folder/noise.html"), "cannot write no/folder/noise.html", "--output"
    )
    assert_refused(invoke("export", "noise", "--output", "noise.html", "--precision", "float8"), "float8")
    assert not list(in_folder.glob("*.*"))


def test_without_onnx_one_line_says_how_to_get_it(
    invoke: Invoke, write_run: WriteRun, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run()
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert_refused(
        invoke("export", "--output", "noise.onnx"), "--format onnx needs the onnx library", "pip install 'chargen[onnx]'"
    )
    assert not (in_folder / "noise.onnx").exists()


@pytest.mark.parametrize("provenance", [{}, {"corpus": 7, "bits_per_character": "low"}, {"corpus": "x" * 10_000}], ids=len)
def test_an_odd_provenance_is_no_obstacle(provenance: dict[str, Any], invoke: Invoke, in_folder: Path) -> None:
    """The file may be anybody's: what it says of itself may be of any type."""
    save_model(in_folder / "model.safetensors", make_model(NetworkConfig(hidden_size=3), provenance=provenance))
    assert invoke("export", "model.safetensors", "--output", "noise.html").exit_code == 0
    page = (in_folder / "noise.html").read_text(encoding="ascii")
    described = json.loads(page.split('id="model">')[1].split("</script>")[0])
    assert (described["name"], described["bits_per_character"]) == ("x" * 60 if len(provenance) == 1 else "", None)


def test_the_lines_of_the_corpus_are_in_a_page(invoke: Invoke, write_trained: WriteRun, in_folder: Path) -> None:
    (in_folder / "names.txt").write_text("abc\nHa\nabc\n", encoding="utf-8")
    write_trained(files=("names.txt",), reading="line")
    assert invoke("export", "--output", "noise.html").exit_code == 0
    assert f'"lines":"{packed_lines(["abc", "Ha"])}"' in (in_folder / "noise.html").read_text(encoding="ascii")
    (in_folder / "names.txt").unlink()
    assert invoke("export", "--output", "noise.html").exit_code == 0
    assert '"lines":""' in (in_folder / "noise.html").read_text(encoding="ascii")
