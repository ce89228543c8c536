"""Train from settings to a run directory: `chargen train` and `chargen.train` call this."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from chargen.runs.checkpoints import KEPT, Checkpoint
from chargen.runs.config import read_comments, write_config
from chargen.runs.directory import RunDirectory, check_room, find_resumable, locked, started_run
from chargen.settings.layers import Resolved, read_run_config, resolve
from chargen.settings.schema import Settings, declared_settings
from chargen.terminal import echo
from chargen.training.budget import Budget, find_budget, plan_within
from chargen.training.callbacks import check_callbacks
from chargen.training.choosing import choose_backend
from chargen.training.classifying.plan import make_classifier_plan
from chargen.training.classifying.task import ClassifierTask
from chargen.training.devices.distribution import check_distributable, joined
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.fitting import name_of_gpu
from chargen.training.members import MembersTraining, check_resumable, is_complete
from chargen.training.planning.plan import Plan
from chargen.training.planning.recipes import DEFAULT_PRESET
from chargen.training.planning.text_plan import make_plan
from chargen.training.planning.token_settings import token_layers
from chargen.training.planning.transfer import Start, find_start
from chargen.training.planning.word_vectors import read_word_vectors
from chargen.training.recording.results import EpochResult, TrainingOutcome
from chargen.training.resuming import changed_settings, find_checkpoint, is_finished
from chargen.training.session import forecast_session, run_session
from chargen.training.task import Task
from chargen.training.text_task import TextTask

# Two models, and checkpoints of weights and two optimizer slots, one more than are kept while the newest is written.
BYTES_PER_WEIGHT = 4 * (2 + 3 * (KEPT + 1))

Layer = tuple[str, Mapping[str, Any]]
Outcome = TrainingOutcome[EpochResult]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run and the outcome of its training; None if the training was already finished.

    baselines, test: figures on the held-out text and on the texts of --test. leads: whether this process wrote the run; of
    several processes that train together, only the first one does.
    """

    run: RunDirectory
    outcome: Outcome | None
    baselines: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, Any] = field(default_factory=dict)
    leads: bool = True

    @property
    def exit_code(self) -> int:
        """The exit code of `chargen train`."""
        return self.outcome.exit_code if self.outcome else 0

    def summary(self) -> dict[str, Any]:
        """Return what `chargen train --json` prints."""
        summary = self.outcome.summary() if self.outcome else {}
        summary |= {"run": str(self.run.path), "model": str(self.run.model)}
        measured = {"baselines": dict(self.baselines), "test": dict(self.test)}
        return summary | {name: figures for name, figures in measured.items() if figures}


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """A training whose settings and text have been checked.

    resumed: the run to go on with, None for a new one. distribute: whether other processes train along. began: when the command
    began, by `time.perf_counter`. ends_by: when it must end, None if it may take as long as it needs.
    """

    task: Task[EpochResult]
    runs_dir: Path
    resumed: RunDirectory | None
    distribute: bool
    began: float
    verbosity: int
    callbacks: Sequence[Any] = ()
    ends_by: float | None = None

    @property
    def plan(self) -> Plan:
        """The plan of the training."""
        return self.task.plan

    def forecast(self) -> dict[str, Any]:
        """Return the plan and an estimate of its time, and keep nothing."""
        return forecast_session(self.task, began=self.began, verbosity=self.verbosity)

    def train(self) -> Trained:
        """Train in a new run directory, or continue a run. Raises ChargenError if training cannot start or go on."""
        if not self.distribute:
            return self._train()
        with joined(self.plan.training.batch_size) as ranks:
            checkpoint = find_checkpoint(self.resumed, self.plan)[0] if self.resumed else None
            place = [self.resumed and self.resumed.name, checkpoint and checkpoint.position]
            ranks.check_alike(settings=self.plan.settings.to_mapping(), text=self.plan.corpus.sha256, checkpoint=place)
            return self._train(ranks) if ranks.leads else self._follow(ranks, checkpoint)

    def _train(self, ranks: Ranks = ALONE) -> Trained:
        run, outcome = self._train_new(ranks) if self.resumed is None else self._train_on(self.resumed, ranks)
        if outcome is None or outcome.best is None or outcome.interrupted_by is not None:
            return Trained(run=run, outcome=outcome)
        quality = outcome.quality or outcome.best.quality
        return Trained(run=run, outcome=outcome, baselines=self._compare(quality), test=self._test(run))

    def _train_new(self, ranks: Ranks) -> tuple[RunDirectory, Outcome]:
        corpus, settings = self.plan.corpus, self.plan.settings
        with started_run(self.runs_dir, corpus=corpus.name, cell=settings.network.cell, now=datetime.now()) as run:
            write_config(run, settings, (*corpus.downloads, *self.plan.reasons))
            return run, self._run(run, ranks)

    def _train_on(self, run: RunDirectory, ranks: Ranks) -> tuple[RunDirectory, Outcome | None]:
        """Go on in a run directory; the outcome is None if its training is finished."""
        if self.plan.settings.training.members > 1:
            return self._train_members_on(run)
        with locked(run):
            checkpoint, notes = find_checkpoint(run, self.plan)
            finished = is_finished(checkpoint, self.plan)
            more = f"{run.path} is finished; to go on: --resume {run.name} --epochs {2 * self.plan.settings.training.epochs}"
            self._print([*notes, *([more] if finished else [])])
            if checkpoint and changed_settings(checkpoint, self.plan):
                write_config(run, self.plan.settings, [*read_comments(run), *notes])
            return run, None if finished else self._run(run, ranks, checkpoint)

    def _train_members_on(self, run: RunDirectory) -> tuple[RunDirectory, Outcome | None]:
        """Go on in the run of several networks; the outcome is None if all are trained."""
        with locked(run):
            check_resumable(run, self.plan.settings)
            if is_complete(run):
                self._print([f"{run.path} is finished"])
                return run, None
            return run, self._run(run, ALONE)

    def _run(self, run: RunDirectory, ranks: Ranks, checkpoint: Checkpoint | None = None) -> Outcome:
        members = self.plan.settings.training.members
        check_room(run, BYTES_PER_WEIGHT * self.plan.num_parameters * members)
        if members > 1:
            assert isinstance(self.task, TextTask)
            return MembersTraining(
                self.task, run, ends_by=self.ends_by, verbosity=self.verbosity, callbacks=self.callbacks
            ).train()
        return run_session(
            self.task, run, checkpoint=checkpoint, verbosity=self.verbosity, ranks=ranks, callbacks=self.callbacks
        )

    def _follow(self, ranks: Ranks, checkpoint: Checkpoint | None) -> Trained:
        """Train along with the process that leads, which alone has the run directory."""
        everything = RunDirectory(self.runs_dir)
        outcome = None
        if not is_finished(checkpoint, self.plan):
            outcome = run_session(self.task, everything, checkpoint=checkpoint, verbosity=self.verbosity, ranks=ranks)
        return Trained(run=everything, outcome=outcome, leads=False)

    def _compare(self, quality: float) -> dict[str, float]:
        """Return the figures of baselines on the held-out text, and print a comparison with the best epoch's quality."""
        if not self.plan.validation:
            return {}
        comparison = self.task.compare(quality)
        self._print(comparison.lines)
        return comparison.baselines

    def _test(self, run: RunDirectory) -> dict[str, Any]:
        """Return the figures on the texts of --test, if there are any, and print them."""
        tested = self.task.test(run)
        self._print(tested.lines if tested else [])
        return tested.figures if tested else {}

    def _print(self, lines: Sequence[str]) -> None:
        for line in lines if self.verbosity else ():
            echo(line, err=True)


def plan_training(
    layers: Sequence[Layer],
    *,
    runs_dir: Path,
    resume: str | None = None,
    configured: bool = False,
    preset: str | None = None,
    minutes: float | None = None,
    distribute: bool = False,
    verbosity: int = 1,
    callbacks: Sequence[Any] = (),
) -> PlannedTraining:
    """Combine layers of settings, read the text, and choose the settings that are still open.

    layers: with their names, later ones taking precedence; `configured` says whether one of them is a config. resume: the run
    to go on with, an empty name for the newest, None for a new run. preset, minutes, distribute: as `chargen train` takes them;
    the minutes begin now. callbacks: of Keras, called with each epoch. Raises ChargenError for bad settings and for a text
    that cannot be read.
    """
    began = time.perf_counter()
    check_callbacks(callbacks)
    resumed = find_resumable(resume or None, runs_dir) if resume is not None else None
    if resumed:
        layers = [read_run_config(resumed.config), *layers]
    check = partial(check_distributable, minutes=minutes) if distribute else None
    resolved, start = _resolved(layers, runs_dir, verbosity, check=check)
    budget = find_budget(preset, minutes, resolved, began=began, new=resumed is None, configured=configured)
    if budget and not distribute:
        budget = _for_gpu(budget, resolved, verbosity)
    task = _plan_task(resolved, budget, start, verbosity, alone=not distribute)
    return PlannedTraining(
        task=task,
        runs_dir=runs_dir,
        resumed=resumed,
        distribute=distribute,
        began=began,
        verbosity=verbosity,
        callbacks=callbacks,
        ends_by=budget.ends_by if budget and budget.exact else None,
    )


def _for_gpu(budget: Budget, resolved: Resolved, verbosity: int) -> Budget:
    """Return the budget; where a GPU trains and the user has given no length, it is the usual minutes of that GPU."""
    if budget.given or resolved.origin["training.epochs"] != "default" or (gpu := name_of_gpu(resolved.settings)) is None:
        return budget
    if verbosity:
        usual = f"{budget.minutes:g} minutes on it (--minutes); --preset {DEFAULT_PRESET} takes the settings of a CPU"
        echo(f"training on {gpu}: as much as fits into {usual}", err=True)
    return replace(budget, exact=True)


def choose_settings(
    layers: Sequence[Layer],
    *,
    runs_dir: Path,
    configured: bool = False,
    preset: str | None = None,
    minutes: float | None = None,
    verbosity: int = 1,
) -> tuple[Resolved, tuple[str, ...]]:
    """Return the settings that a training would start with, and lines with the reasons for those chosen from the text.

    Nothing is measured: with minutes, the number of epochs is an estimate. Takes and raises what `plan_training` does.
    """
    resolved, start = _resolved(layers, runs_dir, verbosity)
    budget = find_budget(preset, minutes, resolved, began=0.0, new=True, configured=configured)
    plan = _plan_task(resolved, budget, start, verbosity, measured=False).plan
    before, after = resolved.settings.to_mapping(), plan.settings.to_mapping()
    by_text = {f"{section}.{one.name}" for section, one, _, detail in declared_settings() if budget and detail.by_text}
    origin = {
        name: "chosen from the text" if source == "default" and (name in by_text or _changed(name, before, after)) else source
        for name, source in resolved.origin.items()
    }
    reasons = (*plan.corpus.notes, *plan.reasons, *plan.warnings)
    if budget and budget.exact:
        reasons += ("with --minutes, training measures how fast this machine is before it chooses; here that is an estimate",)
    return Resolved(plan.settings, origin), reasons


def _changed(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    section, _, key = name.partition(".")
    return bool(before[section].get(key) != after[section].get(key))


def _resolved(
    layers: Sequence[Layer], runs_dir: Path, verbosity: int, *, check: Callable[[Settings], None] | None = None
) -> tuple[Resolved, Start | None]:
    """Combine layers of settings with those of the run to start from, and choose an installed backend.

    check: is called with the settings before a backend that is not installed is refused.
    """
    start = find_start(layers, runs_dir)
    layers = [*([start.layer] if start else []), *layers]
    layers = [*token_layers(layers), *layers]
    resolved = resolve(*layers)
    if _has_other_epochs(resolved):
        layers = [*layers, (resolved.origin["training.epochs"], {"training": {"schedule_steps": ()}})]
        resolved = resolve(*layers)
    if check:
        check(resolved.settings)
    return resolve(*choose_backend(resolved, verbosity=verbosity), *layers), start


def _has_other_epochs(resolved: Resolved) -> bool:
    """Tell whether the user gives another number of epochs to a config in which --minutes has recorded its schedule."""
    epochs, steps = (resolved.origin[f"training.{name}"] for name in ("epochs", "schedule_steps"))
    return bool(resolved.settings.training.schedule_steps) and epochs not in ("default", steps)


def _plan_task(
    resolved: Resolved,
    budget: Budget | None,
    start: Start | None,
    verbosity: int,
    *,
    measured: bool = True,
    alone: bool = True,
) -> Task[EpochResult]:
    """Read the text and plan the training of the task that the settings name."""
    from chargen.corpus.corpus import load_corpus
    from chargen.corpus.examples import load_examples
    from chargen.corpus.token_folder import find_token_folder

    settings = resolved.settings
    if settings.training.task == "classify":
        classifier = make_classifier_plan(settings, load_examples(settings.corpus))
        return ClassifierTask(classifier, word_vectors=read_word_vectors(classifier.settings, classifier.vocabulary))
    tokens = find_token_folder(settings.corpus.files)
    corpus = tokens.corpus if tokens else load_corpus(settings.corpus, stateful=settings.training.stateful)
    if budget is None:
        plan = make_plan(settings, corpus, start=start)
    else:
        plan = plan_within(budget, resolved, corpus, start=start, verbosity=verbosity, measured=measured, alone=alone)
    return TextTask(plan, word_vectors=read_word_vectors(plan.settings, plan.vocabulary))
