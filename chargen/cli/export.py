from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.completing import complete_runs
from chargen.cli.options import common_options, runs_dir_option, write_output
from chargen.cli.sampling import carry_option, member_option, memory_option
from chargen.errors import ChargenError, ConfigError
from chargen.terminal import echo

if TYPE_CHECKING:
    from chargen.network.model_file import TextModel

SUFFIXES = {"html": ".html", "keras": ".keras", "onnx": ".onnx", "script": ".py"}
ONE_NETWORK = ("keras", "onnx")  # the formats of other programs
WITH_MEMORY = ("html", "script")
HALVED = ("html",)  # pages are sent to others, so they are small by default


@click.command("export")
@click.argument("run_spec", metavar="[RUN]", required=False, shell_complete=complete_runs)
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(SUFFIXES)),
    help="What to make: html is a page that runs the network in any browser, script a Python program that needs NumPy alone, "
    "keras and onnx are files for other programs.  [default: by FILE's ending]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="File to write, ending in .html, .py, .keras or .onnx. An existing file is replaced.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16"]),
    help="Number format of the weights; float16 halves the file. Not for keras.  [default: float16 for html, else float32]",
)
@member_option
@carry_option
@memory_option
@runs_dir_option
@common_options
def command(
    run_spec: str | None,
    kind: str | None,
    output: Path,
    precision: str | None,
    member: int | None,
    carry: bool | None,
    memory: float | None,
    runs_dir: Path,
    verbosity: int,
) -> None:
    """Turn a trained network into one file that works without chargen.

    RUN is a run's name, its path, or a model file; the newest run unless given. A classifier becomes a .keras file only.

    \b
      chargen export --output names.html
      chargen export male-lstm-20260101-120000 --output names.py
      chargen export --format keras --output names.keras
    """
    from chargen.network.model_file import load_model, read_metadata
    from chargen.runs.directory import find_model

    kind = _kind(kind, output)
    precision = precision or ("float16" if kind in HALVED else "float32")
    if kind == "keras" and precision != "float32":
        raise ConfigError("a .keras file has float32 weights", hint="--precision float16 is for html, script and onnx")
    path = find_model(run_spec, runs_dir)
    if read_metadata(path)["task"] == "classify":
        model, content = _classifier(path, kind, {"--carry": carry, "--memory": memory})
    else:
        model = load_model(path).member(member).with_carry(carry).with_memory(memory)
        if kind in ONE_NETWORK and len(model.network.members) > 1:
            raise ConfigError(f"a {SUFFIXES[kind]} file holds one network, {path} several", hint="choose one with --member")
        model, note = _with_exported_memory(model, kind)
        if note and verbosity:
            echo(note, err=True)
        if kind == "keras" and model.one_network.config.cell == "mlstm" and verbosity:
            echo("Keras has no multiplicative LSTM: import chargen.keras before you load this file", err=True)
        content = _maker(kind, path)(model, precision)
    write_output(output, content)
    if verbosity:
        size = len(content) / 1000  # all of it is ASCII, or bytes
        echo(f"{output}: {size:,.0f} kB, {model.network.num_parameters:,} weights in {precision}", err=True)


def _kind(given: str | None, output: Path) -> str:
    """Return the chosen format. Raises ConfigError for a file name with another ending."""
    suffix = output.suffix.lower()
    by_suffix = {one: kind for kind, one in SUFFIXES.items()}
    if given is None and suffix not in by_suffix:
        raise ConfigError(f"unknown format: {output}", hint=f"end it in {', '.join(by_suffix)}")
    if given is not None and suffix != SUFFIXES[given]:
        raise ConfigError(f"--format {given} makes a {SUFFIXES[given]} file, --output is {output}", hint="choose one of them")
    return given or by_suffix[suffix]


def _with_exported_memory(model: "TextModel", kind: str) -> "tuple[TextModel, str]":
    """Return a model with the n-gram memory that its file will hold, and a line about it."""
    from chargen.export.contents import with_small_memory

    whole = model.memory
    if whole is None:
        return model, ""
    if kind not in WITH_MEMORY:
        return model, f"a {SUFFIXES[kind]} file holds the network alone, without the n-gram memory of the model"
    model = with_small_memory(model)
    assert model.memory
    count = f"{model.memory.nowhere:,}"
    if model.memory is not whole:
        count += f" of {whole.nowhere:,}"
    size = f"{model.memory.num_bytes / 1000:,.0f} kB"
    return model, f"n-gram memory: {count} n-grams of up to {model.memory.order} tokens, {size} (--memory 0 leaves it out)"


def _classifier(path: Path, kind: str, for_text: dict[str, Any]) -> tuple[Any, str | bytes]:
    """Return a classifier and the content of its .keras file. Raises ConfigError for another format."""
    if kind != "keras":
        hint = "export a .keras file, or use it with chargen classify"
        raise ConfigError(f"{path} holds a classifier, which a {SUFFIXES[kind]} file cannot run", hint=hint)
    for option in (name for name, value in for_text.items() if value is not None):
        raise ConfigError(f"{option} is for runs that write text, but {path} holds a classifier", hint="leave it out")
    from chargen.writing.classifier import load_classifier

    model = load_classifier(path)
    _load_backend()
    from chargen.training.stock_keras import classifier_file

    return model, classifier_file(model)


def _lines(path: Path, model: "TextModel") -> Iterator[str]:
    """Yield the lines of a run's corpus, if it is a corpus of lines and still there."""
    from chargen.runs.trained_text import training_texts

    if model.reading == "line":
        with suppress(ChargenError):
            for source in training_texts([path]):
                yield from str(source.text).split("\n")


def _load_backend() -> None:
    from chargen.training.devices.backend import load_backend

    load_backend()


def _maker(kind: str, path: Path) -> Callable[[Any, Any], str | bytes]:
    """Return the function that makes a file's content from a model and a precision; only one of them loads Keras."""
    if kind == "html":
        from chargen.export.single_page import make_page

        return lambda model, precision: make_page(model, precision, lines=_lines(path, model))
    if kind == "script":
        from chargen.export.script import make_script

        return make_script
    if kind == "onnx":
        from chargen.export.onnx_graph import make_onnx

        return make_onnx
    _load_backend()
    from chargen.training.stock_keras import stock_file

    return lambda model, precision: stock_file(model)
