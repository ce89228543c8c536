import csv
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tensorboard.compat.proto.event_pb2 import Event

from chargen.tracking.tensorboard_tracker import TensorBoardTracker
from chargen.tracking.tracker import SampleRow, Trackers

SETTINGS = {"network": {"cell": "lstm"}}
FACTS = {"corpus_sha256": "00", "versions": {"python": "3.11"}}
ROWS = [(1, "Ha", 0.5, "Harold"), (1, "Ha", 1.2, "Haxq")]


class Recording:
    """A tracker that records all calls; `failing` names the calls that raise."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.calls: list[tuple[Any, ...]] = []

    def start(self, *arguments: Any) -> None:
        self._take("start", *arguments)

    def log(self, metrics: Mapping[str, float]) -> None:
        self._take("log", metrics)

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        self._take("log_samples", rows)

    def finish(self, *, failed: bool, models: Mapping[str, Path]) -> None:
        self._take("finish", failed, models)

    def _take(self, call: str, *arguments: Any) -> None:
        if call in self.failing:
            raise RuntimeError(f"{call} failed\nwith details")
        self.calls.append((call, *arguments))


def tell_of_a_training(trackers: Trackers, folder: Path) -> None:
    trackers.start("name", folder, SETTINGS, FACTS)
    trackers.log({"epoch": 1, "cross_entropy": 2.5})
    trackers.log_samples(ROWS[:1])
    trackers.log_samples(ROWS[1:])
    trackers.finish(failed=False, models={"best": folder / "model.safetensors"})


def events(folder: Path) -> Iterator[Event]:
    """Read an event file in TensorBoard's format: length, its checksum, the event, its checksum."""
    (path,) = folder.glob("tensorboard/*tfevents*")
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def values(folder: Path) -> dict[tuple[str, int], Any]:
    """Return the value of each (tag, step) in an event file: a number, or a text without its indentation."""
    found = {}
    for event in events(folder):
        for value in event.summary.value:
            text = b"".join(value.tensor.string_val).decode()
            assert all(line.startswith("    ") for line in text.splitlines() if line)
            found[value.tag, event.step] = dedent(text) if value.HasField("tensor") else value.simple_value
    return found


def test_every_tracker_is_told_everything(tmp_path: Path) -> None:
    one, other = Recording(), Recording()
    tell_of_a_training(Trackers({"one": one, "other": other}), tmp_path)
    assert one.calls == other.calls
    assert one.calls == [
        ("start", "name", tmp_path, SETTINGS, FACTS),
        ("log", {"epoch": 1, "cross_entropy": 2.5}),
        ("log_samples", ROWS[:1]),
        ("log_samples", ROWS[1:]),
        ("finish", False, {"best": tmp_path / "model.safetensors"}),
    ]


@pytest.mark.parametrize("call", ["start", "log", "log_samples", "finish"])
def test_a_failure_is_one_warning_and_leaves_the_others_alone(call: str, tmp_path: Path) -> None:
    warnings: list[str] = []
    bad, good = Recording(call), Recording()
    tell_of_a_training(Trackers({"bad": bad, "good": good}, warn=warnings.append), tmp_path)
    assert warnings == [f"bad is off for the rest of this run: {call} failed"]
    assert len(good.calls) == 5
    assert call not in [name for name, *_ in bad.calls]


def test_tensorboard_gets_settings_metrics_and_sample_texts(tmp_path: Path) -> None:
    warnings: list[str] = []
    tell_of_a_training(Trackers({"TensorBoard": TensorBoardTracker()}, warn=warnings.append), tmp_path)
    assert warnings == []
    assert next(events(tmp_path)).file_version == "brain.Event:2"
    found = values(tmp_path)
    assert tomllib.loads(found.pop(("settings", 0))) == SETTINGS
    assert tomllib.loads(found.pop(("facts", 0))) == FACTS
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


def test_an_error_without_a_message_is_told_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Silent(Exception):  # noqa: N818
        """Says nothing."""

    class Failing(Recording):
        def _take(self, call: str, *arguments: Any) -> None:
            raise Silent

    tell_of_a_training(Trackers({"W&B": Failing()}), tmp_path)
    assert capsys.readouterr().err == "W&B is off for the rest of this run: Silent\n"


def test_no_tracker_at_all_is_fine(tmp_path: Path) -> None:
    tell_of_a_training(Trackers({}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_tracked_runs_change_no_byte(tmp_path: Path) -> None:
    corpus = tmp_path / "names.txt"
    corpus.write_text("Ada\nAlan\nGrace\nLinus\n" * 8, encoding="utf-8")
    models = []
    for extra in ([], ["--wandb", "--wandb-mode", "offline", "--tensorboard"]):
        command = [sys.executable, "-m", "chargen", "train", str(corpus), "--hidden-size", "5", "--epochs", "2", *extra]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "is off for" not in done.stderr
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
