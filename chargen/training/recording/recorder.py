"""Record each epoch: models, metrics.csv, samples, checkpoints, and a line for the user."""

import dataclasses
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from chargen.corpus.corpus import Corpus
from chargen.corpus.windows import BatchPlan
from chargen.errors import RunError, TrainingError
from chargen.network.cells import Floats
from chargen.network.model_file import LEAST_DRIFT, TextModel, load_model, save_model
from chargen.network.network import Network
from chargen.runs.checkpoints import Arrays, Checkpoint, Position, write_checkpoint
from chargen.runs.directory import RunDirectory
from chargen.settings.schema import Settings
from chargen.tracking.tracker import Tracker
from chargen.training.planning.plan import TrainingPlan
from chargen.training.recording.display import Display
from chargen.training.recording.gradients import describe_flow, measure_flow, worst_flow
from chargen.training.recording.results import EpochResult
from chargen.training.recording.samples import sample_layout, sample_rows
from chargen.training.recording.stopping import Progress

Figures = Mapping[str, float]  # "cross_entropy" in nats a token or text, and what else was measured
Watch = Callable[[Sequence[EpochResult]], bool]  # takes all epochs so far after each one, and tells whether to stop


class PlannedRun(Protocol):
    """What a recorder has to know of a plan."""

    @property
    def settings(self) -> Settings:
        """Every setting, chosen."""

    @property
    def corpus(self) -> Corpus:
        """What is learnt."""

    @property
    def training(self) -> BatchPlan:
        """The batches of an epoch."""


class EpochRecorder(ABC):
    """Writes the models, metrics.csv and checkpoints, and tells the tracker and the display."""

    def __init__(
        self, plan: PlannedRun, run: RunDirectory, display: Display, tracker: Tracker, *, watch: Watch | None = None
    ) -> None:
        self._watch = watch
        self.run, self.display, self.tracker = run, display, tracker
        self._run_plan = plan
        self.results: list[EpochResult] = []
        self.progress = Progress(plan.settings.training)
        self.epochs = plan.settings.training.epochs
        self._first_epoch = self._first_step = self._checkpoint_step = self._num_left_out = 0
        self._training_seconds = self._checkpoint_seconds = 0.0
        self._checkpoint_time = self._epoch_began = self._began = time.perf_counter()

    @abstractmethod
    def make_result(self, common: Mapping[str, Any], figures: Figures, validation: Figures | None) -> EpochResult:
        """Return what an epoch brought; `common` holds the fields that any result has, but for the losses."""

    @abstractmethod
    def restored_result(self, fields: Mapping[str, Any]) -> EpochResult:
        """Return a result that a checkpoint remembers by its fields, all but `rate`."""

    @abstractmethod
    def save(self, path: Path, network: Network) -> None:
        """Write a model file."""

    @abstractmethod
    def show(self, result: EpochResult, seconds_left: float) -> None:
        """Show a person what an epoch brought."""

    def after_epoch(self, network: Network, result: EpochResult) -> None:  # noqa: B027
        """Do what else is to be done after an epoch."""

    def best_weights(self) -> Mapping[str, Floats]:
        """Return the weights of the best model, for those that measure it at the end."""
        raise NotImplementedError

    def measured_whole(self, figures: Figures) -> None:
        """Record what the best model costs on all of the held-out text."""
        raise NotImplementedError

    def begins(self, first_epoch: int, *, compiled_in: float = 0.0) -> None:
        """Take the time at which training starts, with an epoch counted from 0, and show how long the start took."""
        self.display.ready(compiled_in)
        self._began, self._first_epoch = time.perf_counter(), first_epoch

    def epoch_begins(self, epoch: int, *, first_step: int = 0) -> None:
        """Take the time, and show that an epoch, counted from 1, begins or goes on from a step."""
        self._epoch_began, self._first_step = time.perf_counter(), first_step
        self._checkpoint_step, self._num_left_out = first_step, 0
        self.display.epoch_begins(epoch, epochs=self.epochs, steps=self._run_plan.training.num_steps)

    def steps_left_out(self, steps: int) -> None:
        """Count steps of the epoch that are not taken."""
        self.display.detail(f"{steps} steps are left out, to end in time")
        self._num_left_out += steps

    @property
    def wants_loss(self) -> bool:
        """Whether it is time to show how far the epoch is."""
        return self.display.due()

    def step(self, done: int, cross_entropy: float) -> None:
        """Show that so many steps of the epoch are done, with the mean loss."""
        self.display.step(done, cross_entropy=cross_entropy)

    def validation_begins(self) -> None:
        """Take the time that the training part of the epoch took."""
        self._training_seconds = time.perf_counter() - self._epoch_began

    def epoch_ends(self, epoch: int, figures: Figures, validation: Figures | None, *, rate: float, network: Network) -> None:
        """Keep and show an epoch, counted from 1: its figures, the learning rate after it, the network as it is now.

        Raises TrainingError if a loss is not finite; the models of the epochs before stay.
        """
        for measured in (figures, validation or figures):
            self.check_finite(epoch, measured["cross_entropy"])
        result = self.make_result(self._common(epoch, rate), figures, validation)
        best = self.progress.update(result)
        self.results.append(result)
        self.keep(result, network, best=best)

    def keep(self, result: EpochResult, network: Network, *, best: bool) -> None:
        """Write and show an epoch. Raises RunError where that cannot be done."""
        with self._explained_failure("the models"):
            self.save(self.run.last_model, network)
            if best:
                self.save(self.run.model, network)
            self.run.write_metrics([one.row() for one in self.results])
        with self.display.held_back() as shown_after, self._explained_failure("the sample text"):
            self.after_epoch(network, result)
        self.show(result, self._seconds_left(result.epoch))  # by all that an epoch takes, sample text included
        for show in shown_after:
            show()
        if self._watch and self._watch(self.results):
            self.progress.stop = True

    def _common(self, epoch: int, rate: float) -> dict[str, Any]:
        training = self._run_plan.training
        return {
            "epoch": epoch,
            "step": epoch * training.num_steps,
            "learning_rate": rate,
            "seconds": self._training_seconds,
            "num_targets": round(training.num_targets * (1 - (self._first_step + self._num_left_out) / training.num_steps)),
        }

    def track(self, result: EpochResult, rest: dict[str, float]) -> None:
        """Tell the tracker what an epoch brought: what metrics.csv says of it, and the rest."""
        self.tracker.log({name: value for name, value in (result.row() | rest).items() if value is not None})

    def _seconds_left(self, epoch: int) -> float:
        done, seconds = epoch - self._first_epoch, time.perf_counter() - self._began + self._checkpoint_seconds
        return seconds / done * (self.epochs - epoch)

    def interrupted(self, network: Network) -> None:
        """Keep the weights as they are; before the first epoch's end they are also the best there is."""
        with self._explained_failure("the model"):
            self.save(self.run.last_model, network)
            if not self.results:
                self.save(self.run.model, network)

    @contextmanager
    def _explained_failure(self, what: str) -> Iterator[None]:
        """Turn an OSError within into a RunError."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"cannot write {what} of {self.run.path}: {error.strerror}",
                hint="the last checkpoint is whole; make room, then chargen train --resume",
            ) from error

    def check_finite(self, epoch: int, loss: float) -> None:
        """Raise TrainingError if a loss of an epoch, counted from 1, is not finite."""
        if math.isfinite(loss):
            return
        kept = f"; {self.run.model} holds the best model before it" if self.results else ""
        raise TrainingError(f"the loss is {loss} in epoch {epoch}{kept}", hint="try a lower --learning-rate, or --clip-norm 1")

    def wants_checkpoint(self, step: int) -> bool:
        """Tell whether so many steps, or so much time, have gone by since the last checkpoint."""
        training = self._run_plan.settings.training
        steps, seconds = step - self._checkpoint_step, time.perf_counter() - self._checkpoint_time
        return bool(training.checkpoint_steps and steps >= training.checkpoint_steps) or seconds >= training.checkpoint_seconds

    def write_checkpoint(self, position: Position, state: Arrays) -> None:
        """Write all that training would go on from at a position. Raises RunError where that cannot be done."""
        before = time.perf_counter()
        self.keep_checkpoint(position, state)
        self._checkpoint_step, self._checkpoint_time = position.step, time.perf_counter()
        self._checkpoint_seconds = self._checkpoint_time - before

    def keep_checkpoint(self, position: Position, state: Arrays) -> None:
        """Write the files of a checkpoint. Raises RunError where that cannot be done."""
        facts = {
            "settings": self._run_plan.settings.to_mapping(),
            "corpus": self._run_plan.corpus.sha256,
            "results": [_plain(result) for result in self.results],
            "progress": self.progress.facts(),
            "samples_bytes": self.run.samples.stat().st_size if self.run.samples.exists() else 0,
        }
        with self._explained_failure("a checkpoint"):
            write_checkpoint(self.run.checkpoints, Checkpoint(position, state, facts | self.more_facts()))

    def more_facts(self) -> dict[str, Any]:
        """Return what else a checkpoint remembers."""
        return {}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take back what `write_checkpoint` wrote of the epochs; sample text that came after it is cut off."""
        self.results = [self.restored_result(fields) for fields in facts["results"]]
        self.progress.restore(facts["progress"])
        self.cut_samples(facts["samples_bytes"])

    def cut_samples(self, size: int) -> None:
        """Leave so many bytes of the sample texts."""
        if self.run.samples.exists():
            os.truncate(self.run.samples, size)


def _plain(result: EpochResult) -> dict[str, Any]:
    fields = dataclasses.asdict(result)
    del fields["rate"]  # which the plan makes again
    return fields


class TextRecorder(EpochRecorder):
    """Records a network that writes text: also sample text and the gradient log."""

    def __init__(
        self, plan: TrainingPlan, run: RunDirectory, display: Display, tracker: Tracker, *, watch: Watch | None = None
    ) -> None:
        super().__init__(plan, run, display, tracker, watch=watch)
        self._plan = plan
        self._flows: list[dict[str, Any]] = []
        self._warned = self._warned_of_drift = False
        self.whole: float | None = None  # bits a character of the best model on all of the held-out text

    def make_result(self, common: Mapping[str, Any], figures: Figures, validation: Figures | None) -> EpochResult:
        return EpochResult(
            **common,
            cross_entropy=figures["cross_entropy"],
            validation_cross_entropy=validation["cross_entropy"] if validation else None,
            rate=self._plan.rate,
            validation_share=self._plan.validation.share if self._plan.validation else 1.0,
            drift=validation.get("drift") if validation else None,
        )

    def restored_result(self, fields: Mapping[str, Any]) -> EpochResult:
        return EpochResult(**fields, rate=self._plan.rate)

    def save(self, path: Path, network: Network) -> None:
        save_model(path, self._text_model(network))

    def _text_model(self, network: Network) -> TextModel:
        """Return the model of a network, with the figures of the last finished epoch."""
        plan, last = self._plan, self.results[-1:]
        known: dict[str, Any] = {}
        if last:
            known = {"epochs": last[0].epoch, "bits_per_character": last[0].bits_per_character}
            known |= {"validation_share": last[0].validation_share} if last[0].validation_share < 1 else {}
            known |= {"drift": last[0].drift_bits} if last[0].drift_bits > LEAST_DRIFT else {}
        corpus = {"corpus": plan.corpus.name, "sha256": plan.corpus.sha256, "characters": plan.corpus.num_characters}
        return plan.text_model(network, corpus | known)

    def show(self, result: EpochResult, seconds_left: float) -> None:
        at_most = self._plan.settings.training.may_end_early
        self.display.epoch_ends(result, epochs=self.epochs, seconds_left=seconds_left, at_most=at_most)

    def best_weights(self) -> Mapping[str, Floats]:
        """Return the weights of the best model."""
        return load_model(self.run.model).network.weights

    def measured_whole(self, figures: Figures) -> None:
        """Record what the best model costs on all of the held-out text."""
        self.whole = self._plan.rate.bits_per_character(figures["cross_entropy"])
        model = load_model(self.run.model)
        with self._explained_failure("the model"):
            known = {"bits_per_character": self.whole, "validation_share": 1.0}
            save_model(self.run.model, dataclasses.replace(model, provenance={**model.provenance, **known}))

    def after_epoch(self, network: Network, result: EpochResult) -> None:
        if result.drift_bits > LEAST_DRIFT and not self._warned_of_drift:
            self._warned_of_drift = True
            self.display.note(
                f"the carried state has drifted: held-out text costs {result.drift_bits:.2f} bits a character more with it "
                "than from the zero state; train longer, or with a lower --learning-rate"
            )
        norms = self._log_gradients(network, result.epoch)
        best = min(one.bits_per_character for one in self.results)
        rest = {"characters_per_second": result.characters_per_second, "best_bits_per_character": best}
        self.track(result, rest | {f"gradient_norm/{layer}": norm for layer, norm in norms.items()})
        every = self._plan.settings.samples.sample_every
        if every and result.epoch % every == 0:
            self._write_sample(self._text_model(network), result.epoch)

    def _log_gradients(self, network: Network, epoch: int) -> dict[str, float]:
        """Keep and show how gradients flow, and return their norm in each layer; none where that is not known."""
        flows = measure_flow(network, self._plan)
        if not flows:
            return {}
        self._flows += [{"epoch": epoch} | flow._asdict() for flow in flows]
        self.run.write_gradients(self._flows)
        for line in describe_flow(flows):
            self.display.detail(line)
        trouble = worst_flow(flows)
        if trouble and not self._warned:
            self.display.note(trouble)
            self._warned = True
        return {flow.layer: flow.gradient_norm for flow in flows}

    def _write_sample(self, model: TextModel, epoch: int) -> None:
        rows = sample_rows(model, self._plan, epoch)
        text = sample_layout(epoch, rows)
        with self.run.samples.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text + "\n")
        self.display.sample(text)
        self.tracker.log_samples(rows)

    def more_facts(self) -> dict[str, Any]:
        return {"flows": self._flows}

    def restore(self, facts: Mapping[str, Any]) -> None:
        super().restore(facts)
        self._flows = list(facts["flows"])
