"""Where a run is logged besides its own files. A tracker may fail in any way; training does not notice."""

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from typing import Any, Protocol, final

import tomli_w

from chargen.terminal import echo

SampleRow = tuple[int, str, float, str]  # epoch, prompt, diversity, text


class Tracker(Protocol):
    """What training tells a tracker."""

    def start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        """Begin a run; `folder` is its run directory."""

    def log(self, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one epoch, "epoch" among them."""

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        """Take the sample texts of one epoch."""

    def finish(self, *, failed: bool) -> None:
        """End the run."""


@final
class Trackers:
    """Trackers by name, as one; the first failure of each is one warning, and it is told nothing after it."""

    def __init__(self, trackers: Mapping[str, Tracker], *, warn: Callable[[str], None] | None = None) -> None:
        self._trackers = dict(trackers)
        self._warn = warn or (lambda line: echo(line, err=True))

    def start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        """Begin a run everywhere."""
        self._tell(lambda tracker: tracker.start(name, folder, settings))

    def log(self, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch everywhere."""
        self._tell(lambda tracker: tracker.log(metrics))

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        """Log the sample texts of one epoch everywhere."""
        self._tell(lambda tracker: tracker.log_samples(rows))

    def finish(self, *, failed: bool) -> None:
        """End the run everywhere."""
        self._tell(lambda tracker: tracker.finish(failed=failed))

    def _tell(self, action: Callable[[Tracker], object]) -> None:
        for name, tracker in tuple(self._trackers.items()):
            try:
                action(tracker)
            except Exception as error:  # whatever it was, training goes on
                del self._trackers[name]
                reason = str(error).strip().splitlines()
                self._warn(f"{name} is off for the rest of this run: {reason[0] if reason else type(error).__name__}")


@final
class WandbTracker:
    """Log to Weights & Biases."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._run: Any = None
        self._rows: list[SampleRow] = []

    def start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        import wandb  # loaded on use: it takes a second

        quiet = wandb.Settings(silent=True, console="off")
        self._run = wandb.init(project=self._project, name=name, dir=str(folder), config=dict(settings), settings=quiet)

    def log(self, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics))

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        import wandb

        self._rows.extend(rows)
        table = wandb.Table(columns=["epoch", "prompt", "diversity", "text"], data=[list(row) for row in self._rows])
        self._run.log({"samples": table, "epoch": self._rows[-1][0]})

    def finish(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


@final
class TensorBoardTracker:
    """Write an event file into <run>/tensorboard; `tensorboard --logdir runs` shows it.

    TensorBoard's own EventFileWriter would load TensorFlow and start a thread; an epoch's few records need neither.
    """

    def __init__(self) -> None:
        self._path = Path()

    def start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        if find_spec("tensorboard") is None:
            raise ModuleNotFoundError("the package is not there; pip install tensorboard")
        self._path = folder / "tensorboard" / f"events.out.tfevents.{time.time_ns()}"
        self._path.parent.mkdir(exist_ok=True)
        self._write({"file_version": "brain.Event:2"}, _text_event("settings", tomli_w.dumps(settings), step=0))

    def log(self, metrics: Mapping[str, float]) -> None:
        values = [{"tag": tag, "simple_value": value} for tag, value in metrics.items() if tag != "epoch"]
        self._write({"step": int(metrics["epoch"]), "summary": {"value": values}})

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        texts = [(f"samples/diversity {diversity:g}", text, epoch) for epoch, _, diversity, text in rows]
        self._write(*(_text_event(tag, text, step=epoch) for tag, text, epoch in texts))

    def finish(self, *, failed: bool) -> None:
        """Do nothing: every epoch's records are written whole."""

    def _write(self, *events: Mapping[str, Any]) -> None:
        """Append events, given by the fields of TensorBoard's Event message, to the file."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        with self._path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(Event(wall_time=time.time(), **event).SerializeToString())


def _text_event(tag: str, text: str, *, step: int) -> dict[str, Any]:
    """Return the event of a text, which TensorBoard shows as Markdown: indented, so that it stands as it is."""
    tensor = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": 1}]}, "string_val": [indent(text, "    ").encode()]}
    value = {"tag": tag, "metadata": {"plugin_data": {"plugin_name": "text"}}, "tensor": tensor}
    return {"step": step, "summary": {"value": [value]}}
