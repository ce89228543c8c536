"""A classifier's training from plan to farewell: what the user is told, when the backend is loaded."""

from typing import Any

from chargen.checkpoints import Checkpoint
from chargen.run import RunDirectory
from chargen.training.classifying.plan import ClassifierPlan
from chargen.training.classifying.recorder import ClassifierRecorder
from chargen.training.classifying.results import ClassifierEpoch, ClassifierOutcome
from chargen.training.devices.backend import load_backend
from chargen.training.devices.cudnn import describe_start
from chargen.training.recording.display import Display
from chargen.training.session import make_tracker
from chargen.training.trainer import Trainer, seconds_per_epoch, train


def run_classifier_session(
    plan: ClassifierPlan, run: RunDirectory, *, checkpoint: Checkpoint | None = None, verbosity: int = 1
) -> ClassifierOutcome:
    """Train as planned and tell the user on stderr what happens. Raises what `chargen.training.trainer.train` raises."""
    display = Display(verbosity=verbosity)
    for line in (*plan.corpus.notes, *plan.describe()):
        display.note(line)
    recorder = ClassifierRecorder(plan, run, display, make_tracker(plan.settings, display))
    interrupted_by = train(_make_trainer(plan, display), plan, recorder, checkpoint=checkpoint)
    epochs = tuple(one for one in recorder.results if isinstance(one, ClassifierEpoch))
    outcome = ClassifierOutcome(results=epochs, interrupted_by=interrupted_by)
    display.note(f'{outcome.describe()}; to use it: chargen classify --run {run.path} "some text"')
    return outcome


def forecast_classifier(plan: ClassifierPlan, *, verbosity: int = 1) -> dict[str, Any]:
    """Return what training would do, with the time it would take at most, measured by a short probe."""
    display = Display(verbosity=verbosity)
    for line in plan.corpus.notes:
        display.note(line)
    seconds = seconds_per_epoch(_make_trainer(plan, display), plan)
    return plan.summary() | {
        "seconds_per_epoch": round(seconds, 2),
        "seconds_at_most": round(seconds * plan.settings.training.epochs, 1),
    }


def _make_trainer(plan: ClassifierPlan, display: Display) -> Trainer:
    load_backend(plan.settings.training.backend)
    from chargen.training.classifying.model import classifier_trainer  # imports Keras, so its chatter has to be muted by now

    for line in describe_start(plan.settings):
        display.note(line)
    return classifier_trainer(plan)
