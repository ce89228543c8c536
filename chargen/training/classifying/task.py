"""Train a classifier with Keras."""

from dataclasses import dataclass, replace
from typing import final

from chargen.runs.directory import RunDirectory
from chargen.tracking.tracker import Tracker
from chargen.training.classifying.plan import ClassifierPlan
from chargen.training.classifying.recorder import ClassifierRecorder
from chargen.training.devices.backend import load_backend
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.planning.word_vectors import WordVectors
from chargen.training.recording.display import Display
from chargen.training.task import Comparison, Tested
from chargen.training.trainer import Trainer, start_embedding
from chargen.writing.classifier import load_classifier, save_classifier


@final
@dataclass(frozen=True)
class ClassifierTask:
    """The training of a classifier."""

    plan: ClassifierPlan
    word_vectors: WordVectors | None = None

    def make_trainer(self, display: Display, ranks: Ranks = ALONE) -> Trainer:
        backend = self.plan.settings.training.backend
        with display.waiting_for(f"loading {backend}"):
            load_backend(backend)
        from chargen.training.classifying.model import classifier_trainer  # imports Keras: its messages are muted by now
        from chargen.training.device_notes import show_device

        show_device(self.plan.settings, display)
        trainer = classifier_trainer(self.plan)
        start_embedding(trainer, self.word_vectors, self.plan.vocabulary, display)
        return trainer

    def make_recorder(self, run: RunDirectory, display: Display, tracker: Tracker, *, leads: bool = True) -> ClassifierRecorder:
        return ClassifierRecorder(self.plan, run, display, tracker, leads=leads)

    def next_command(self, run: RunDirectory) -> str:
        return f'to use it: chargen classify --run {run.path} "some text"'

    def compare(self, quality: float) -> Comparison:
        """Compare the accuracy with that of baselines that learnt from the same texts."""
        from chargen.insight.labels import baseline_accuracies

        held_out = self.plan.held_out
        baselines = baseline_accuracies(self.plan.documents, held_out)
        figures = "  ".join(f"{name} {accuracy:.3f}" for name, accuracy in ({"network": quality} | baselines).items())
        return Comparison(baselines, [f"accuracy on the {len(held_out):,} texts held out: {figures}"])

    def test(self, run: RunDirectory) -> Tested | None:
        """Measure the accuracy of the best model on the texts of --test."""
        from chargen.insight.confusion import measure_confusion

        test = self.plan.test
        if test is None:
            return None
        model = load_classifier(run.model)
        confusion = measure_confusion(model, test.documents)
        figures = {"corpus": test.name, "sha256": test.sha256} | confusion.summary()
        save_classifier(run.model, replace(model, provenance=dict(model.provenance) | {"test": figures}))
        lines = [f"accuracy on the {confusion.texts:,} texts of --test {test.name}: {confusion.accuracy:.3f}"]
        return Tested(figures, [*lines, confusion.describe_mistakes()])
