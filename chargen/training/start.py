"""Train from settings to a run directory: `chargen train` and `chargen.train` call this."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from chargen.runs.directory import RunDirectory, check_room, find_resumable, locked, started_run
from chargen.settings.layers import Resolved, read_run_config, resolve
from chargen.settings.schema import Settings, declared_settings
from chargen.terminal import echo
from chargen.training.budget import Budget, find_budget
from chargen.training.choosing import choose_backend
from chargen.training.classifying.plan import ClassifierPlan
from chargen.training.devices.distribution import check_distributable
from chargen.training.planning.plan import TrainingPlan
from chargen.training.planning.transfer import Start, find_start
from chargen.training.recording.results import TrainingOutcome
from chargen.training.resuming import find_checkpoint, is_finished

BYTES_PER_WEIGHT = 4 * (2 + 3 * 3)  # two models, three checkpoints of weights and two optimizer slots

Layer = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run and what its training brought; outcome: None where there was nothing left to do.

    Of several processes that trained together the first one leads; the run of the others is but the folder of all runs.
    """

    run: RunDirectory
    outcome: TrainingOutcome | None
    baselines: Mapping[str, float]
    leads: bool = True

    @property
    def exit_code(self) -> int:
        """The exit code of a process that did nothing else."""
        return self.outcome.exit_code if self.outcome else 0

    def summary(self) -> dict[str, Any]:
        """Return what `chargen train --json` prints."""
        summary = self.outcome.summary() if self.outcome else {}
        summary |= {"run": str(self.run.path), "model": str(self.run.model)}
        return summary | ({"baselines": dict(self.baselines)} if self.baselines else {})


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """A training of which everything is known that a user may have got wrong.

    resumed: the run that goes on, None for a new one. distribute: whether other processes train along. session: trains into a
    run directory. compare: returns figures of baselines that an outcome is held against.
    """

    plan: Any
    runs_dir: Path
    resumed: RunDirectory | None
    distribute: bool
    verbosity: int
    forecast: Callable[[], dict[str, Any]]
    session: Callable[..., Any]
    compare: Callable[[Any], dict[str, float]] | None = None

    def train(self) -> Trained:
        """Train into a new run directory, or on in one. Raises ChargenError for what goes wrong on the way."""
        if self.distribute:
            return self._train_together()
        run, outcome = self._train_new() if self.resumed is None else self._train_on(self.resumed)
        baselines = self.compare(outcome) if outcome and self.compare else {}
        return Trained(run=run, outcome=outcome, baselines=baselines)

    def _train_together(self) -> Trained:
        """Train with other processes, of which the first has the run directory."""
        from chargen.training.devices.distribution import joined

        plan, resumed = self.plan, self.resumed
        with joined(plan.training.batch_size) as ranks:
            checkpoint = find_checkpoint(resumed, plan)[0] if resumed else None
            place = [resumed and resumed.name, checkpoint and checkpoint.position]
            ranks.check_alike(settings=plan.settings.to_mapping(), text=plan.corpus.sha256, checkpoint=place)
            session = partial(self.session, ranks=ranks)
            if ranks.leads:
                return replace(self, session=session, distribute=False).train()
            everything = RunDirectory(self.runs_dir)
            outcome = None if is_finished(checkpoint, plan) else session(everything, checkpoint=checkpoint)
            return Trained(run=everything, outcome=outcome, baselines={}, leads=False)

    def _train_new(self) -> tuple[RunDirectory, Any]:
        plan = self.plan
        cell = plan.settings.network.cell
        with started_run(self.runs_dir, corpus=plan.corpus.name, cell=cell, now=datetime.now()) as run:
            run.write_config(plan.settings, (*plan.corpus.downloads, *getattr(plan, "reasons", ())))
            check_room(run, BYTES_PER_WEIGHT * plan.num_parameters)
            return run, self.session(run)

    def _train_on(self, run: RunDirectory) -> tuple[RunDirectory, Any]:
        """Go on in a run directory; the outcome is None if there is nothing left to do."""
        with locked(run):
            checkpoint, notes = find_checkpoint(run, self.plan)
            if is_finished(checkpoint, self.plan):
                notes.append(f"{run.path} is finished; to train on: --from {run.path}")
            for note in notes if self.verbosity else []:
                echo(note, err=True)
            if is_finished(checkpoint, self.plan):
                return run, None
            check_room(run, BYTES_PER_WEIGHT * self.plan.num_parameters)
            return run, self.session(run, checkpoint=checkpoint)


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
) -> PlannedTraining:
    """Lay settings over each other, read the text, and choose what is left open.

    layers: named ones, later ones winning, of which `configured` says whether one is a config. resume: the run that goes on,
    nothing for the newest, None for a new one. preset, minutes, distribute: as `chargen train` takes them. Minutes begin now.
    Raises ChargenError for what a user can mend.
    """
    began = time.perf_counter()
    resumed = find_resumable(resume or None, runs_dir) if resume is not None else None
    if resumed:
        layers = [read_run_config(resumed.config), *layers]
    check = partial(check_distributable, minutes=minutes) if distribute else None
    resolved, start = _resolved(layers, runs_dir, verbosity, check=check)
    budget = find_budget(preset, minutes, resolved, began=began, new=resumed is None, configured=configured)
    if resolved.settings.training.task == "classify":
        work = _classification(resolved.settings, began, verbosity)
    else:
        work = _generation(resolved, budget, start, began, verbosity)
    return PlannedTraining(**work, runs_dir=runs_dir, resumed=resumed, distribute=distribute, verbosity=verbosity)


def choose_settings(
    layers: Sequence[Layer],
    *,
    runs_dir: Path,
    configured: bool = False,
    preset: str | None = None,
    minutes: float | None = None,
    verbosity: int = 1,
) -> tuple[Resolved, tuple[str, ...]]:
    """Return the settings that a training would begin with, and lines that say why those left open are as they are.

    Nothing is measured: with minutes, the epochs are an estimate. Takes and raises what `plan_training` does.
    """
    resolved, start = _resolved(layers, runs_dir, verbosity)
    budget = find_budget(preset, minutes, resolved, began=0.0, new=True, configured=configured)
    plan: Any
    if resolved.settings.training.task == "classify":
        plan = _classifier_plan(resolved.settings)
    else:
        plan = _text_plan(resolved, budget, start, verbosity, measured=False)
    before, after = resolved.settings.to_mapping(), plan.settings.to_mapping()
    by_text = {f"{section}.{one.name}" for section, one, _, detail in declared_settings() if budget and detail.by_text}
    origin = {
        name: "chosen from the text" if source == "default" and (name in by_text or _changed(name, before, after)) else source
        for name, source in resolved.origin.items()
    }
    reasons = (*plan.corpus.notes, *getattr(plan, "reasons", ()), *getattr(plan, "warnings", ()))
    if budget and budget.exact:
        reasons += ("how many epochs fit into --minutes is measured when training begins; here it is an estimate",)
    return Resolved(plan.settings, origin), reasons


def _changed(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    section, _, key = name.partition(".")
    return bool(before[section].get(key) != after[section].get(key))


def _resolved(
    layers: Sequence[Layer], runs_dir: Path, verbosity: int, *, check: Callable[[Settings], None] | None = None
) -> tuple[Resolved, Start | None]:
    """Lay settings over each other and over those of the run that training goes on from; choose an installed backend.

    check: is called with the settings before a backend that is not installed is refused.
    """
    start = find_start(layers, runs_dir)
    layers = [*([start.layer] if start else []), *layers]
    resolved = resolve(*layers)
    if check:
        check(resolved.settings)
    return resolve(*choose_backend(resolved, verbosity=verbosity), *layers), start


def _text_plan(
    resolved: Resolved, budget: Budget | None, start: Start | None, verbosity: int, *, measured: bool = True
) -> TrainingPlan:
    """Plan a network that writes text."""
    from chargen.corpus.corpus import load_corpus
    from chargen.training.budget import plan_within
    from chargen.training.planning.plan import make_plan

    settings = resolved.settings
    corpus = load_corpus(settings.corpus, stateful=settings.training.stateful)
    if budget:
        return plan_within(budget, resolved, corpus, start=start, verbosity=verbosity, measured=measured)
    return make_plan(settings, corpus, start=start)


def _classifier_plan(settings: Settings) -> ClassifierPlan:
    """Plan a network that tells labels."""
    from chargen.corpus.examples import load_examples
    from chargen.training.classifying.plan import make_classifier_plan

    return make_classifier_plan(settings, load_examples(settings.corpus))


def _generation(resolved: Resolved, budget: Budget | None, start: Start | None, began: float, verbosity: int) -> dict[str, Any]:
    """Plan a network that writes text, and return what trains it; its validation is compared with n-grams."""
    from chargen.insight.unigram import cross_entropies, describe_worse
    from chargen.training.session import forecast_session, run_session

    plan = _text_plan(resolved, budget, start, verbosity)

    def compare(outcome: Any) -> dict[str, float]:
        measured = plan.validation.stream if plan.validation else None
        if measured is None or outcome.best is None or outcome.interrupted_by is not None:
            return {}
        nats = cross_entropies(plan.parts.training, measured, len(plan.vocabulary))
        baselines = {name: plan.rate.bits_per_character(one) for name, one in nats.items()}
        worse = describe_worse("validation", outcome.best.bits_per_character, baselines, held_out=True)
        for line in worse if verbosity else ():
            echo(line, err=True)
        return baselines

    return {
        "plan": plan,
        "forecast": partial(forecast_session, plan, began=began, verbosity=verbosity),
        "session": partial(run_session, plan, verbosity=verbosity),
        "compare": compare,
    }


def _classification(settings: Settings, began: float, verbosity: int) -> dict[str, Any]:
    """Plan a network that tells labels, and return what trains it; its accuracy is compared with what baselines reach."""
    from chargen.insight.labels import baseline_accuracies
    from chargen.training.classifying.session import forecast_classifier, run_classifier_session

    plan = _classifier_plan(settings)

    def compare(outcome: Any) -> dict[str, float]:
        if not plan.held_out or outcome.interrupted_by is not None:
            return {}
        baselines = baseline_accuracies(plan.documents, plan.held_out)
        if verbosity:
            told = {"network": outcome.summary()["accuracy"]} | baselines
            figures = "  ".join(f"{name} {accuracy:.3f}" for name, accuracy in told.items())
            echo(f"accuracy on the {len(plan.held_out):,} texts held out: {figures}", err=True)
        return baselines

    return {
        "plan": plan,
        "forecast": partial(forecast_classifier, plan, began=began, verbosity=verbosity),
        "session": partial(run_classifier_session, plan, verbosity=verbosity),
        "compare": compare,
    }
