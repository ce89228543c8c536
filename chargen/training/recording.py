"""What is kept and shown of an epoch, whatever trained it."""

import math
import time
from typing import Any

from chargen.corpus.documents import Corpus
from chargen.errors import TrainingError
from chargen.network.model_file import TextModel, save_model
from chargen.network.network import Network
from chargen.run import RunDirectory
from chargen.tracking import Tracker
from chargen.training.display import Display
from chargen.training.gradients import describe_flow, measure_flow, worst_flow
from chargen.training.plan import TrainingPlan
from chargen.training.results import EpochResult
from chargen.training.samples import sample_layout, sample_rows
from chargen.training.stopping import Progress


class EpochRecorder:
    """Writes the models, metrics.csv and sample text of every epoch, and tells the tracker and the display."""

    def __init__(self, plan: TrainingPlan, run: RunDirectory, display: Display, tracker: Tracker) -> None:
        self._plan, self._run, self._display, self._tracker = plan, run, display, tracker
        self.results: list[EpochResult] = []
        self.progress = Progress(plan.settings.training)
        self._flows: list[dict[str, Any]] = []
        self._warned = False
        self._epochs = plan.settings.training.epochs
        self._training_seconds = 0.0
        self._epoch_began = self._began = time.perf_counter()

    def begins(self) -> None:
        """Take the time at which training starts."""
        self._began = time.perf_counter()

    def epoch_begins(self, epoch: int) -> None:
        """Take the time, and show that an epoch, counted from 1, begins."""
        self._epoch_began = time.perf_counter()
        self._training_seconds = 0.0
        self._display.epoch_begins(epoch, epochs=self._epochs, steps=self._plan.training.num_steps)

    @property
    def wants_loss(self) -> bool:
        """Whether it is time to show how far the epoch is."""
        return self._display.due()

    def step(self, done: int, cross_entropy: float) -> None:
        """Show that so many steps of the epoch are done, with the mean loss in nats a token."""
        self._display.step(done, cross_entropy=cross_entropy)

    def validation_begins(self) -> None:
        """Take the time that the training part of the epoch took."""
        self._training_seconds = time.perf_counter() - self._epoch_began

    def epoch_ends(self, epoch: int, *, cross_entropy: float, validation: float | None, rate: float, network: Network) -> None:
        """Keep and show an epoch: its losses in nats a token, the learning rate after it, the network as it is now.

        Raises TrainingError if a loss is not finite; the models of the epochs before stay.
        """
        result = EpochResult(
            epoch=epoch,
            step=epoch * self._plan.training.num_steps,
            cross_entropy=cross_entropy,
            validation_cross_entropy=validation,
            learning_rate=rate,
            seconds=self._training_seconds or time.perf_counter() - self._epoch_began,
            num_targets=self._plan.training.num_targets,
            rate=self._plan.rate,
        )
        self._check_finite(result)
        best = self.progress.update(result)
        self.results.append(result)
        model = self.text_model(network)
        self._keep(model, best=best)
        self._display.epoch_ends(result, epochs=self._epochs, seconds_left=self._seconds_left(epoch))
        speed = {"characters_per_second": result.characters_per_second}
        self._tracker.log({name: value for name, value in (result.row() | speed).items() if value is not None})
        self._log_gradients(network, epoch)
        every = self._plan.settings.samples.sample_every
        if every and epoch % every == 0:
            self._write_sample(model, epoch)

    def interrupted(self, network: Network) -> None:
        """Keep the weights as they are; before the first epoch's end they are also the best there is."""
        model = self.text_model(network)
        save_model(self._run.last_model, model)
        if not self.results:
            save_model(self._run.model, model)

    def text_model(self, network: Network) -> TextModel:
        """Return the model of a network, with the figures of the last finished epoch."""
        plan, last = self._plan, self.results[-1:]
        known = {"epochs": last[0].epoch, "bits_per_character": last[0].bits_per_character} if last else {}
        return TextModel(
            network=network,
            vocabulary=plan.vocabulary,
            reading=plan.corpus.reading,
            context_length=plan.windows.context_length,
            primer=plan.primer,
            ends=plan.ends,
            provenance=_provenance(plan.corpus) | known,
        )

    def _check_finite(self, result: EpochResult) -> None:
        if math.isfinite(result.monitored) and math.isfinite(result.cross_entropy):
            return
        kept = f"; {self._run.model} holds the best model before it" if self.results else ""
        raise TrainingError(
            f"the loss is {result.monitored} after epoch {result.epoch}{kept}",
            hint="try a lower --learning-rate, or --clip-norm 1",
        )

    def _keep(self, model: TextModel, *, best: bool) -> None:
        """Write metrics.csv and the last model, and the best where this is it."""
        save_model(self._run.last_model, model)
        if best:
            save_model(self._run.model, model)
        self._run.write_metrics([one.row() for one in self.results])

    def _log_gradients(self, network: Network, epoch: int) -> None:
        flows = measure_flow(network, self._plan)
        if not flows:
            return
        self._flows += [{"epoch": epoch} | flow._asdict() for flow in flows]
        self._run.write_gradients(self._flows)
        for line in describe_flow(flows):
            self._display.detail(line)
        trouble = worst_flow(flows)
        if trouble and not self._warned:
            self._display.note(trouble)
            self._warned = True

    def _seconds_left(self, epoch: int) -> float:
        return (time.perf_counter() - self._began) / epoch * (self._epochs - epoch)

    def _write_sample(self, model: TextModel, epoch: int) -> None:
        rows = sample_rows(model, self._plan, epoch)
        text = sample_layout(epoch, rows)
        with self._run.samples.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text + "\n")
        self._display.sample(text)
        self._tracker.log_samples(rows)


def _provenance(corpus: Corpus) -> dict[str, str | int]:
    return {"corpus": corpus.name, "sha256": corpus.sha256, "characters": corpus.num_characters}
