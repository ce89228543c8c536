"""Store a study on disk: its trials, which process works on which, and their results. The only module that uses Optuna.

The study's folder holds Optuna's journal, one file that any number of processes append to, and a run directory for each trial.
A process locks its trial's run directory while it trains. A trial that is marked as running but whose directory is not locked
has lost its process.
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
UNPRUNED_TRIALS = 4  # finished trials needed before pruning others
UNPRUNED_EPOCHS = 2  # of a trial
MAX_FAULTS = 3  # crashes of a trial's process, for example for lack of memory, before the trial is given up
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
    """The facts of a trial.

    bits_per_character: of its best epoch. reason: why it was given up, if it was.
    """

    state: str
    bits_per_character: float | None
    epochs: int
    run: RunDirectory
    values: Mapping[str, Any]
    reason: str | None


class Trial:
    """A trial that this process works on. It locks the run directory until `release`, or until the process ends."""

    def __init__(self, drawn: optuna.trial.Trial, run: RunDirectory) -> None:
        self.number, self.values, self.run = drawn.number, dict(drawn.params), run
        self._drawn, self._num_reported = drawn, 0
        self._stack = ExitStack()
        self._stack.enter_context(locked(run))

    def report(self, figures: Sequence[float]) -> bool:
        """Report the bits a character of all epochs; return whether the trial is worse than half of the finished ones."""
        with os_errors(self.run.path.parent):
            for epoch, bits in list(enumerate(figures, start=1))[self._num_reported :]:
                self._drawn.report(bits, epoch)
        self._num_reported = len(figures)
        return self._drawn.should_prune()

    def explain(self, reason: str) -> None:
        """Store why the trial is given up."""
        self._drawn.set_user_attr(REASON, reason)

    def release(self) -> None:
        """Unlock the run directory."""
        self._stack.close()


class Study:
    """The trials of one search, shared with other processes. Raises RunError if the folder cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _check_folder(folder)
        with self.exclusive():
            lock = FileLock(folder / JOURNAL_LOCK)  # freed by the system when its process ends, unlike Optuna's own lock
            _repair_journal(folder / JOURNAL, lock)
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL), lock)),
                study_name=folder.name,
                pruner=MedianPruner(n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=UNPRUNED_EPOCHS + 1),
                load_if_exists=True,
            )

    @property
    def best_config(self) -> Path:
        """The file with the settings of the best trial."""
        return self.folder / BEST

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other processes from taking trials within the block."""
        with os_errors(self.folder), FileLock(self.folder / LOCK):
            yield

    def begin(self, make: Callable[[], tuple[dict[str, Any], Mapping[str, Any] | None]]) -> None:
        """Store the facts of a new study, and the values of its first trial if there are any."""
        with self.exclusive():
            if FACTS not in self._study.user_attrs:
                facts, first = make()
                self._study.set_user_attr(FACTS, facts)
                if first is not None:
                    self._study.enqueue_trial(dict(first))

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that the study was started with."""
        return dict(self._study.user_attrs[FACTS])

    def take(self, space: Space, *, most: int, random_seed: int) -> Trial | None:
        """Return a trial to work on: an interrupted one, else a new one.

        Return None if there are `most` of them or every combination has been tried.
        """
        with self.exclusive():
            self._requeue_lost()
            if len(self._study.get_trials(deepcopy=False, states=COUNTED)) >= most:
                return None
            return self._ask(space, random_seed)

    def _ask(self, space: Space, random_seed: int) -> Trial | None:
        before = self._study.get_trials(deepcopy=False)
        # Every trial is drawn with its own seed, in any process: equal seeds would draw equal trials.
        seed = (random_seed * 1_000_003 + len(before)) % 2**32
        self._study.sampler = TPESampler(seed=seed)
        distributions = {name: _distribution(one) for name, one in space.items()}
        drawn = self._study.ask(distributions)
        tried = {same_values(_values(one)) for one in before if one.state in WORDS and one.number != drawn.number}
        if RUN not in drawn.user_attrs and same_values(drawn.params) in tried:  # it would repeat an earlier trial
            self._study.tell(drawn, state=TrialState.FAIL)
            other = draw_other(space, tried, random.Random(seed))
            if other is None:
                return None
            self._study.enqueue_trial(other)
            drawn = self._study.ask(distributions)
        name = drawn.user_attrs.get(RUN, f"trial-{len({one.user_attrs[RUN] for one in before if RUN in one.user_attrs}):03}")
        drawn.set_user_attr(RUN, name)
        run = RunDirectory(self.folder / name)
        run.path.mkdir(exist_ok=True)
        return Trial(drawn, run)

    def finish(self, trial: Trial, bits_per_character: float) -> bool:
        """Store the figure of a trial, and its config if it is the best so far; return whether it is."""
        with self.exclusive():
            self._study.tell(trial.number, bits_per_character)
            trial.release()
            best = self._study.best_trial.number == trial.number
            if best:
                comment = f"# {trial.run.name}: {bits_per_character:.4f} bits a character\n"
                write_atomically(self.best_config, comment + trial.run.config.read_text(encoding="utf-8"))
            return best

    def prune(self, trial: Trial, reason: str) -> None:
        """Give a trial up for good; it counts as a bad result of its settings."""
        with self.exclusive():
            trial.explain(reason)
            self._study.tell(trial.number, state=TrialState.PRUNED)
            trial.release()

    def requeue(self, trial: Trial, *, fault: bool) -> None:
        """Mark a trial as interrupted, by its own fault or from outside; the next process to take a trial continues it."""
        with self.exclusive():  # until the run directory is unlocked, so that the next process finds it free
            self._enqueue_again(self._study.trials[trial.number], fault=fault)
            trial.release()

    def requeue_lost(self) -> None:
        """Requeue trials whose process has died."""
        with self.exclusive():
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
        """Return all started trials, the best first; a trial that was interrupted and continued occurs once."""
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
    """Return the values of a trial; those of an interrupted trial are fixed before it is taken again."""
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
    """Create the folder of a study. Raises RunError if it holds something else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name not in (LOCK, JOURNAL_LOCK)]
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}", hint="choose another with --study") from error
    if others and JOURNAL not in others:
        raise RunError(f"{folder} is not a study: it has no {JOURNAL}", hint="choose another name with --study")


def _repair_journal(journal: Path, lock: FileLock) -> None:
    """Remove an incomplete last line (for example after a full disk); appending to it would damage the next line too."""
    if not journal.exists():
        return
    with lock:
        content = journal.read_bytes()
        os.truncate(journal, content.rfind(b"\n") + 1)


def _is_free(run: RunDirectory) -> bool:
    """Return whether no process locks a run directory."""
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
    """Turn an OSError in the block into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write to the study {folder}: {error.strerror}", hint="make room, or choose --study") from error
