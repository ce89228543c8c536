"""A classifier's training from plan to farewell: what the user is told, when the backend is loaded."""

from typing import Any

from rich.console import Console

from chargen.run import RunDirectory
from chargen.training.backend import load_backend
from chargen.training.classifier_plan import ClassifierPlan
from chargen.training.classifier_results import ClassifierOutcome
from chargen.training.display import Display
from chargen.training.session import make_tracker


def run_classifier_session(plan: ClassifierPlan, run: RunDirectory, *, verbosity: int = 1) -> ClassifierOutcome:
    """Train as planned and tell the user on stderr what happens. Raises TrainingError if the loss is no longer finite."""
    display = Display(Console(stderr=True), verbosity=verbosity)
    for line in (*plan.corpus.notes, *plan.describe()):
        display.note(line)
    load_backend()
    from chargen.training.classifier import train_classifier  # imports Keras, so the backend's chatter has to be muted by now

    outcome = train_classifier(plan, run, display=display, tracker=make_tracker(plan.settings, display))
    display.note(f'{outcome.describe()}; to use it: chargen classify --run {run.path} "some text"')
    return outcome


def forecast_classifier(plan: ClassifierPlan, *, verbosity: int = 1) -> dict[str, Any]:
    """Return what training would do, with the time it would take at most, measured by a short probe."""
    display = Display(Console(stderr=True), verbosity=verbosity)
    for line in plan.corpus.notes:
        display.note(line)
    load_backend()
    from chargen.training.classifier import measure_seconds_per_step  # imports Keras

    seconds = measure_seconds_per_step(plan) * plan.training.num_steps
    return plan.summary() | {
        "seconds_per_epoch": round(seconds, 2),
        "seconds_at_most": round(seconds * plan.settings.training.epochs, 1),
    }
