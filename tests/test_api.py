"""The Python interface does what the commands do, and leaves the caller's process alone."""

import doctest
import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from click.testing import Result

import chargen
from chargen import api, errors
from chargen.settings.keywords import TrainKeywords, WritingKeywords
from chargen.settings.schema import declared_settings, keyword_name, keyword_of
from chargen.settings.writing import WritingOptions
from chargen.training.numpy_trainer import NumpyTrainer

Invoke = Callable[..., Result]
WriteRun = Callable[..., Path]

SMALL: Any = {"config": "plain", "hidden_size": 4, "embedding": 3, "backend": "numpy", "epochs": 2, "sample_every": 0}
FLAGS = ("--config", "plain", "--hidden-size", 4, "--embedding", 3, "--backend", "numpy", "--epochs", 2, "--sample-every", 0)


@pytest.fixture
def text(in_folder: Path) -> Path:
    path = in_folder / "text.txt"
    path.write_text("the cat sat on the mat.\n" * 20, encoding="utf-8")
    return path


def test_the_examples_work(in_folder: Path) -> None:
    run = chargen.train("tiny.txt", cell="gru", hidden_size=24, epochs=2, backend="numpy", quiet=True)
    failed, tried = doctest.testmod(api, extraglobs={"chargen": chargen, "run": run, "model": run.model})
    assert not failed
    assert tried > 20


def test_the_typed_keywords_are_those_of_the_schema() -> None:
    training = {keyword_name(one.name, detail) for _, one, _, detail in declared_settings()} - {"files"}
    shorthands = {keyword_of(flag) for *_, detail in declared_settings() for flag in detail.shorthands}
    assert set(get_type_hints(TrainKeywords)) == training | shorthands
    assert set(get_type_hints(WritingKeywords)) == {one.name for one in fields(WritingOptions)} - {"count"}


def test_errors_name_keywords(write_run: WriteRun) -> None:
    write_run()
    model = chargen.load("noise")
    for options, told in (
        ({"beam": 2, "temperature": 0.5}, "beam draws nothing, which excludes temperature;"),
        ({"length": 3, "max_length": 4}, "length and max_length exclude each other; max_length keeps"),
    ):
        with pytest.raises(errors.ConfigError, match=told):
            model.generate(**options)


def test_training_gives_the_same_bytes_as_the_command(invoke: Invoke, text: Path) -> None:
    run = chargen.train(text, cell="gru", clip_norm=0.5, one_hot=True, runs_dir="python", quiet=True, **without("embedding"))
    command = [one for one in FLAGS if one not in ("--embedding", 3)]
    result = invoke("train", text, "--cell", "gru", "--clip-norm", 0.5, "--one-hot", *command, "-q")
    directory = Path(result.stdout.strip())
    for name in ("model.safetensors", "metrics.csv", "config.toml"):
        assert (run.path / name).read_bytes() == (directory / name).read_bytes()


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in SMALL.items() if name not in names}


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, ()),
        ({"temperature": 0.7, "top_p": 0.9, "length": 50}, ("--temp", 0.7, "--top-p", 0.9, "--length", 50)),
        ({"temperature": (0.2, 2), "top_k": 3, "until": "b"}, ("--temp", "0.2,2", "--top-k", 3, "--until", "b")),
        (
            {"repetition_penalty": 1.3, "ban": "b", "on_unknown": "skip"},
            ("--repetition-penalty", 1.3, "--ban", "b", "--on-unknown", "skip"),
        ),
        ({"greedy": True, "must_contain": "H"}, ("--greedy", "--must-contain", "H")),
    ],
)
def test_a_text_has_the_same_bytes_as_the_command_writes(
    options: Any, flags: tuple[object, ...], invoke: Invoke, write_run: WriteRun
) -> None:
    write_run()
    model = chargen.load("noise")
    text = model.generate("Ha", random_seed=7, **options)
    command = ("sample", "--seed", "Ha", "--random-seed", 7, *flags)
    assert invoke(*command).stdout_bytes == f"{text}\n".encode()
    assert "".join(model.stream("Ha", random_seed=7, **options)) == text
    texts = model.texts("Ha", count=3, random_seed=7, **options)
    assert json.loads(invoke(*command, "--count", 3, "--json").stdout)["texts"] == texts


def test_lines_are_written_as_the_command_writes_them(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(reading="line", characters="abH")
    asked: Any = {"min_length": 2, "max_length": 5, "random_seed": 3}
    texts = chargen.load().texts(**asked)
    assert len(texts) == 10
    assert invoke("sample", "--min-length", 2, "--max-length", 5, "--random-seed", 3).stdout.splitlines() == texts
    assert (
        chargen.load().texts("a", beam=4, count=2)
        == json.loads(invoke("sample", "--seed", "a", "--beam", 4, "--count", 2, "--json").stdout)["texts"]
    )


def test_models_write_together_as_the_command_has_them(invoke: Invoke, write_run: WriteRun) -> None:
    write_run("one", seed=1)
    path = write_run("two", seed=2)
    for how in ("average", "turns"):
        text = chargen.load("one", path, ensemble=how).generate("a", random_seed=5)  # type: ignore[arg-type]
        command = ("sample", "--run", "one", "--run", "two", "--ensemble", how, "--seed", "a", "--random-seed", 5)
        assert invoke(*command).stdout == f"{text}\n"


def test_a_label_is_chosen(invoke: Invoke, write_run: WriteRun) -> None:
    write_run(labels=("x", "y"))
    text = chargen.load(label="y").generate("a", random_seed=5)
    assert invoke("sample", "--label", "y", "--seed", "a", "--random-seed", 5).stdout == f"{text}\n"
    assert set(chargen.load(label="y").evaluate("abH")) == {"stream", "blocks of 256"}
    assert chargen.load_classifier().classify("a", "bc") == [
        row["probabilities"] for row in json.loads(invoke("classify", "a", "bc", "--json").stdout)
    ]
    with pytest.raises(errors.ConfigError, match="choose label from x, y"):
        chargen.load().generate()


def test_measures_are_those_of_the_commands(invoke: Invoke, write_trained: WriteRun, text: Path) -> None:
    write_trained(files=("text.txt",), characters="acehmnost.\n ")
    model = chargen.load()
    (text.parent / "other.txt").write_text("a cat on a mat\n", encoding="utf-8")
    for files, given in (((), None), (("other.txt",), "a cat on a mat\n")):
        told = json.loads(invoke("evaluate", "noise", *files, "--block-length", 9, "--no-baselines", "--json", "-q").stdout)
        expected = {
            row["name"]: {name: row[name] for name in row if name not in ("name", "kind", "part")} for row in told["results"]
        }
        assert model.evaluate(given, block_length=9) == expected
    told = json.loads(invoke("surprise", "noise", "other.txt", "--json").stdout)
    assert [piece for piece, _ in model.surprise("a cat on a mat\n")] == told["tokens"]
    assert [round(bits, 4) for _, bits in model.surprise("a cat on a mat\n")] == told["bits"]
    told = json.loads(invoke("next", "ca", "--top", 4, "--json").stdout)
    assert model.next("ca", top=4) == [(one["token"], one["probability"]) for one in told["next"]]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: chargen.train("missing.txt", **SMALL), errors.CorpusError, "no such file: missing.txt"),
        (
            lambda: chargen.train("tiny.txt", hiden_size=3),
            errors.ConfigError,
            "unknown keyword hiden_size; did you mean hidden_size?",
        ),
        (lambda: chargen.train("tiny.txt", files=["a"]), errors.ConfigError, "unknown keyword files"),
        (lambda: chargen.train("tiny.txt", hidden_size=0), errors.ConfigError, "hidden_size is 0, expected 1 or more"),
        (lambda: chargen.train("tiny.txt", layers="2"), errors.ConfigError, "layers is '2', expected a whole number"),
        (lambda: chargen.train("tiny.txt", epochs=None), errors.ConfigError, "epochs is None, expected a value"),
        (lambda: chargen.train("tiny.txt", one_hot=1), errors.ConfigError, "one_hot is 1, expected true or false"),
        (lambda: chargen.train("tiny.txt", one_hot=True, embedding=4), errors.ConfigError, "is given twice"),
        (lambda: chargen.train("tiny.txt", preset="slow"), errors.ConfigError, "preset is 'slow', expected one of fast"),
        (lambda: chargen.train("tiny.txt", minutes="5"), errors.ConfigError, "minutes is '5', expected a number"),
        (lambda: chargen.train("tiny.txt", config="missing"), errors.ConfigError, "no such config"),
        (lambda: chargen.train("tiny.txt", from_="missing"), errors.RunError, "no such run: missing"),
        (lambda: chargen.resume(), errors.RunError, "no run with a checkpoint"),
        (lambda: chargen.resume("missing"), errors.RunError, "no such run: missing"),
        (lambda: chargen.load("missing"), errors.RunError, "no such run: missing"),
        (lambda: chargen.load("text.txt"), errors.ModelFileError, "text.txt"),
        (
            lambda: chargen.load("noise", ensemble="sum"),
            errors.ConfigError,
            "ensemble is 'sum', expected one of average, turns",
        ),
        (lambda: chargen.load("critic"), errors.ModelFileError, "holds a classifier"),
        (lambda: chargen.load("noise", "noise").describe(), errors.ConfigError, "got 2 models, expected one"),
        (
            lambda: chargen.load("noise", "noise", ensemble="turns").evaluate("a"),
            errors.ConfigError,
            "models that take turns cannot be measured together",
        ),
        (lambda: chargen.load("noise").generate("?"), errors.UnknownTokenError, "'?'"),
        (lambda: chargen.load("noise").generate(seed=4), errors.ConfigError, "unknown keyword seed; did you mean random_seed?"),
        (lambda: chargen.load("noise").generate(temp=4), errors.ConfigError, "did you mean temperature?"),
        (lambda: chargen.load("noise").generate(temperature="hot"), errors.ConfigError, "temperature is 'hot'"),
        (lambda: chargen.load("noise").generate(length=-1), errors.ConfigError, "length is -1, expected 0 or more"),
        (lambda: chargen.load("noise").generate(top_p=2.0), errors.ConfigError, "top_p is 2.0, expected"),
        (lambda: chargen.load("noise").stream(temperature=-1), errors.ConfigError, "temperature is -1"),
        (lambda: chargen.load("noise").texts(count=0), errors.ConfigError, "count is 0, expected 1 or more"),
        (lambda: chargen.load("noise").next(top=0), errors.ConfigError, "top is 0, expected 1 or more"),
        (lambda: chargen.load("noise").evaluate(" "), errors.CorpusError, "the text holds no text"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(
    call: Callable[[], object],
    kind: type[Exception],
    message: str,
    write_run: WriteRun,
    write_classifier: WriteRun,
    text: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    write_run()
    write_classifier()
    before = sorted(text.parent.rglob("*"))
    with pytest.raises(kind) as raised:
        call()
    assert message in str(raised.value)
    assert sorted(text.parent.rglob("*")) == before
    assert capfd.readouterr() == ("", "")


def test_stdout_is_the_callers(text: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chargen.train(text, **SMALL)
    told = capfd.readouterr()
    assert told.out == ""
    assert "epoch 1/2" in told.err
    run = chargen.train(text, quiet=True, **SMALL)
    chargen.resume(run.path, quiet=True)
    assert capfd.readouterr() == ("", "")


def test_keras_trains_twice_in_one_process(text: Path) -> None:
    one = chargen.train(text, cell="simplernn", quiet=True, **without("backend"))
    two = chargen.train(text, cell="gru", layers=2, quiet=True, **without("backend", "hidden_size") | {"hidden_size": 5})
    assert [run.model.describe()["cell"] for run in (one, two)] == ["simplernn", "gru"]
    assert one != two
    assert one == chargen.Run(str(one.path))
    assert one.history[-1]["cross_entropy"] != two.history[-1]["cross_entropy"]
    assert two.settings["network"]["hidden_size"] == 5
    assert two.evaluate()["stream"]["cross_entropy"] == pytest.approx(
        two.evaluate("the cat sat")["stream"]["cross_entropy"], abs=1
    )


@pytest.fixture
def signal_in_the_second_epoch(monkeypatch: pytest.MonkeyPatch) -> Callable[[signal.Signals], None]:
    """Have the NumPy trainer's process get a signal once, in its second epoch."""

    def prepare(number: signal.Signals) -> None:
        usual, numbers = NumpyTrainer.train, [number]

        def interrupted(self: NumpyTrainer, epoch: int, first: int) -> int:
            if epoch == 1 and numbers:
                os.kill(os.getpid(), numbers.pop())
            return usual(self, epoch, first)

        monkeypatch.setattr(NumpyTrainer, "train", interrupted)

    return prepare


def test_ctrl_c_saves_and_training_goes_on_from_there(
    text: Path, signal_in_the_second_epoch: Callable[[signal.Signals], None]
) -> None:
    whole = chargen.train(text, runs_dir="whole", quiet=True, **SMALL)
    signal_in_the_second_epoch(signal.SIGINT)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        chargen.train(text, quiet=True, **SMALL)
    assert signal.getsignal(signal.SIGINT) is handler
    (path,) = Path("runs").iterdir()
    assert interrupted.value.__notes__ == [f"everything is saved; continue with chargen.resume({str(path)!r})"]
    (row,) = chargen.Run(path).history
    assert row["loss"] == row["cross_entropy"]
    assert row["val_loss"] == row["validation_cross_entropy"]
    run = chargen.resume(path, quiet=True)
    assert run.path == path
    assert (path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


def test_sigterm_is_handed_on_to_the_callers_handler(
    text: Path, signal_in_the_second_epoch: Callable[[signal.Signals], None]
) -> None:
    signal_in_the_second_epoch(signal.SIGTERM)
    taken: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: taken.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):
            chargen.train(text, quiet=True, **SMALL)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert taken == [signal.SIGTERM]


def test_training_works_in_another_thread(text: Path) -> None:
    runs: list[chargen.Run] = []
    thread = threading.Thread(target=lambda: runs.append(chargen.train(text, quiet=True, **SMALL)))
    thread.start()
    thread.join()
    assert runs[0].history


def test_the_folder_of_runs_is_the_environments(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEN_RUNS", "elsewhere")
    run = chargen.train(text, quiet=True, **SMALL)
    assert run.path.parent == Path("elsewhere")
    assert chargen.load(run.name).generate(length=3)


def test_what_is_offered_is_listed() -> None:
    assert set(chargen.__all__) <= set(dir(chargen))
    assert chargen.errors is errors
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = chargen.lode
