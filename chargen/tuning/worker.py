"""Run one trial in its own process, so that its memory is freed and a crash does not end the search.

It reads its task as a line of JSON from stdin and answers with one on stdout. When stdin closes, the parent process has ended,
and the trial is requeued.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from chargen.errors import ChargenError, ConfigError, CorpusError, TrainingError
from chargen.runs.config import write_config
from chargen.settings.layers import former_values, read_run_config, resolve
from chargen.terminal import echo
from chargen.training.planning.text_plan import make_plan
from chargen.training.recording.results import TextEpoch, TrainingOutcome
from chargen.training.resuming import find_checkpoint
from chargen.training.session import run_session
from chargen.training.text_task import TextTask
from chargen.tuning.space import parse_space, sections, short_name, shown
from chargen.tuning.study import Study, Trial
from chargen.tuning.task import TuningTask


def main() -> None:
    """Work on one trial as described on stdin."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        answer = _answer(request)
    except (KeyboardInterrupt, SystemExit):  # the trial is requeued
        answer = {"trial": True}
    with suppress(BrokenPipeError):
        echo(json.dumps(answer), raw=True)


def _end_with_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)  # bypasses the buffer, whose lock the interpreter needs at exit
    os.kill(os.getpid(), signal.SIGTERM)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    task = TuningTask.from_json(request["task"])
    try:
        work = _Work(task, Study(Path(request["folder"])), verbosity=request["verbosity"])
        return {"trial": work.take(request["trials"])}
    except ChargenError as error:
        return {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}


class _Work:
    """A trial of a study."""

    def __init__(self, task: TuningTask, study: Study, *, verbosity: int) -> None:
        self._task, self._study, self._verbosity = task, study, verbosity

    def take(self, most: int) -> bool:
        """Take a trial, train it and store the result; return False if the study has `most` trials."""
        space = parse_space(f"{name}={text}" for name, text in self._study.facts["space"].items())
        seed = resolve(*self._task.layers).settings.training.random_seed
        trial = self._study.take(space, most=most, random_seed=seed)
        if trial is not None:
            self._run(trial)
        return trial is not None

    def _run(self, trial: Trial) -> None:
        self._say(
            f"{trial.run.name}: {', '.join(f'{short_name(name)} {shown(value)}' for name, value in trial.values.items())}"
        )
        watch = _Watch(trial)
        try:
            outcome = self._train(trial, watch)
        except (ConfigError, CorpusError, TrainingError) as error:  # for example a loss that is not finite
            self._study.prune(trial, error.message)
            self._say(f"{trial.run.name}: given up, {error.message}")
            return
        except ChargenError:  # for example a full disk, which other settings would not fix
            self._study.requeue(trial, fault=True)
            raise
        except Exception as error:  # for example a GPU with too little memory
            self._study.requeue(trial, fault=True)
            self._say(f"{trial.run.name}: failed, {type(error).__name__}: {error}")
            return
        except BaseException:
            self._study.requeue(trial, fault=False)
            raise
        if outcome.interrupted_by is not None:
            self._study.requeue(trial, fault=False)
        else:
            self._judge(trial, outcome, watch)

    def _train(self, trial: Trial, watch: "_Watch") -> TrainingOutcome[TextEpoch]:
        """Train a trial from its start, or from the last checkpoint of an interrupted one."""
        run, task = trial.run, self._task
        if run.config.is_file():
            settings = resolve(read_run_config(run.config)).settings
            plan = make_plan(settings, task.corpus(settings.corpus))
        else:
            plan = task.plan(sections({**self._fixed(), **trial.values}), verbosity=self._verbosity - 1)
            write_config(run, plan.settings, plan.reasons)
        checkpoint, notes = find_checkpoint(run, plan)
        for note in notes:
            self._say(note)
        watch.epochs = plan.settings.training.epochs
        outcome = run_session(TextTask(plan, watch), run, checkpoint=checkpoint, verbosity=self._verbosity - 1)
        if watch.worse is None and outcome.interrupted_by is None:  # the process that finished the last epoch did not report it
            watch(outcome.results)
        return outcome

    def _fixed(self) -> dict[str, Any]:
        """Return the settings that are equal in all trials; settings newer than the study have their old defaults."""
        facts = self._study.facts
        return {name: value for name, value in former_values().items() if name not in facts["settings"]} | facts["fixed"]

    def _judge(self, trial: Trial, outcome: TrainingOutcome[TextEpoch], watch: "_Watch") -> None:
        """Store and print the result of a trial that was not interrupted."""
        best = outcome.best
        assert best is not None
        figure = f"{trial.run.name}: {best.bits_per_character:.3f} bits/char"
        if watch.worse:
            self._study.prune(trial, f"worse than half of the others after epoch {len(outcome.results)}")
            self._say(f"{figure} after epoch {len(outcome.results)} of {watch.epochs}, pruned")
        else:
            first = self._study.finish(trial, best.bits_per_character)
            self._say(f"{figure}, the best so far" if first else figure)

    def _say(self, line: str) -> None:
        if self._verbosity:
            echo(line, err=True)


class _Watch:
    """Stops a training that is worse than half of the others, except after its last epoch, when nothing is saved.

    worse: the last decision; None before the first.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.epochs = 0
        self.worse: bool | None = None

    def __call__(self, results: Sequence[TextEpoch]) -> bool:
        worse = self._trial.report([result.bits_per_character for result in results])
        self.worse = worse and len(results) < self.epochs
        return self.worse


if __name__ == "__main__":
    main()
