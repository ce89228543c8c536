"""Train a network that writes text, with Keras or in NumPy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from chargen.runs.directory import RunDirectory
from chargen.tracking.tracker import Tracker
from chargen.training.devices.backend import describe_device, load_backend
from chargen.training.devices.ranks import ALONE, Ranks
from chargen.training.planning.text_plan import TextPlan
from chargen.training.planning.transfer import transferred
from chargen.training.planning.word_vectors import WordVectors
from chargen.training.recording.display import Display
from chargen.training.recording.results import TextEpoch
from chargen.training.recording.text_recorder import TextRecorder
from chargen.training.task import Comparison
from chargen.training.trainer import Trainer, start_embedding


@final
@dataclass(frozen=True)
class TextTask:
    """The training of a network that writes text. watch: takes all results after each epoch and tells whether to stop."""

    plan: TextPlan
    watch: Callable[[Sequence[TextEpoch]], bool] | None = None
    word_vectors: WordVectors | None = None

    def make_trainer(self, display: Display, ranks: Ranks = ALONE) -> Trainer:
        trainer = self._initial_trainer(display, ranks)
        start_embedding(trainer, self.word_vectors, self.plan.vocabulary, display)
        if self.plan.start:
            trainer.set_weights(transferred(trainer.network().weights, self.plan.start, self.plan.vocabulary))
        return trainer

    def _initial_trainer(self, display: Display, ranks: Ranks) -> Trainer:
        backend = self.plan.settings.training.backend
        if backend == "numpy":
            from chargen.training.numpy_trainer import NumpyTrainer

            display.note(describe_device(backend))
            return NumpyTrainer(self.plan)
        with display.waiting_for(f"loading {backend}"):
            load_backend(backend)
        from chargen.training.device_notes import show_device
        from chargen.training.keras_trainer import text_trainer  # imports Keras: its messages are muted by now

        show_device(self.plan.settings, display)
        return text_trainer(self.plan, ranks)

    def make_recorder(self, run: RunDirectory, display: Display, tracker: Tracker, *, leads: bool = True) -> TextRecorder:
        return TextRecorder(self.plan, run, display, tracker, leads=leads, watch=self.watch)

    def next_command(self, run: RunDirectory) -> str:
        return f"to write text: chargen sample --run {run.path}"

    def compare(self, quality: float) -> Comparison:
        """Compare the bits a character with those of n-grams that learnt from the same text, and of other texts of its size."""
        from chargen.insight.unigram import cross_entropies, describe_worse
        from chargen.insight.usual import describe_usual

        plan = self.plan
        assert plan.validation is not None
        assert plan.validation.stream is not None
        if plan.corpus.tokenized:  # the text may be larger than this machine's disk
            return Comparison({}, [])
        nats = cross_entropies(plan.parts.training, plan.validation.stream, len(plan.vocabulary))
        baselines = {name: plan.conversion.bits_per_character(one) for name, one in nats.items()}
        worse = describe_worse("validation", quality, baselines, part="held out")
        return Comparison(baselines, [*worse, *describe_usual(plan.corpus)])

    def test(self, run: RunDirectory) -> None:
        """Measure nothing: only classifiers take texts to test on."""
