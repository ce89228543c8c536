"""What happens around Keras's training steps.

Batch hooks use `on_train_batch_begin`, never `on_train_batch_end`: the latter makes Keras read the loss back after each step.
"""

import math
import time
from collections.abc import Callable

import keras
import numpy as np

from chargen.corpus.large_text import Text
from chargen.corpus.vocabulary import Ids, Vocabulary
from chargen.errors import TrainingError
from chargen.network.generation import sample_texts
from chargen.network.model_file import TextModel, save_model
from chargen.network.sampling import Sampler
from chargen.run import RunDirectory
from chargen.tracking import SampleRow, Tracker
from chargen.training.display import Display
from chargen.training.export import export_text_model
from chargen.training.plan import TrainingPlan
from chargen.training.results import EpochResult

NAMES_IN_A_SAMPLE = 10  # documents written for a sample text of a corpus of lines
NAME_PROMPT_CHARACTERS = 2
NAME_SEPARATOR = ", "
PROMPT_CHARACTERS_PER_TOKEN = {"character": 1, "byte": 1, "word": 6, "bpe": 3}  # read for a prompt as long as a window


class ResetStates(keras.callbacks.Callback):
    """Start every epoch and every validation of a stateful model from the zero state."""

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.model.reset_states()

    def on_test_begin(self, logs: object = None) -> None:
        self.model.reset_states()


class StopAtLoss(keras.callbacks.Callback):
    """End training after the epoch whose training loss is small enough."""

    def __init__(self, cross_entropy: float) -> None:
        super().__init__()
        self._cross_entropy = cross_entropy

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs and logs["cross_entropy"] <= self._cross_entropy:
            self.model.stop_training = True


class Interruption(keras.callbacks.Callback):
    """Raise TrainingInterrupted between two steps once a signal has asked for it."""

    def __init__(self, requested: Callable[[], int | None]) -> None:
        super().__init__()
        self._requested = requested

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self._check()

    def on_test_batch_begin(self, batch: int, logs: object = None) -> None:
        self._check()

    def _check(self) -> None:
        signal_number = self._requested()
        if signal_number is not None:
            raise TrainingInterrupted(signal_number)


class TrainingInterrupted(Exception):  # noqa: N818
    """A signal asked training to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number


class EpochEnd(keras.callbacks.Callback):
    """At the end of an epoch: metrics.csv, the models, sample text, the tracker and the display, in this order."""

    def __init__(self, plan: TrainingPlan, run: RunDirectory, display: Display, tracker: Tracker) -> None:
        super().__init__()
        self._plan, self._run, self._display, self._tracker = plan, run, display, tracker
        self._results: list[EpochResult] = []
        self._epochs = plan.settings.training.epochs
        self._training_seconds = 0.0
        self._epoch_began = self._fit_began = time.perf_counter()

    @property
    def results(self) -> list[EpochResult]:
        """What every finished epoch brought."""
        return self._results

    def on_train_begin(self, logs: object = None) -> None:
        self._fit_began = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._epoch_began = time.perf_counter()
        self._training_seconds = 0.0
        self._display.epoch_begins(epoch + 1, epochs=self._epochs, steps=self._plan.training.num_steps)

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if self._display.due() and batch > 0:
            cross_entropy = float(self.model.get_metrics_result()["cross_entropy"])
            self._display.step(batch * self._plan.steps_per_execution, cross_entropy=cross_entropy)

    def on_test_begin(self, logs: object = None) -> None:
        self._training_seconds = time.perf_counter() - self._epoch_began

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        result = self._result(epoch + 1, logs)
        if not math.isfinite(result.monitored):
            kept = f"; {self._run.model} holds the best model before it" if self._results else ""
            raise TrainingError(
                f"the loss is {result.monitored} after epoch {result.epoch}{kept}",
                hint="try a lower --learning-rate, or --clip-norm 1",
            )
        best = all(result.monitored < earlier.monitored for earlier in self._results)
        self._results.append(result)
        model = self.text_model()
        self._keep(model, best=best)
        self._display.epoch_ends(result, epochs=self._epochs, seconds_left=self._seconds_left(result.epoch))
        speed = {"characters_per_second": result.characters_per_second}
        self._tracker.log({name: value for name, value in (result.row() | speed).items() if value is not None})
        every = self._plan.settings.samples.sample_every
        if every and result.epoch % every == 0:
            self._write_sample(model, result.epoch)

    def _result(self, epoch: int, logs: dict[str, float]) -> EpochResult:
        return EpochResult(
            epoch=epoch,
            step=epoch * self._plan.training.num_steps,
            cross_entropy=float(logs["cross_entropy"]),
            validation_cross_entropy=float(logs["val_cross_entropy"]) if "val_cross_entropy" in logs else None,
            learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            seconds=self._training_seconds or time.perf_counter() - self._epoch_began,
            num_targets=self._plan.training.num_targets,
            rate=self._plan.rate,
        )

    def _keep(self, model: TextModel, *, best: bool) -> None:
        """Write metrics.csv and the last model, and the best where this is it."""
        save_model(self._run.last_model, model)
        if best:
            save_model(self._run.model, model)
        self._run.write_metrics([one.row() for one in self._results])

    def text_model(self) -> TextModel:
        """Return the model as it is now, with the figures of the last finished epoch."""
        last = self._results[-1:]
        known = {"epochs": last[0].epoch, "bits_per_character": last[0].bits_per_character} if last else {}
        return export_text_model(self.model, self._plan, known)

    def _seconds_left(self, epoch: int) -> float:
        return (time.perf_counter() - self._fit_began) / epoch * (self._epochs - epoch)

    def _write_sample(self, model: TextModel, epoch: int) -> None:
        rows = sample_rows(model, self._plan, epoch)
        text = sample_layout(epoch, rows)
        with self._run.samples.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text + "\n")
        self._display.sample(text)
        self._tracker.log_samples(rows)


def sample_rows(model: TextModel, plan: TrainingPlan, epoch: int) -> list[SampleRow]:
    """Write text at each diversity from one prompt out of the corpus, drawn from the random seed and the epoch."""
    samples = plan.settings.samples
    rng = np.random.default_rng([plan.settings.training.random_seed, epoch])
    by_line = plan.corpus.reading == "line"
    document = plan.documents[int(rng.integers(len(plan.documents)))]
    ids = corpus_prompt(document.text, plan.vocabulary, by_line=by_line, length=model.context_length, rng=rng)
    prompt = plan.vocabulary.decode(ids)
    if document.label is not None:
        model = model.with_label(document.label)
    rows = []
    for diversity in samples.diversity:
        texts = sample_texts(
            model,
            ids,
            count=NAMES_IN_A_SAMPLE if by_line else 1,
            length=max(1, samples.sample_length // NAMES_IN_A_SAMPLE) if by_line else samples.sample_length,
            sampler=Sampler(temperature=diversity),
            rng=rng,
        )
        rows.append((epoch, prompt, diversity, NAME_SEPARATOR.join(prompt + text for text in texts)))
    return rows


def corpus_prompt(text: Text, vocabulary: Vocabulary, *, by_line: bool, length: int, rng: np.random.Generator) -> Ids:
    """Return ids of the first letters of a line, or of a random window of `length` tokens of a document."""
    if by_line:
        return vocabulary.encode(str(text[:NAME_PROMPT_CHARACTERS]))
    characters = length * PROMPT_CHARACTERS_PER_TOKEN[vocabulary.kind]
    start = int(rng.integers(max(1, len(text) - characters)))
    return vocabulary.encode(str(text[start : start + characters]))[:length]


def sample_layout(epoch: int, rows: list[SampleRow]) -> str:
    """Return sample texts in the layout of the classic Keras text-generation example."""
    lines = [f"----- Generating text after epoch {epoch}"]
    for _, prompt, diversity, text in rows:
        lines += [f"----- diversity: {diversity:g}", f'----- Generating with seed: "{prompt}"', text, ""]
    return "\n".join(lines)
