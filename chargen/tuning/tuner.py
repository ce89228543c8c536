"""Run the search: trial after trial, each in its own process."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import chargen
from chargen.errors import ChargenError, TrainingError
from chargen.terminal import echo
from chargen.training.recording.results import EXIT_SIGNAL
from chargen.tuning.space import Values, short_name
from chargen.tuning.study import JOURNAL, Study, TrialResult
from chargen.tuning.task import TuningTask, check_same

MAX_DEATHS = 10  # crashes in a row that cannot be the fault of one trial


@dataclass(frozen=True, kw_only=True)
class TuningOutcome:
    """The results of a search so far, of all processes together, and the signal that stopped this process, if any."""

    study: Study
    results: Sequence[TrialResult]
    interrupted_by: int | None

    @property
    def best(self) -> TrialResult | None:
        """The best finished trial."""
        return next((one for one in self.results if one.state == "finished"), None)

    @property
    def command(self) -> str:
        """The command that trains the best trial again."""
        return shlex.join(["chargen", "train", "--config", str(self.study.best_config)])

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, 1 if all trials were given up."""
        if self.interrupted_by:
            return EXIT_SIGNAL + self.interrupted_by
        return int(all(one.state == "pruned" for one in self.results))

    def summary(self) -> dict[str, Any]:
        """Return the values that `chargen tune --json` prints."""
        return {
            "study": str(self.study.folder),
            "best": self.best and _row(self.best),
            "command": self.command if self.best else None,
            "interrupted": self.interrupted_by is not None,
            "trials": [_row(one) for one in self.results],
        }


def _row(result: TrialResult) -> dict[str, Any]:
    return {
        "trial": result.run.name,
        "state": result.state,
        "bits_per_character": result.bits_per_character,
        "epochs": result.epochs,
        "run": str(result.run.path),
        "settings": dict(result.values),
        "reason": result.reason,
    }


def tune(task: TuningTask, folder: Path, *, trials: int, verbosity: int = 1) -> TuningOutcome:
    """Work on the study in a folder until it has `trials` trials, including those of other processes, or a signal comes.

    Raises ConfigError for a study that was started with other settings, and the errors of a training that are not caused by its
    settings; the current trial is then continued at the next start.
    """
    begun = None if (folder / JOURNAL).exists() else _new_study(task)  # first, so that an impossible task creates no folder
    study = Study(folder)
    study.begin(lambda: begun or _new_study(task))
    check_same(task.identity(), study.facts, str(folder))
    if verbosity:
        searched = ", ".join(f"{short_name(name)} {text}" for name, text in study.facts["space"].items())
        echo(f"{folder}: searching {searched}", err=True)
    request = {"task": task.to_json(), "folder": str(folder), "trials": trials, "verbosity": verbosity}
    with _Worker(json.dumps(request)).listening() as worker:
        while worker.run_trial():
            pass
    study.requeue_lost()
    return TuningOutcome(study=study, results=study.results(), interrupted_by=worker.interrupted_by)


class _Worker:
    """Starts processes that work on one trial each.

    Ctrl-C and SIGTERM are forwarded to the current process, which stops cleanly.
    """

    def __init__(self, request: str) -> None:
        self._request = request
        self._process: subprocess.Popen[str] | None = None
        self._num_deaths = 0
        self.interrupted_by: int | None = None

    @contextmanager
    def listening(self) -> Iterator["_Worker"]:
        """Handle signals within the block."""
        previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.interrupted_by = number
        if self._process:
            self._process.send_signal(number)

    def run_trial(self) -> bool:
        """Start a process for a trial; return whether there may be another. Raises the error that it ended with."""
        if self.interrupted_by is not None:
            return False
        answer = self._answer()
        if "error" in answer:
            error = ChargenError(answer["error"], hint=answer["hint"])
            error.exit_code = answer["exit_code"]
            raise error
        return bool(answer["trial"])

    def _answer(self) -> dict[str, Any]:
        command = [sys.executable, "-P", "-m", "chargen.tuning.worker"]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # open as long as this process lives: when it closes, the worker stops
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": _python_path()},
            start_new_session=True,  # Ctrl-C of the terminal comes only from this process
            text=True,
        ) as process:
            self._process = process
            if self.interrupted_by is not None:  # the signal came before its handler was set
                process.send_signal(self.interrupted_by)
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):
                process.stdin.write(self._request + "\n")
                process.stdin.flush()
            lines = process.stdout.read().splitlines()
        self._process = None
        if lines:
            self._num_deaths = 0
            return json.loads(lines[-1])
        return self._died(process.returncode)

    def _died(self, code: int) -> dict[str, Any]:
        """Answer for a process that died without an answer; the next one continues the trial."""
        self._num_deaths += 1
        if self.interrupted_by is None and self._num_deaths > MAX_DEATHS:
            raise TrainingError(f"{self._num_deaths} trials in a row crashed, the last one with exit code {code}")
        return {"trial": self.interrupted_by is None}


def _python_path() -> str:
    """Return the PYTHONPATH of the worker: this package's folder, and the current value."""
    package = Path(chargen.__file__).parent.parent
    return os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])


def _new_study(task: TuningTask) -> tuple[dict[str, Any], Values | None]:
    """Return the facts and the first values of a new study."""
    space, fixed, first = task.prepare()
    return task.identity() | {"space": {name: str(one) for name, one in space.items()}, "fixed": fixed}, first
