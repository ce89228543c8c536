"""Keras's callbacks run in chargen's own loop."""

import csv
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import chargen
from chargen.errors import ConfigError, TrainingError
from chargen.runs.checkpoints import read_newest
from chargen.runs.directory import RunDirectory
from chargen.training.devices.backend import load_backend
from chargen.training.numpy_trainer import NumpyTrainer

load_backend()

import keras  # noqa: E402

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 10
SMALL: Any = {
    **{"config": "plain", "hidden_size": 6, "embedding": 4, "batch_size": 8, "context_length": 12, "sample_every": 0},
    **{"backend": "numpy", "quiet": True, "patience": 0},
}


@pytest.fixture(autouse=True)
def text(in_folder: Path) -> Path:
    path = in_folder / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


class Noting(keras.callbacks.Callback):
    """Notes which methods are called, with what."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.calls.append(("train begins", self.params["epochs"]))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(("epoch begins", epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(("epoch ends", epoch, logs))

    def on_train_end(self, logs: Any = None) -> None:
        self.calls.append(("train ends",))


def test_callbacks_are_called_with_keras_names() -> None:
    noting = Noting()
    run = chargen.train("text.txt", epochs=2, callbacks=[noting], **SMALL)
    assert [call[:2] for call in noting.calls] == [
        ("train begins", 2),
        ("epoch begins", 0),
        ("epoch ends", 0),
        ("epoch begins", 1),
        ("epoch ends", 1),
        ("train ends",),
    ]
    logs = noting.calls[2][2]
    assert set(logs) == {"loss", "val_loss", "bits_per_character", "learning_rate"}
    assert logs["val_loss"] == pytest.approx(run.history[0]["val_loss"], abs=1e-6)


def test_training_is_the_same_with_callbacks_that_only_look() -> None:
    runs = [
        chargen.train("text.txt", epochs=2, callbacks=callbacks, runs_dir=name, **SMALL)
        for name, callbacks in (("without", ()), ("with", [Noting()]))
    ]
    models = [(run.path / "model.safetensors").read_bytes() for run in runs]
    assert models[0] == models[1]


class Batches(keras.callbacks.Callback):
    """Notes the methods for batches and for held-out text."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("begins", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("ends", batch, logs))

    def on_test_begin(self, logs: Any = None) -> None:
        self.calls.append(("test begins",))

    def on_test_end(self, logs: Any = None) -> None:
        self.calls.append(("test ends", logs))


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_batch_methods_are_called_once_for_each_execution(backend: str) -> None:
    batches = Batches()
    run = chargen.train("text.txt", epochs=1, callbacks=[batches], **SMALL | {"backend": backend})
    begins, ends = ([call[1] for call in batches.calls if call[0] == name] for name in ("begins", "ends"))
    assert begins[0] == 0
    assert begins[1:] == [last + 1 for last in ends[:-1]]
    assert ends[-1] == batches.params["steps"] - 1
    losses = [call[2]["loss"] for call in batches.calls if call[0] == "ends"]
    assert losses[-1] == pytest.approx(run.history[0]["loss"], abs=1e-6)
    assert batches.calls[-2] == ("test begins",)
    assert batches.calls[-1] == ("test ends", {"loss": pytest.approx(run.history[0]["val_loss"], abs=1e-6)})


def test_the_older_names_of_batch_methods_are_called() -> None:
    class Old(keras.callbacks.Callback):
        seen = 0

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen += 1

    old, some = Old(), keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(batch))
    seen: list[int] = []
    chargen.train("text.txt", epochs=1, callbacks=[old, some], **SMALL)
    assert old.seen == len(seen) > 0


def test_figures_of_batches_are_read_only_for_a_callback_that_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    figures = NumpyTrainer.figures
    monkeypatch.setattr(NumpyTrainer, "figures", lambda self: read.append(1) or figures(self))
    counts = []
    for callbacks in ([Noting()], [Batches()]):
        chargen.train("text.txt", epochs=1, callbacks=callbacks, **SMALL)
        counts.append(len(read))
        read.clear()
    assert counts[0] < counts[1]


def test_a_callback_ends_training_within_an_epoch(text: Path) -> None:
    class Stopping(Batches):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            super().on_train_batch_end(batch, logs)
            self.model.stop_training = True

    stopping = Stopping()
    run = chargen.train(text, epochs=5, callbacks=[stopping], **SMALL)
    assert [call[0] for call in stopping.calls] == ["begins", "ends", "test begins", "test ends"]
    assert len(run.history) == 1
    assert chargen.resume(run.path, quiet=True).history == run.history


def test_early_stopping_ends_training(text: Path) -> None:
    stopping = keras.callbacks.EarlyStopping(monitor="loss", min_delta=100, patience=1, restore_best_weights=True)
    run = chargen.train(text, epochs=9, callbacks=[stopping], **SMALL)
    assert len(run.history) == 2
    assert chargen.resume(run.path, quiet=True).history == run.history  # it is finished


def test_keras_writes_its_own_table() -> None:
    seen: list[float] = []
    callbacks = [
        keras.callbacks.CSVLogger("log.csv"),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"])),
    ]
    chargen.train("text.txt", epochs=2, callbacks=callbacks, **SMALL)
    rows = list(csv.DictReader(Path("log.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert [float(row["loss"]) for row in rows] == seen


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_the_learning_rate_can_be_lowered(backend: str) -> None:
    lowering = keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=100, factor=0.5, patience=1)
    options = SMALL | {"backend": backend, "learning_rate": 0.01}
    run = chargen.train("text.txt", epochs=3, callbacks=[lowering], **options)
    assert [row["learning_rate"] for row in run.history] == pytest.approx([0.01, 0.01, 0.005])


def test_tensorboard_gets_scalars() -> None:
    chargen.train("text.txt", epochs=1, callbacks=[keras.callbacks.TensorBoard("board")], **SMALL)
    names = sorted(path.parent.name for path in Path("board").rglob("events*"))
    assert names == ["train", "validation"]


def test_wandb_s_own_callback_logs_the_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(wandb, "run", SimpleNamespace(_telemetry_obj=None, _label=lambda **_: None))
    monkeypatch.setattr(wandb, "define_metric", lambda *arguments, **options: None)
    monkeypatch.setattr(wandb, "log", logged.append)
    monkeypatch.setattr(sys.modules[WandbMetricsLogger.__module__].telemetry, "context", lambda run: _Context())
    chargen.train("text.txt", epochs=2, callbacks=[WandbMetricsLogger()], **SMALL)
    assert [row["epoch/epoch"] for row in logged] == [0, 1]
    assert logged[0]["epoch/learning_rate"] == pytest.approx(0.003)
    assert "epoch/val_loss" in logged[0]


class _Context:
    def __enter__(self) -> SimpleNamespace:
        return SimpleNamespace(feature=SimpleNamespace())

    def __exit__(self, *_: object) -> None:
        pass


def test_weights_can_be_read_and_set() -> None:
    def zero(epoch: int, logs: Any) -> None:
        before = model.model.get_weights()
        model.model.set_weights([np.zeros_like(one) for one in before])

    model = keras.callbacks.LambdaCallback(on_epoch_begin=zero)
    run = chargen.train("text.txt", epochs=1, callbacks=[model], **SMALL)
    assert run.history[0]["loss"] == pytest.approx(np.log(len(run.model.vocabulary)), rel=0.2)


class Failing(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise ValueError("no such\nthing")


def test_a_callback_that_raises_is_named_and_everything_is_saved() -> None:
    with pytest.raises(
        TrainingError, match="the callback Failing failed: ValueError: no such thing; everything before is saved"
    ):
        chargen.train("text.txt", epochs=3, callbacks=[Failing()], **SMALL)
    (path,) = Path("runs").iterdir()
    assert len(chargen.Run(path).history) == 2
    run = chargen.resume(path, quiet=True)
    assert len(run.history) == 3
    whole = chargen.train("text.txt", epochs=3, runs_dir="whole", **SMALL)
    assert (run.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end"])
def test_a_batch_method_that_raises_keeps_the_steps_before(name: str) -> None:
    def fail(batch: Any = None, logs: Any = None) -> None:
        if not isinstance(batch, int) or batch > 1:
            raise ValueError(name)

    failing = keras.callbacks.LambdaCallback(**{name: fail})
    with pytest.raises(TrainingError, match=f"the callback LambdaCallback failed: ValueError: {name}; everything before"):
        chargen.train("text.txt", epochs=2, callbacks=[failing], **SMALL | {"batch_size": 1})
    (path,) = Path("runs").iterdir()
    checkpoint, _ = read_newest(RunDirectory(path).checkpoints)
    assert checkpoint is not None
    assert checkpoint.position.step >= 2
    run = chargen.resume(path, quiet=True)
    whole = chargen.train("text.txt", epochs=2, runs_dir="whole", **SMALL | {"batch_size": 1})
    assert (run.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


def test_the_model_of_a_callback_says_what_it_has() -> None:
    saving = keras.callbacks.ModelCheckpoint("best.keras", monitor="loss")
    with pytest.raises(TrainingError, match=r"ModelCheckpoint failed: AttributeError: .* get_weights, .* but no 'save'"):
        chargen.train("text.txt", epochs=1, callbacks=[saving], **SMALL)


def test_what_cannot_be_is_refused() -> None:
    for wrong in (7, keras.callbacks.EarlyStopping, "EarlyStopping"):
        with pytest.raises(ConfigError, match="expected objects of keras"):
            chargen.train("text.txt", epochs=1, callbacks=[wrong], **SMALL)
    lowering = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    with pytest.raises(TrainingError, match="LearningRateScheduler failed: the learning rate follows schedule='cosine'"):
        chargen.train("text.txt", epochs=1, callbacks=[lowering], **SMALL, schedule="cosine")


def test_files_may_be_given_as_a_list(text: Path, in_folder: Path) -> None:
    other = in_folder / "other.txt"
    other.write_text("a bird sat on the wall.\n" * 10, encoding="utf-8")
    one = chargen.train([text, "other.txt"], epochs=1, **SMALL)
    two = chargen.train(text, other, epochs=1, runs_dir="others", **SMALL)
    assert one.history == two.history
