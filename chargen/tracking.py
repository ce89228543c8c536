"""Where a run is logged besides its own directory. A tracker may fail in any way; training does not notice."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, final

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
class NoTracker:
    """Log nowhere."""

    def start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log(self, metrics: Mapping[str, float]) -> None:
        """Do nothing."""

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        """Do nothing."""

    def finish(self, *, failed: bool) -> None:
        """Do nothing."""


@final
class WandbTracker:
    """Log to Weights & Biases; the first failure is one line on stderr, and nothing is logged after it."""

    def __init__(self, project: str, *, warn: Callable[[str], None] | None = None) -> None:
        self._project = project
        self._warn = warn or (lambda line: print(line, file=sys.stderr))
        self._run: Any = None
        self._rows: list[SampleRow] = []

    def start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        self._guard(lambda: self._start(name, folder, settings))

    def log(self, metrics: Mapping[str, float]) -> None:
        self._guard(lambda: self._run and self._run.log(dict(metrics)))

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        self._rows.extend(rows)
        self._guard(self._log_table)

    def finish(self, *, failed: bool) -> None:
        self._guard(lambda: self._run and self._run.finish(exit_code=int(failed)))

    def _start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        import wandb  # loaded on use: it takes a second

        quiet = wandb.Settings(silent=True, console="off")
        self._run = wandb.init(project=self._project, name=name, dir=str(folder), config=dict(settings), settings=quiet)

    def _log_table(self) -> None:
        if self._run:
            import wandb

            table = wandb.Table(columns=["epoch", "prompt", "diversity", "text"], data=[list(row) for row in self._rows])
            self._run.log({"samples": table, "epoch": self._rows[-1][0]})

    def _guard(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # whatever it was, training goes on
            self._run = None
            reason = str(error).strip().splitlines()
            self._warn(f"W&B is off for the rest of this run: {reason[0] if reason else type(error).__name__}")
