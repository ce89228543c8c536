"""Keep a study on disk: its trials, who works on which, and their results. The only module that uses Optuna.

The study's folder holds Optuna's journal, one file that any number of processes append to, and a run directory for each trial.
A process holds the lock of its trial's run directory as long as it trains; a trial that is said to run, and whose directory
nobody holds, has lost its process.
"""

import math
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chargen.errors import ConfigError, RunError
from chargen.files import write_atomically
from chargen.runs.directory import RunDirectory, locked
from chargen.tuning.space import Choices, Range, Space, draw_other, same_values

try:
    import optuna
except ImportError:
    raise ConfigError("chargen tune needs optuna", hint="pip install 'chargen[tune]'") from None

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

JOURNAL, BEST = "study.journal", "best.toml"
LOCK, JOURNAL_LOCK = ".lock", ".journal.lock"
FACTS, RUN, FAULTS, REASON = "facts", "run", "faults", "reason"  # names of attributes
UNPRUNED_TRIALS = 4  # that have to be finished before one is compared with them
UNPRUNED_EPOCHS = 2  # of a trial
MAX_FAULTS = 3  # of a trial that its process dies of, say for want of memory; then it is given up
DIED = f"its process has died {MAX_FAULTS} times"
COUNTED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
WORDS = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What is known of a trial. bits_per_character: the best of its epochs. reason: why it was given up, if it was."""

    state: str
    bits_per_character: float | None
    epochs: int
    run: RunDirectory
    values: Mapping[str, Any]
    reason: str | None


class Trial:
    """A trial that this process works on. It holds the run directory until `release`, or until the process ends."""

    def __init__(self, asked: optuna.trial.Trial, run: RunDirectory) -> None:
        self.number, self.values, self.run = asked.number, dict(asked.params), run
        self._asked, self._num_reported = asked, 0
        self._stack = ExitStack()
        self._stack.enter_context(locked(run))

    def report(self, figures: Sequence[float]) -> bool:
        """Take the bits a character of all epochs so far, and tell whether the trial is worse than half of those finished."""
        with os_errors(self.run.path.parent):
            for epoch, bits in list(enumerate(figures, start=1))[self._num_reported :]:
                self._asked.report(bits, epoch)
        self._num_reported = len(figures)
        return self._asked.should_prune()

    def explain(self, reason: str) -> None:
        """Say why the trial is given up."""
        self._asked.set_user_attr(REASON, reason)

    def release(self) -> None:
        """Let others use the run directory."""
        self._stack.close()


class Study:
    """Trials of one search, shared with other processes. Raises RunError where the folder cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _check_folder(folder)
        with self.locked():
            lock = FileLock(folder / JOURNAL_LOCK)  # which the system gives up with its holder; Optuna's own may stay for ever
            _repair_journal(folder / JOURNAL, lock)
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL), lock)),
                study_name=folder.name,
                pruner=MedianPruner(n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=UNPRUNED_EPOCHS + 1),
                load_if_exists=True,
            )

    @property
    def best_config(self) -> Path:
        """The settings of the best trial."""
        return self.folder / BEST

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from taking trials within."""
        with os_errors(self.folder), FileLock(self.folder / LOCK):
            yield

    def begin(self, make: Callable[[], tuple[dict[str, Any], Mapping[str, Any] | None]]) -> None:
        """Keep what a new study is begun with: its facts, and the values of a first trial if there is to be one."""
        with self.locked():
            if FACTS not in self._study.user_attrs:
                facts, first = make()
                self._study.set_user_attr(FACTS, facts)
                if first is not None:
                    self._study.enqueue_trial(dict(first))

    @property
    def facts(self) -> dict[str, Any]:
        """What the study was begun with."""
        return dict(self._study.user_attrs[FACTS])

    def take(self, space: Space, *, most: int, random_seed: int) -> Trial | None:
        """Return a trial to work on: one that was interrupted, else a new one.

        None where there are `most` of them, or where everything has been tried.
        """
        with self.locked():
            self._requeue_lost()
            if len(self._study.get_trials(deepcopy=False, states=COUNTED)) >= most:
                return None
            return self._ask(space, random_seed)

    def _ask(self, space: Space, random_seed: int) -> Trial | None:
        before = self._study.get_trials(deepcopy=False)
        # Every trial is drawn with a seed of its own, whichever process draws it: equal seeds would draw equal trials.
        seed = (random_seed * 1_000_003 + len(before)) % 2**32
        self._study.sampler = TPESampler(seed=seed)
        distributions = {name: _distribution(one) for name, one in space.items()}
        asked = self._study.ask(distributions)
        tried = {same_values(_values(one)) for one in before if one.state in WORDS and one.number != asked.number}
        if RUN not in asked.user_attrs and same_values(asked.params) in tried:  # it would bring the same bytes once more
            self._study.tell(asked, state=TrialState.FAIL)
            other = draw_other(space, tried, random.Random(seed))
            if other is None:
                return None
            self._study.enqueue_trial(other)
            asked = self._study.ask(distributions)
        name = asked.user_attrs.get(RUN, f"trial-{len({one.user_attrs[RUN] for one in before if RUN in one.user_attrs}):03}")
        asked.set_user_attr(RUN, name)
        run = RunDirectory(self.folder / name)
        run.path.mkdir(exist_ok=True)
        return Trial(asked, run)

    def finish(self, trial: Trial, bits_per_character: float) -> bool:
        """Keep the figure of a trial, and its config if it is the best so far; tell whether it is."""
        with self.locked():
            self._study.tell(trial.number, bits_per_character)
            trial.release()
            best = self._study.best_trial.number == trial.number
            if best:
                told = f"# {trial.run.name}: {bits_per_character:.4f} bits a character\n"
                write_atomically(self.best_config, told + trial.run.config.read_text(encoding="utf-8"))
            return best

    def prune(self, trial: Trial, reason: str) -> None:
        """Give a trial up for good; what it did not get to counts against its settings."""
        with self.locked():
            trial.explain(reason)
            self._study.tell(trial.number, state=TrialState.PRUNED)
            trial.release()

    def requeue(self, trial: Trial, *, fault: bool) -> None:
        """Say that a trial was interrupted, by a fault of its own or from without: whoever takes one next goes on with it."""
        with self.locked():  # until the run directory is free, or the next one to take it finds it in use
            self._enqueue_again(self._study.trials[trial.number], fault=fault)
            trial.release()

    def requeue_lost(self) -> None:
        """Let trials be taken again whose process has died."""
        with self.locked():
            self._requeue_lost()

    def _requeue_lost(self) -> None:
        for trial in self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if RUN not in trial.user_attrs or _is_free(self._run(trial)):
                self._enqueue_again(trial, fault=True)

    def _enqueue_again(self, trial: FrozenTrial, *, fault: bool) -> None:
        faults = trial.user_attrs.get(FAULTS, 0) + fault
        if faults >= MAX_FAULTS:
            self._study.tell(trial.number, state=TrialState.PRUNED)
            return
        self._study.tell(trial.number, state=TrialState.FAIL)
        self._study.enqueue_trial(trial.params, user_attrs=trial.user_attrs | {FAULTS: faults})

    def results(self) -> list[TrialResult]:
        """Return all trials that were begun, the best first; one that was interrupted and taken again is there once."""
        order = list(WORDS)
        begun = [one for one in self._study.get_trials(deepcopy=False) if one.state in WORDS and RUN in one.user_attrs]
        begun.sort(key=lambda one: (order.index(one.state), _figure(one) or math.inf, one.number))
        return [self._result(one) for one in begun]

    def _result(self, trial: FrozenTrial) -> TrialResult:
        return TrialResult(
            state=WORDS[trial.state],
            bits_per_character=_figure(trial),
            epochs=max(trial.intermediate_values, default=0),
            run=self._run(trial),
            values=_values(trial),
            reason=trial.user_attrs.get(REASON, DIED) if trial.state == TrialState.PRUNED else None,
        )

    def _run(self, trial: FrozenTrial) -> RunDirectory:
        return RunDirectory(self.folder / trial.user_attrs[RUN])


def _values(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the values of a trial, which are fixed before it is taken where it was interrupted."""
    return trial.params or trial.system_attrs.get("fixed_params", {})


def _figure(trial: FrozenTrial) -> float | None:
    return min(trial.intermediate_values.values(), default=None)


def _distribution(one: Range | Choices) -> BaseDistribution:
    if isinstance(one, Choices):
        return CategoricalDistribution(one.values)
    if isinstance(one.low, int):
        return IntDistribution(one.low, int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _check_folder(folder: Path) -> None:
    """Make the folder of a study. Raises RunError for one that holds something else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name not in (LOCK, JOURNAL_LOCK)]
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}", hint="choose another with --study") from error
    if others and JOURNAL not in others:
        raise RunError(f"{folder} is no study: it has no {JOURNAL}", hint="choose another name with --study")


def _repair_journal(journal: Path, lock: FileLock) -> None:
    """Cut off a last line that was not written to its end, such as by a full disk: whoever appended to it would damage both."""
    if not journal.exists():
        return
    with lock:
        content = journal.read_bytes()
        os.truncate(journal, content.rfind(b"\n") + 1)


def _is_free(run: RunDirectory) -> bool:
    """Tell whether no process holds a run directory."""
    if not run.path.is_dir():
        return True
    lock = FileLock(run.lock)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    lock.release()
    return True


@contextmanager
def os_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError within into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write to the study {folder}: {error.strerror}", hint="make room, or choose --study") from error
