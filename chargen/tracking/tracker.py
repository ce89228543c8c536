"""Log a run to external services. If a tracker fails, training continues unchanged."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, final

from chargen.terminal import echo

SampleRow = tuple[int, str, float, str]  # epoch, prompt, diversity, text


class Tracker(Protocol):
    """The events that training reports to a tracker."""

    def start(self, name: str, folder: Path, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Begin a run; `folder` is its run directory, `facts` are its text and the software and hardware used."""

    def log(self, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch, including "epoch"."""

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        """Log the sample texts of one epoch."""

    def finish(self, *, failed: bool, models: Mapping[str, Path]) -> None:
        """End the run; `models` are its model files, by "best" and "latest"."""


@final
class Trackers:
    """Several trackers by name, used as one.

    The first failure of a tracker prints one warning, and the tracker is not called again.
    """

    def __init__(self, trackers: Mapping[str, Tracker], *, warn: Callable[[str], None] | None = None) -> None:
        self._trackers = dict(trackers)
        self._warn = warn or (lambda line: echo(line, err=True))

    def start(self, name: str, folder: Path, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Begin a run in every tracker."""
        self._for_each(lambda tracker: tracker.start(name, folder, settings, facts))

    def log(self, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch to every tracker."""
        self._for_each(lambda tracker: tracker.log(metrics))

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        """Log the sample texts of one epoch to every tracker."""
        self._for_each(lambda tracker: tracker.log_samples(rows))

    def finish(self, *, failed: bool, models: Mapping[str, Path]) -> None:
        """End the run in every tracker."""
        self._for_each(lambda tracker: tracker.finish(failed=failed, models=models))

    def _for_each(self, action: Callable[[Tracker], object]) -> None:
        for name, tracker in tuple(self._trackers.items()):
            try:
                action(tracker)
            except Exception as error:  # any failure: training continues
                del self._trackers[name]
                reason = str(error).strip().splitlines()
                self._warn(f"{name} is off for the rest of this run: {reason[0] if reason else type(error).__name__}")
