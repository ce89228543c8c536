"""The search: trial after trial, each an ordinary training in a run directory of its own."""

import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chargen.errors import ConfigError, CorpusError, TrainingError
from chargen.resolution import read_config, resolve
from chargen.terminal import echo
from chargen.training.plan import make_plan
from chargen.training.results import EXIT_SIGNAL, EpochResult, TrainingOutcome
from chargen.training.resuming import find_checkpoint
from chargen.training.session import run_session
from chargen.tuning.space import Values, parse_space, sections
from chargen.tuning.study import JOURNAL, Study, Trial, TrialResult
from chargen.tuning.task import TuningTask, check_same


@dataclass(frozen=True, kw_only=True)
class TuningOutcome:
    """What a search has found so far, by all processes together, and the signal that ended this one's part, if one did."""

    study: Study
    results: Sequence[TrialResult]
    interrupted_by: int | None

    @property
    def best(self) -> TrialResult | None:
        """The best trial of those that came to their end."""
        return next((one for one in self.results if one.state == "finished"), None)

    @property
    def command(self) -> str:
        """What trains the best trial again."""
        return shlex.join(["chargen", "train", "--config", str(self.study.best_config)])

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, 1 where all trials were given up."""
        if self.interrupted_by:
            return EXIT_SIGNAL + self.interrupted_by
        return int(all(one.state == "pruned" for one in self.results))

    def summary(self) -> dict[str, Any]:
        """Return what `chargen tune --json` prints."""
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
    """Work on the study in a folder until it has so many trials, those of other processes among them, or a signal comes.

    Raises ConfigError for a study that was begun with something else, and what a training raises that no settings are to blame
    for; the trial under way is then taken up again at the next start.
    """
    begun = None if (folder / JOURNAL).exists() else _begun(task)  # what cannot be tuned leaves no folder behind
    study = Study(folder)
    study.begin(lambda: begun or _begun(task))
    check_same(task.identity(), study.facts, str(folder))
    search = _Search(task, study, verbosity=verbosity)
    interrupted_by = None
    while interrupted_by is None:
        trial = study.take(search.space, most=trials, random_seed=search.random_seed)
        if trial is None:
            break
        interrupted_by = search.run(trial)
    return TuningOutcome(study=study, results=study.results(), interrupted_by=interrupted_by)


class _Search:
    """What a process needs to work on trials."""

    def __init__(self, task: TuningTask, study: Study, *, verbosity: int) -> None:
        self._task, self._study, self._verbosity = task, study, verbosity
        facts = study.facts
        self.space = parse_space(f"{name}={text}" for name, text in facts["space"].items())
        self._fixed = facts["fixed"]
        self.random_seed = resolve(*task.layers).settings.training.random_seed
        self._say(f"{study.folder}: searching {', '.join(f'{short_name(name)} {one}' for name, one in self.space.items())}")

    def run(self, trial: Trial) -> int | None:
        """Train one trial and tell the study what came of it. Returns the number of the signal that ended it, if one did."""
        self._say(
            f"{trial.run.name}: {', '.join(f'{short_name(name)} {shown(value)}' for name, value in trial.values.items())}"
        )
        watch = _Watch(trial)
        try:
            outcome = self._train(trial, watch)
        except (ConfigError, CorpusError, TrainingError) as error:  # such as a loss that is not finite
            self._study.prune(trial, error.message)
            self._say(f"{trial.run.name}: given up, {error.message}")
            return None
        except KeyboardInterrupt:
            self._study.give_back(trial, fault=False)
            return signal.SIGINT
        except BaseException as error:
            self._study.give_back(trial, fault=isinstance(error, Exception))
            raise
        if outcome.interrupted_by is not None:
            self._study.give_back(trial, fault=False)
            return outcome.interrupted_by
        self._judge(trial, outcome, watch)
        return None

    def _train(self, trial: Trial, watch: "_Watch") -> TrainingOutcome:
        """Train a trial from its beginning, or from the last checkpoint of one that was interrupted."""
        run, task = trial.run, self._task
        if run.config.is_file():
            settings = resolve(read_config(str(run.config))).settings
            plan = make_plan(settings, task.corpus(settings.corpus))
        else:
            plan = task.plan(sections({**self._fixed, **trial.values}), verbosity=self._verbosity - 1)
            run.write_config(plan.settings, plan.reasons)
        checkpoint, notes = find_checkpoint(run, plan)
        for note in notes:
            self._say(note)
        watch.epochs = plan.settings.training.epochs
        outcome = run_session(plan, run, checkpoint=checkpoint, watch=watch, verbosity=self._verbosity - 1)
        if watch.worse is None and outcome.interrupted_by is None:  # the process that took the last epoch told nobody
            watch(outcome.results)
        return outcome

    def _judge(self, trial: Trial, outcome: TrainingOutcome, watch: "_Watch") -> None:
        """Tell the study, and the user, what a trial that was not interrupted came to."""
        best = outcome.best
        assert best is not None
        told = f"{trial.run.name}: {best.bits_per_character:.3f} bits/char"
        if watch.worse:
            self._study.prune(trial, f"worse than half of the others after epoch {len(outcome.results)}")
            self._say(f"{told} after epoch {len(outcome.results)} of {watch.epochs}, pruned")
        else:
            first = self._study.finish(trial, best.bits_per_character)
            self._say(f"{told}, the best so far" if first else told)

    def _say(self, line: str) -> None:
        if self._verbosity:
            echo(line, err=True)


class _Watch:
    """Stops a training that is worse than half of the others; but not after its last epoch, when there is nothing to save.

    worse: whether it did; None as long as it was not asked.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.epochs = 0
        self.worse: bool | None = None

    def __call__(self, results: Sequence[EpochResult]) -> bool:
        worse = self._trial.report([result.bits_per_character for result in results])
        self.worse = worse and len(results) < self.epochs
        return self.worse


def _begun(task: TuningTask) -> tuple[dict[str, Any], Values | None]:
    """Return what a new study is begun with."""
    space, fixed, first = task.settle()
    return task.identity() | {"space": {name: str(one) for name, one in space.items()}, "fixed": fixed}, first


def short_name(name: str) -> str:
    """Return the name of a setting without its section."""
    return name.partition(".")[2]


def shown(value: Any) -> str:
    """Return a value as people are told of it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
