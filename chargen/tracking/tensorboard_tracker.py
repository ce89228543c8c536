"""Log runs to TensorBoard."""

import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from typing import Any, final

import tomli_w

from chargen.tracking.tracker import SampleRow


@final
class TensorBoardTracker:
    """Write an event file into <run>/tensorboard; `tensorboard --logdir runs` shows it.

    TensorBoard's own EventFileWriter would load TensorFlow and start a thread; the few records of an epoch need neither.
    """

    def __init__(self) -> None:
        self._path = Path()

    def start(self, name: str, folder: Path, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        if find_spec("tensorboard") is None:
            raise ModuleNotFoundError("the package is not installed; pip install tensorboard")
        self._path = folder / "tensorboard" / f"events.out.tfevents.{time.time_ns()}"
        self._path.parent.mkdir(exist_ok=True)
        texts = {"settings": settings, "facts": facts}
        events = [_text_event(tag, tomli_w.dumps(values), step=0) for tag, values in texts.items()]
        self._write({"file_version": "brain.Event:2"}, *events)

    def log(self, metrics: Mapping[str, float]) -> None:
        values = [{"tag": tag, "simple_value": value} for tag, value in metrics.items() if tag != "epoch"]
        self._write({"step": int(metrics["epoch"]), "summary": {"value": values}})

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        texts = [(f"samples/diversity {diversity:g}", text, epoch) for epoch, _, diversity, text in rows]
        self._write(*(_text_event(tag, text, step=epoch) for tag, text, epoch in texts))

    def finish(self, *, failed: bool, models: Mapping[str, Path]) -> None:
        """Do nothing: the records of every epoch are already written."""

    def _write(self, *events: Mapping[str, Any]) -> None:
        """Append events, given by the fields of TensorBoard's Event message, to the file."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        with self._path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(Event(wall_time=time.time(), **event).SerializeToString())


def _text_event(tag: str, text: str, *, step: int) -> dict[str, Any]:
    """Return the event of a text; it is indented because TensorBoard shows it as Markdown."""
    tensor = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": 1}]}, "string_val": [indent(text, "    ").encode()]}
    value = {"tag": tag, "metadata": {"plugin_data": {"plugin_name": "text"}}, "tensor": tensor}
    return {"step": step, "summary": {"value": [value]}}
