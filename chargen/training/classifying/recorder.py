"""Record the epochs of a classifier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from chargen.network.network import Network
from chargen.training.classifying.plan import ClassifierPlan
from chargen.training.classifying.results import ClassifierEpoch, ClassifierOutcome
from chargen.training.recording.recorder import EpochRecorder
from chargen.training.recording.results import Figures
from chargen.writing.classifier import TextClassifier, save_classifier

ACCURACY_DIGITS = 6  # a share of texts has no more in float32


@final
class ClassifierRecorder(EpochRecorder[ClassifierEpoch]):
    """Records the epochs of a classifier; its losses are in nats a text."""

    plan: ClassifierPlan

    def make_result(self, fields: Mapping[str, Any], figures: Figures, validation: Figures | None) -> ClassifierEpoch:
        return ClassifierEpoch(
            **fields,
            cross_entropy=figures["cross_entropy"],
            accuracy=round(figures["accuracy"], ACCURACY_DIGITS),
            validation_cross_entropy=validation["cross_entropy"] if validation else None,
            validation_accuracy=round(validation["accuracy"], ACCURACY_DIGITS) if validation else None,
        )

    def restored_result(self, fields: Mapping[str, Any]) -> ClassifierEpoch:
        return ClassifierEpoch.restored(fields)

    def save_model(self, path: Path, network: Network) -> None:
        plan = self.plan
        known: dict[str, Any] = {
            "corpus": plan.corpus.name,
            "sha256": plan.corpus.sha256,
            "texts": len(plan.corpus.documents),
        }
        for last in self.results[-1:]:
            known |= last.provenance()
        classifier = TextClassifier(
            network=network,
            vocabulary=plan.vocabulary,
            labels=plan.labels,
            context_length=plan.context_length,
            provenance=known,
        )
        save_classifier(path, classifier)

    def after_epoch(self, network: Network) -> None:
        """Track the last epoch."""
        best = min(one.monitored for one in self.results)
        self.track({"texts_per_second": self.results[-1].texts_per_second, "best_cross_entropy": best})

    def outcome(self, interrupted_by: int | None) -> ClassifierOutcome:
        return ClassifierOutcome(results=tuple(self.results), interrupted_by=interrupted_by)
