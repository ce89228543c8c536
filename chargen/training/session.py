"""A training from plan to farewell: what the user is told, which tracker listens, when the backend is loaded."""

from typing import Any

from rich.console import Console

from chargen.config import NetworkConfig
from chargen.run import RunDirectory
from chargen.tracking import NoTracker, Tracker, WandbTracker
from chargen.training.backend import accelerated, load_backend
from chargen.training.display import Display
from chargen.training.plan import TrainingPlan
from chargen.training.results import TrainingOutcome


def run_session(plan: TrainingPlan, run: RunDirectory, *, verbosity: int = 1) -> TrainingOutcome:
    """Train as planned and tell the user on stderr what happens. Raises what `chargen.training.trainer.train` raises."""
    display = Display(Console(stderr=True), verbosity=verbosity)
    for line in (*plan.corpus.notes, *plan.describe()):
        display.note(line)
    load_backend()
    from chargen.training.trainer import train  # imports Keras, so the backend's chatter has to be muted by now

    if accelerated() and (reason := _slow_on_gpu(plan.settings.network)):
        display.note(f"{reason} keeps the GPU from cuDNN's layers, which are many times faster")

    outcome = train(plan, run, display=display, tracker=_tracker(plan, display))
    display.note(f"{outcome.describe()}; to write text: chargen sample --run {run.path}")
    return outcome


def forecast_session(plan: TrainingPlan, *, verbosity: int = 1) -> dict[str, Any]:
    """Return what training would do, with the time it would take at most, measured by a short probe."""
    display = Display(Console(stderr=True), verbosity=verbosity)
    for line in plan.corpus.notes:
        display.note(line)
    load_backend()
    from chargen.training.trainer import measure_seconds_per_epoch  # imports Keras

    seconds = measure_seconds_per_epoch(plan)
    return plan.summary() | {
        "characters_per_second": round(plan.training.num_targets / seconds),
        "seconds_per_epoch": round(seconds, 2),
        "seconds_at_most": round(seconds * plan.settings.training.epochs, 1),
    }


def _slow_on_gpu(network: NetworkConfig) -> str | None:
    """Return the setting that cuDNN does not know, if there is one."""
    if network.recurrent_dropout:
        return "--recurrent-dropout"
    return "--no-reset-after" if network.cell == "gru" and not network.reset_after else None


def _tracker(plan: TrainingPlan, display: Display) -> Tracker:
    tracking = plan.settings.tracking
    return WandbTracker(tracking.wandb_project, warn=display.note) if tracking.wandb else NoTracker()
