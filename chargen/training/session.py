"""Run the training of a task, or forecast it: make the tracker, the trainer and the recorder, and print what happens."""

import time
from collections.abc import Sequence
from typing import Any

from chargen.runs.checkpoints import Checkpoint
from chargen.runs.directory import RunDirectory
from chargen.settings.schema import Settings
from chargen.tracking.tensorboard_tracker import TensorBoardTracker
from chargen.tracking.tracker import Tracker, Trackers
from chargen.tracking.wandb_tracker import WandbTracker
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.forecast import SECONDS_TO_END, forecast
from chargen.training.loop import train
from chargen.training.planning.pace import Deadline, Pace
from chargen.training.planning.plan import Plan
from chargen.training.recording.display import Display
from chargen.training.recording.results import EpochResult, ResultT_co, TrainingOutcome
from chargen.training.speed import validation_work
from chargen.training.task import Task


def run_session(
    task: Task[ResultT_co],
    run: RunDirectory,
    *,
    checkpoint: Checkpoint | None = None,
    verbosity: int = 1,
    ranks: Ranks = ALONE,
    callbacks: Sequence[Any] = (),
    introduced: bool = False,
) -> TrainingOutcome[ResultT_co]:
    """Train as planned and print progress on stderr. Raises what `chargen.training.loop.train` raises.

    Of several ranks only the first one writes and prints. introduced: whether the caller prints the plan and the outcome.
    """
    plan, display = task.plan, Display(verbosity=verbosity if ranks.leads else 0)
    if not introduced:
        introduce(plan, display, ranks)
    trainer = task.make_trainer(display, ranks)
    tracker = make_tracker(plan.settings, display) if ranks.leads else Trackers({})
    recorder = task.make_recorder(run, display, tracker, leads=ranks.leads)
    pace = find_pace(plan, checkpoint)
    interrupted_by = train(trainer, plan, recorder, checkpoint=checkpoint, pace=pace, ranks=ranks, callbacks=callbacks)
    outcome = recorder.outcome(interrupted_by)
    if introduced:
        return outcome
    if outlook := outcome.outlook():
        display.note(outlook)
    display.note(f"{outcome.describe()}; {task.next_command(run)}")
    return outcome


def introduce(plan: Plan, display: Display, ranks: Ranks = ALONE) -> None:
    """Print the plan of a training."""
    for line in (*plan.corpus.notes, *plan.reasons, *plan.describe(), *plan.warnings, *ranks.describe()):
        display.note(line)


def find_pace(plan: Plan, checkpoint: Checkpoint | None) -> Pace | None:
    """Return the pace of a training, None if its schedule has no parts.

    A training that was interrupted goes on for the time that it had left.
    """
    parts, deadline = plan.settings.training.schedule_steps, plan.deadline
    if not parts:
        return None
    facts = checkpoint.facts if checkpoint else {}
    kept = facts.get("pace")
    if kept and kept["seconds_left"] is not None and list(parts) == facts["settings"]["training"]["schedule_steps"]:
        deadline = Deadline(time.perf_counter() + kept["seconds_left"], kept["most_steps"])
    epoch_end = validation_work(plan)
    pace = Pace(parts, deadline=deadline, steps_per_epoch=plan.training.num_steps, epoch_end_steps=epoch_end)
    if kept:
        pace.restore(kept)
    return pace


def forecast_session(task: Task[EpochResult], *, began: float, verbosity: int = 1) -> dict[str, Any]:
    """Return the plan of a training and an estimate of its time since it `began`, by `time.perf_counter`."""
    plan, display, quiet = task.plan, Display(verbosity=verbosity), Display(verbosity=0)
    members = plan.settings.training.members
    for line in (*plan.corpus.notes, *plan.reasons, *plan.warnings):
        display.note(line)
    trainer = task.make_trainer(display)
    found = forecast(trainer, plan, lambda run: task.make_recorder(run, quiet, Trackers({})), began)
    if plan.deadline is not None:
        found = found._replace(total=min(found.total, plan.deadline.ends_by - began + SECONDS_TO_END))
    found = found._replace(total=found.start + members * (found.total - found.start))
    display.note(found.describe(at_most=plan.settings.training.may_end_early))
    return plan.summary() | plan.speed(found.step) | found.figures()


def make_tracker(settings: Settings, display: Display) -> Tracker:
    """Return the trackers that the settings ask for, as one."""
    tracking = settings.tracking
    trackers: dict[str, Tracker] = {}
    if tracking.wandb and tracking.wandb_mode != "disabled":
        names = {"project": tracking.wandb_project, "group": tracking.wandb_group, "tags": tracking.wandb_tags}
        trackers["W&B"] = WandbTracker(names | {"mode": tracking.wandb_mode}, say=display.note)
    if tracking.tensorboard:
        trackers["TensorBoard"] = TensorBoardTracker()
    return Trackers(trackers, warn=display.note)
