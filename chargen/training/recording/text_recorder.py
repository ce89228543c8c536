"""Record the epochs of a network that writes text: also sample texts and gradients."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from chargen.network.cells import Floats
from chargen.network.model_file import LEAST_DRIFT, TextModel, load_model, save_model
from chargen.network.network import Network
from chargen.runs.directory import RunDirectory
from chargen.runs.samples import sample_layout
from chargen.tracking.tracker import Tracker
from chargen.training.planning.text_plan import TextPlan
from chargen.training.recording.calibration import CALIBRATED, calibrate, describe
from chargen.training.recording.display import Display
from chargen.training.recording.gradients import GradientLog
from chargen.training.recording.ngram_memory import add_memory_to_run
from chargen.training.recording.recorder import EpochRecorder
from chargen.training.recording.results import Figures, TextEpoch, TextOutcome
from chargen.training.recording.samples import SampleLog


@final
class TextRecorder(EpochRecorder[TextEpoch]):
    """Records the epochs of a network that writes text."""

    plan: TextPlan

    def __init__(
        self,
        plan: TextPlan,
        run: RunDirectory,
        display: Display,
        tracker: Tracker,
        *,
        leads: bool = True,
        watch: Callable[[Sequence[TextEpoch]], bool] | None = None,
    ) -> None:
        super().__init__(plan, run, display, tracker, leads=leads, watch=watch)
        self.samples, self.gradients = SampleLog(plan, run), GradientLog(plan, run)
        self._warned_of_drift = False
        self._whole: float | None = None  # bits a character of the best model on all held-out text

    def make_result(self, fields: Mapping[str, Any], figures: Figures, validation: Figures | None) -> TextEpoch:
        return TextEpoch(
            **fields,
            cross_entropy=figures["cross_entropy"],
            validation_cross_entropy=validation["cross_entropy"] if validation else None,
            conversion=self.plan.conversion,
            validation_share=self.plan.validation.share if self.plan.validation else 1.0,
            drift=validation.get("drift") if validation else None,
        )

    def restored_result(self, fields: Mapping[str, Any]) -> TextEpoch:
        return TextEpoch(**fields, conversion=self.plan.conversion)

    def save_model(self, path: Path, network: Network) -> None:
        save_model(path, self._text_model(network))

    def _text_model(self, network: Network) -> TextModel:
        """Return the model of a network, with the figures of the last epoch."""
        corpus = self.plan.corpus
        known = {"corpus": corpus.name, "sha256": corpus.sha256, "characters": corpus.num_characters}
        for last in self.results[-1:]:
            known |= last.provenance()
        return self.plan.text_model(network, known)

    def after_epoch(self, network: Network) -> None:
        """Track the last epoch; measure its gradients and write sample text if it is time to."""
        last = self.results[-1]
        self._warn_of_drift(last)
        norms = self.gradients.record(network, last.epoch, self.display)
        best = min(one.bits_per_character for one in self.results)
        rest = {"characters_per_second": last.characters_per_second, "best_bits_per_character": best}
        self.track(rest | {f"gradient_norm/{layer}": norm for layer, norm in norms.items()})
        every = self.plan.settings.samples.sample_every
        if every and last.epoch % every == 0:
            self._write_sample(network, last.epoch)

    def _warn_of_drift(self, last: TextEpoch) -> None:
        """Print a warning, once, if the carried state makes held-out text cost more."""
        if last.drift_bits > LEAST_DRIFT and not self._warned_of_drift:
            self._warned_of_drift = True
            self.display.note(
                f"the carried state has drifted: held-out text costs {last.drift_bits:.2f} bits a character more with it "
                "than from the zero state; train longer, or with a lower --learning-rate"
            )

    def _write_sample(self, network: Network, epoch: int) -> None:
        """Write, show and track the sample texts of an epoch."""
        samples = self.samples.write(self._text_model(network), epoch)
        self.display.sample(sample_layout(samples))
        self.tracker.log_samples(samples)

    def measure_whole(self, measure: Callable[[Mapping[str, Floats]], Figures]) -> None:
        """Measure the best model on all held-out text, and store its figure in the model file."""
        model = load_model(self.run.model)
        self._whole = self.plan.conversion.bits_per_character(measure(model.one_network.weights)["cross_entropy"])
        known = {"bits_per_character": self._whole, "validation_share": 1.0}
        with self.explained_failure("the model"):
            save_model(self.run.model, dataclasses.replace(model, provenance={**model.provenance, **known}))

    def finish(self) -> None:
        """Calibrate the best model, and add an n-gram memory to the models, as the settings say."""
        if not (self._leads and self.results):
            return
        training = self.plan.settings.training
        with self.explained_failure("the models"):
            if training.calibrate:
                self._calibrate()
            if training.memory:
                bits = min(one.bits_per_character for one in self.results) if self._whole is None else self._whole
                self.display.note(add_memory_to_run(self.plan, self.run, bits))

    def _calibrate(self) -> None:
        """Calibrate the best model by the held-out text, and store its figure."""
        held_out, model = self.plan.to_calibrate, load_model(self.run.model)
        if CALIBRATED in model.provenance:  # the run goes on, and its best epoch was before that
            self._whole = model.provenance["bits_per_character"]
        elif held_out and (found := calibrate(model.with_memory(0), held_out)):
            bits = self.plan.conversion.bits_per_character
            self._whole = bits(found.nats)
            known = {"bits_per_character": self._whole, "validation_share": 1.0}
            model = found.applied(model)
            save_model(self.run.model, dataclasses.replace(model, provenance={**model.provenance, **known}))
            self.display.note(describe(found, self._whole, bits(found.nats_before)))

    def outcome(self, interrupted_by: int | None) -> TextOutcome:
        return TextOutcome(results=tuple(self.results), interrupted_by=interrupted_by, whole=self._whole)

    def facts(self) -> dict[str, Any]:
        return super().facts() | self.samples.facts() | self.gradients.facts()

    def restore(self, facts: Mapping[str, Any]) -> None:
        super().restore(facts)
        self.gradients.restore(facts)
        if self._leads:
            self.samples.restore(facts)
