import csv
import os
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.compat.proto.event_pb2 import Event

from chargen.tracking import TensorBoardTracker, Trackers, WandbTracker

SETTINGS = {"network": {"cell": "lstm"}}
ROWS = [(1, "Ha", 0.5, "Harold"), (1, "Ha", 1.2, "Haxq")]


class FakeWandb(SimpleNamespace):
    """Records what a run is told; `failing` names the calls that raise."""

    def __init__(self, *failing: str) -> None:
        super().__init__(logged=[], started={}, finished=None)
        self.failing = failing

    def Settings(self, **options: Any) -> dict[str, Any]:  # noqa: N802
        return options

    def Table(self, columns: list[str], data: list[list[Any]]) -> list[dict[str, Any]]:  # noqa: N802
        return [dict(zip(columns, row, strict=True)) for row in data]

    def init(self, **options: Any) -> "FakeWandb":
        self._fail("init")
        self.started = options
        return self

    def log(self, metrics: dict[str, Any]) -> None:
        self._fail("log")
        self.logged.append(metrics)

    def finish(self, exit_code: int) -> None:
        self._fail("finish")
        self.finished = exit_code

    def _fail(self, call: str) -> None:
        if call in self.failing:
            raise RuntimeError(f"{call} failed\nwith details")


def tracked(fake: FakeWandb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.setitem(sys.modules, "wandb", fake)
    warnings: list[str] = []
    tell_of_a_training(Trackers({"W&B": WandbTracker("project")}, warn=warnings.append), tmp_path)
    return warnings


def tell_of_a_training(trackers: Trackers, folder: Path) -> None:
    trackers.start("name", folder, SETTINGS)
    trackers.log({"epoch": 1, "cross_entropy": 2.5})
    trackers.log_samples(ROWS[:1])
    trackers.log_samples(ROWS[1:])
    trackers.finish(failed=False)


def events(folder: Path) -> Iterator[Event]:
    """Read an event file as TensorBoard's format has it: length, its checksum, the event, its checksum."""
    (path,) = folder.glob("tensorboard/*tfevents*")
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def values(folder: Path) -> dict[tuple[str, int], Any]:
    """Return what an event file says of each (tag, step): a number, or a text without its indentation."""
    found = {}
    for event in events(folder):
        for value in event.summary.value:
            text = b"".join(value.tensor.string_val).decode()
            assert all(line.startswith("    ") for line in text.splitlines() if line)
            found[value.tag, event.step] = dedent(text) if value.HasField("tensor") else value.simple_value
    return found


def test_settings_metrics_and_a_growing_table_of_samples_are_logged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeWandb()
    assert tracked(fake, monkeypatch, tmp_path) == []
    assert fake.started["config"] == SETTINGS
    assert (fake.started["project"], fake.started["name"], fake.started["dir"]) == ("project", "name", str(tmp_path))
    metrics, first, second = fake.logged
    assert metrics == {"epoch": 1, "cross_entropy": 2.5}
    assert first["samples"] == [{"epoch": 1, "prompt": "Ha", "diversity": 0.5, "text": "Harold"}]
    assert [row["text"] for row in second["samples"]] == ["Harold", "Haxq"]
    assert fake.finished == 0


@pytest.mark.parametrize("call", ["init", "log", "finish"])
def test_a_failure_is_one_warning(call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    warnings = tracked(FakeWandb(call), monkeypatch, tmp_path)
    assert warnings == [f"W&B is off for the rest of this run: {call} failed"]


def test_tensorboard_gets_settings_metrics_and_sample_texts(tmp_path: Path) -> None:
    warnings: list[str] = []
    tell_of_a_training(Trackers({"TensorBoard": TensorBoardTracker()}, warn=warnings.append), tmp_path)
    assert warnings == []
    assert next(events(tmp_path)).file_version == "brain.Event:2"
    found = values(tmp_path)
    assert tomllib.loads(found.pop(("settings", 0))) == SETTINGS
    assert found == {
        ("cross_entropy", 1): 2.5,
        ("samples/diversity 0.5", 1): "Harold",
        ("samples/diversity 1.2", 1): "Haxq",
    }


def test_tensorboard_reads_the_file(tmp_path: Path) -> None:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    tell_of_a_training(Trackers({"TensorBoard": TensorBoardTracker()}), tmp_path)
    (path,) = tmp_path.glob("tensorboard/*tfevents*")
    reader = PyRecordReader_New(str(path))  # checks every checksum
    for event in events(tmp_path):
        reader.GetNext()
        assert Event.FromString(reader.record()) == event


def test_without_tensorboard_a_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    warnings: list[str] = []
    tell_of_a_training(Trackers({"TensorBoard": TensorBoardTracker()}, warn=warnings.append), tmp_path)
    (line,) = warnings
    assert line.startswith("TensorBoard is off")
    assert "pip install tensorboard" in line
    assert not list(tmp_path.iterdir())


def test_an_event_file_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way", encoding="utf-8")
    warnings: list[str] = []
    tell_of_a_training(Trackers({"TensorBoard": TensorBoardTracker()}, warn=warnings.append), tmp_path)
    assert len(warnings) == 1


def test_a_tracker_that_fails_leaves_the_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb("log"))
    warnings: list[str] = []
    both = {"W&B": WandbTracker("project"), "TensorBoard": TensorBoardTracker()}
    tell_of_a_training(Trackers(both, warn=warnings.append), tmp_path)
    assert warnings == ["W&B is off for the rest of this run: log failed"]
    assert ("samples/diversity 1.2", 1) in values(tmp_path)


def test_an_error_without_a_message_is_told_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Silent(WandbTracker):  # type: ignore[misc]
        def start(self, *arguments: object) -> None:
            raise KeyError

    tell_of_a_training(Trackers({"W&B": Silent("project")}), tmp_path)
    assert capsys.readouterr().err == "W&B is off for the rest of this run: KeyError\n"


def test_no_tracker_at_all_is_fine(tmp_path: Path) -> None:
    tell_of_a_training(Trackers({}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_tracked_runs_change_no_byte(tmp_path: Path) -> None:
    corpus = tmp_path / "names.txt"
    corpus.write_text("Ada\nAlan\nGrace\nLinus\n" * 8, encoding="utf-8")
    environment = os.environ | {"WANDB_MODE": "offline"}
    models = []
    for extra in ([], ["--wandb", "--tensorboard"]):
        command = [sys.executable, "-m", "chargen", "train", str(corpus), "--hidden-size", "5", "--epochs", "2", *extra]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=True)
        assert "is off" not in done.stderr
        models.append(tmp_path / done.stdout.strip() / "model.safetensors")
    without, tracked = models
    assert without.read_bytes() == tracked.read_bytes()
    assert list(tracked.parent.glob("wandb/offline-run-*/run-*.wandb"))
    assert not (without.parent / "wandb").exists()
    assert not (without.parent / "tensorboard").exists()
    found = values(tracked.parent)
    with (tracked.parent / "config.toml").open("rb") as file:
        assert tomllib.loads(found["settings", 0]) == tomllib.load(file)
    rows = csv.DictReader((tracked.parent / "metrics.csv").read_text(encoding="utf-8").splitlines())
    for epoch, row in enumerate(rows, start=1):
        assert found["bits_per_character", epoch] == pytest.approx(float(row["bits_per_character"]))
        assert f"{found['samples/diversity 0.5', epoch]}\n" in (tracked.parent / "samples.txt").read_text(encoding="utf-8")
