"""Run a training from the plan to the last message: start the backend, the tracker and the trainer."""

import time
from dataclasses import replace
from typing import Any

from chargen.runs.checkpoints import Checkpoint
from chargen.runs.directory import RunDirectory
from chargen.settings.schema import Settings
from chargen.tracking.tensorboard_tracker import TensorBoardTracker
from chargen.tracking.tracker import Tracker, Trackers
from chargen.tracking.wandb_tracker import WandbTracker
from chargen.training.devices.backend import describe_device, load_backend
from chargen.training.devices.cudnn import describe_start
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.forecast import SECONDS_TO_END, forecast
from chargen.training.planning.pace import Pace
from chargen.training.planning.plan import TrainingPlan
from chargen.training.planning.transfer import transferred
from chargen.training.recording.display import Display
from chargen.training.recording.following import FollowingRecorder
from chargen.training.recording.recorder import TextRecorder, Watch
from chargen.training.recording.results import TrainingOutcome
from chargen.training.trainer import Trainer, seconds_per_epoch, train, validation_work

FIT_SECONDS = 3.0  # of training by which the speed is measured
SECONDS_AFTER_TRAINING = 3.0  # until the command has ended


def run_session(
    plan: TrainingPlan,
    run: RunDirectory,
    *,
    checkpoint: Checkpoint | None = None,
    watch: Watch | None = None,
    verbosity: int = 1,
    ranks: Ranks = ALONE,
) -> TrainingOutcome:
    """Train as planned and tell the user on stderr what happens. Raises what `chargen.training.trainer.train` raises.

    Training ends early where `watch` says so after an epoch. Of several ranks the first one alone writes and speaks.
    """
    display = Display(verbosity=verbosity if ranks.leads else 0)
    for line in (*plan.corpus.notes, *plan.reasons, *plan.describe(), *plan.warnings, *ranks.describe()):
        display.note(line)
    trainer = _make_trainer(plan, display, ranks)
    if ranks.leads:
        recorder = TextRecorder(plan, run, display, make_tracker(plan.settings, display), watch=watch)
    else:
        recorder = FollowingRecorder(plan, run, display, Trackers({}))
    pace = Pace(plan.ends_by) if plan.ends_by is not None else None
    interrupted_by = train(trainer, plan, recorder, checkpoint=checkpoint, pace=pace, ranks=ranks)
    outcome = TrainingOutcome(results=tuple(recorder.results), interrupted_by=interrupted_by, whole=recorder.whole)
    display.note(f"{outcome.describe()}; to write text: chargen sample --run {run.path}")
    return outcome


def forecast_session(plan: TrainingPlan, *, began: float, verbosity: int = 1) -> dict[str, Any]:
    """Return what training would do, with an estimate of the time since it `began`, by `time.perf_counter`."""
    display = Display(verbosity=verbosity)
    for line in (*plan.corpus.notes, *plan.reasons, *plan.warnings):
        display.note(line)
    trainer, quiet = _make_trainer(plan, display), Display(verbosity=0)
    found = forecast(trainer, plan, lambda run: TextRecorder(plan, run, quiet, Trackers({})), began)
    if plan.ends_by is not None:
        found = found._replace(total=min(found.total, plan.ends_by - began + SECONDS_TO_END))
    display.note(found.describe(at_most=plan.settings.training.may_end_early))
    characters = plan.training.num_targets * plan.rate.characters_per_token / plan.training.num_steps
    return plan.summary() | {"characters_per_second": round(characters / found.step)} | found.figures()


def fit_session(
    plan: TrainingPlan, *, seconds: float, most_passes: float, epochs: int | None = None, verbosity: int = 1
) -> TrainingPlan:
    """Return the plan with as many steps as fit into so many seconds from now on, by the speed that is measured first.

    The steps are told in so many `epochs`, or in as many as suit them. The speed is taken at its best: a training that keeps
    its pace can leave steps out, but not add any.
    """
    display = Display(verbosity=verbosity)
    display.note("measuring how fast this machine is")
    ends_by = time.perf_counter() + seconds - SECONDS_AFTER_TRAINING
    trainer = _make_trainer(plan, Display(verbosity=0))
    per_epoch = seconds_per_epoch(trainer, plan, seconds=FIT_SECONDS)
    passes = max(0.0, ends_by - time.perf_counter()) / per_epoch
    if epochs:  # `per_epoch` has a validation for each pass, there will be one for each epoch
        validation = validation_work(plan) / plan.training.num_steps  # in passes
        passes = max(0.0, passes * (1 + validation) - epochs * validation)
    fitting = plan.lasting(max(1, int(min(passes, most_passes) * plan.training.num_steps)), epochs=epochs)
    return replace(fitting, ends_by=ends_by)


def _make_trainer(plan: TrainingPlan, display: Display, ranks: Ranks = ALONE) -> Trainer:
    """Load what the plan is trained with, and give it the weights that it starts from."""
    trainer = _fresh_trainer(plan, display, ranks)
    if plan.start:
        trainer.set_weights(transferred(trainer.network().weights, plan.start, plan.vocabulary))
    return trainer


def _fresh_trainer(plan: TrainingPlan, display: Display, ranks: Ranks) -> Trainer:
    if plan.settings.training.backend == "numpy":
        from chargen.training.numpy_trainer import NumpyTrainer

        display.note(describe_device("numpy"))
        return NumpyTrainer(plan)
    load_backend(plan.settings.training.backend)
    from chargen.training.keras_trainer import text_trainer  # imports Keras, so its chatter has to be muted by now

    for line in describe_start(plan.settings):
        display.note(line)
    return text_trainer(plan, ranks)


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
