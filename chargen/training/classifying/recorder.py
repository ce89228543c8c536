"""Record each epoch of a classifier: models, metrics.csv, checkpoints, and a line for the user."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chargen.network.network import Network
from chargen.runs.directory import RunDirectory
from chargen.tracking.tracker import Tracker
from chargen.training.classifying.plan import ClassifierPlan
from chargen.training.classifying.results import ClassifierEpoch
from chargen.training.planning.plan import CharacterRate
from chargen.training.recording.display import Display
from chargen.training.recording.recorder import EpochRecorder, Figures
from chargen.training.recording.results import EpochResult
from chargen.writing.classifier import TextClassifier, save_classifier

ACCURACY_DIGITS = 6  # a share of texts has no more in float32


class ClassifierRecorder(EpochRecorder):
    """Records a network that tells labels; its losses are in nats a text."""

    def __init__(self, plan: ClassifierPlan, run: RunDirectory, display: Display, tracker: Tracker) -> None:
        super().__init__(plan, run, display, tracker)
        self._plan = plan

    def make_result(self, common: Mapping[str, Any], figures: Figures, validation: Figures | None) -> ClassifierEpoch:
        return ClassifierEpoch(
            **common,
            cross_entropy=figures["cross_entropy"],
            accuracy=round(figures["accuracy"], ACCURACY_DIGITS),
            validation_cross_entropy=validation["cross_entropy"] if validation else None,
            validation_accuracy=round(validation["accuracy"], ACCURACY_DIGITS) if validation else None,
            rate=CharacterRate(),
        )

    def restored_result(self, fields: Mapping[str, Any]) -> ClassifierEpoch:
        return ClassifierEpoch(**fields, rate=CharacterRate())

    def save(self, path: Path, network: Network) -> None:
        plan, last = self._plan, self.results[-1:]
        known = {"epochs": last[0].epoch, "accuracy": _epoch(last[0]).monitored_accuracy} if last else {}
        classifier = TextClassifier(
            network=network,
            vocabulary=plan.vocabulary,
            labels=plan.labels,
            context_length=plan.context_length,
            provenance={"corpus": plan.corpus.name, "sha256": plan.corpus.sha256, "texts": len(plan.corpus.documents)} | known,
        )
        save_classifier(path, classifier)

    def show(self, result: EpochResult, seconds_left: float) -> None:
        at_most = self._plan.settings.training.may_end_early
        self.display.epoch(_epoch(result).line(epochs=self.epochs, seconds_left=seconds_left, at_most=at_most))
        best = min(one.monitored for one in self.results)
        self.track(result, {"texts_per_second": _epoch(result).texts_per_second, "best_cross_entropy": best})


def _epoch(result: EpochResult) -> ClassifierEpoch:
    assert isinstance(result, ClassifierEpoch)
    return result
