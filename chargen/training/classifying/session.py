"""Run a classifier's training from the plan to the last message."""

from typing import Any

from chargen.runs.checkpoints import Checkpoint
from chargen.runs.directory import RunDirectory
from chargen.tracking.tracker import Trackers
from chargen.training.classifying.plan import ClassifierPlan
from chargen.training.classifying.recorder import ClassifierRecorder
from chargen.training.classifying.results import ClassifierEpoch, ClassifierOutcome
from chargen.training.devices.backend import load_backend
from chargen.training.devices.cudnn import describe_start
from chargen.training.forecast import forecast
from chargen.training.recording.display import Display
from chargen.training.session import make_tracker
from chargen.training.trainer import Trainer, train


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


def forecast_classifier(plan: ClassifierPlan, *, began: float, verbosity: int = 1) -> dict[str, Any]:
    """Return what training would do, with an estimate of the time since it `began`, by `time.perf_counter`."""
    display = Display(verbosity=verbosity)
    for line in plan.corpus.notes:
        display.note(line)
    trainer, quiet = _make_trainer(plan, display), Display(verbosity=0)
    found = forecast(trainer, plan, lambda run: ClassifierRecorder(plan, run, quiet, Trackers({})), began)
    display.note(found.describe(at_most=plan.settings.training.may_end_early))
    return plan.summary() | found.figures()


def _make_trainer(plan: ClassifierPlan, display: Display) -> Trainer:
    load_backend(plan.settings.training.backend)
    from chargen.training.classifying.model import classifier_trainer  # imports Keras, so its chatter has to be muted by now

    for line in describe_start(plan.settings):
        display.note(line)
    return classifier_trainer(plan)
