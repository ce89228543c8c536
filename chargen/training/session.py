"""Run the training of a task, or forecast it: make the tracker, the trainer and the recorder, and print what happens."""

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
from chargen.training.planning.pace import Pace
from chargen.training.recording.display import Display
from chargen.training.recording.results import EpochResult, ResultT_co, TrainingOutcome
from chargen.training.task import Task


def run_session(
    task: Task[ResultT_co],
    run: RunDirectory,
    *,
    checkpoint: Checkpoint | None = None,
    verbosity: int = 1,
    ranks: Ranks = ALONE,
    callbacks: Sequence[Any] = (),
) -> TrainingOutcome[ResultT_co]:
    """Train as planned and print progress on stderr. Raises what `chargen.training.loop.train` raises.

    Of several ranks only the first one writes and prints.
    """
    plan, display = task.plan, Display(verbosity=verbosity if ranks.leads else 0)
    for line in (*plan.corpus.notes, *plan.reasons, *plan.describe(), *plan.warnings, *ranks.describe()):
        display.note(line)
    trainer = task.make_trainer(display, ranks)
    tracker = make_tracker(plan.settings, display) if ranks.leads else Trackers({})
    recorder = task.make_recorder(run, display, tracker, leads=ranks.leads)
    pace = Pace(plan.ends_by) if plan.ends_by is not None else None
    interrupted_by = train(trainer, plan, recorder, checkpoint=checkpoint, pace=pace, ranks=ranks, callbacks=callbacks)
    outcome = recorder.outcome(interrupted_by)
    display.note(f"{outcome.describe()}; {task.next_command(run)}")
    return outcome


def forecast_session(task: Task[EpochResult], *, began: float, verbosity: int = 1) -> dict[str, Any]:
    """Return the plan of a training and an estimate of its time since it `began`, by `time.perf_counter`."""
    plan, display, quiet = task.plan, Display(verbosity=verbosity), Display(verbosity=0)
    for line in (*plan.corpus.notes, *plan.reasons, *plan.warnings):
        display.note(line)
    trainer = task.make_trainer(display)
    found = forecast(trainer, plan, lambda run: task.make_recorder(run, quiet, Trackers({})), began)
    if plan.ends_by is not None:
        found = found._replace(total=min(found.total, plan.ends_by - began + SECONDS_TO_END))
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
