"""Plan the training of a classifier, before any heavy package is loaded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Documents
from chargen.corpus.examples import ExampleBatches, fixed_rows, load_test_examples, split_examples
from chargen.corpus.tokens import build_vocabulary
from chargen.corpus.vocabulary import Vocabulary
from chargen.corpus.wording import counted
from chargen.network.model_file import num_class_outputs
from chargen.network.network import weight_shapes
from chargen.settings.schema import Settings
from chargen.training.planning.memory import check_memory, choose_steps_per_execution, estimate_memory
from chargen.training.planning.validation import Validation
from chargen.training.planning.windows import WindowSizes

LONGEST_ROW = {"char": 200, "byte": 200, "word": 80, "bpe": 120}  # tokens read of a text; 80 words as in Keras's IMDB demo
BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class ClassifierPlan:
    """Everything that training a classifier needs to know. Each setting has a value."""

    settings: Settings
    corpus: Corpus
    vocabulary: Vocabulary
    context_length: int
    documents: Documents  # to train on
    held_out: Documents
    training: ExampleBatches
    validation: Validation | None
    num_parameters: int
    memory_bytes: int
    whole_share: float  # of the texts to train on, those that are not cut
    test: Corpus | None  # measured after the last epoch

    reasons: tuple[str, ...] = ()  # no setting of a classifier is chosen by a recipe
    warnings: tuple[str, ...] = ()  # texts to test on that training sees
    deadline: None = None  # --minutes is for networks that write text
    whole_validation: None = None  # all held-out texts are measured after each epoch

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the network's outputs."""
        return self.corpus.labels

    def steps_per_execution(self, *, gpu: bool) -> int:
        """Return how many optimizer steps are taken without returning to Python, on a GPU or a CPU."""
        tokens = self.training.batch_size * self.context_length
        return min(choose_steps_per_execution(self.num_parameters, tokens, gpu=gpu), self.training.num_steps)

    def summary(self) -> dict[str, Any]:
        """Return the figures that `chargen train --dry-run` prints."""
        network, training = self.settings.network, self.settings.training
        return {
            "corpus": self.corpus.name,
            "texts": len(self.documents),
            "validation_texts": len(self.held_out),
            "labels": ", ".join(self.labels),
            "tokens": self.settings.corpus.tokens,
            "vocabulary": len(self.vocabulary.pieces),
            "context_length": self.context_length,
            "cell": network.cell,
            "size": f"{network.num_layers}x{network.hidden_size}",
            "parameters": self.num_parameters,
            "memory_bytes": self.memory_bytes,
            "epochs_at_most": training.epochs,
            "steps_per_epoch": self.training.num_steps,
        }

    def speed(self, seconds_per_step: float) -> dict[str, int]:
        """Return the texts that are learnt in a second, for a time of an optimizer step."""
        return {"texts_per_second": round(self.training.num_targets / self.training.num_steps / seconds_per_step)}

    def describe(self) -> list[str]:
        """Return lines for the user: the network and the texts."""
        network = self.settings.network
        inputs = f"embedding {network.embedding_size}" if network.embedding_size else "one-hot"
        labels = ", ".join(self.labels[:5]) + (", ..." if len(self.labels) > 5 else "")
        return [
            f"{self.corpus.name}: {len(self.documents):,} texts to learn from, {len(self.held_out):,} held out, "
            f"{len(self.vocabulary.pieces):,} {self.settings.corpus.tokens} tokens, {len(self.labels)} labels: {labels}",
            f"{network.cell} {network.num_layers}x{network.hidden_size}, {inputs}, {self.num_parameters:,} parameters; "
            f"{counted(self.training.num_steps, 'step')} an epoch of {self.training.batch_size} texts cut to their last "
            f"{self.context_length} tokens, which hold {self.whole_share:.0%} of the texts whole (--context-length); "
            f"about {self.memory_bytes / 1e6:,.0f} MB besides the backend",
        ]


def make_classifier_plan(settings: Settings, corpus: Corpus) -> ClassifierPlan:
    """Choose the settings that are open, hold out texts of each label, cut all texts into rows and estimate the memory.

    Raises ConfigError for settings that need more memory than the machine has, and what `load_test_examples` raises.
    """
    seed = settings.training.random_seed
    test = load_test_examples(settings.corpus, corpus.labels) if settings.corpus.test_files else None
    documents, held_out = split_examples(corpus.documents, settings.corpus.validation_split, seed=seed)
    vocabulary = build_vocabulary(settings.corpus, corpus.texts)
    longest = LONGEST_ROW[settings.corpus.tokens]
    lengths = np.array([len(vocabulary.encode(str(document.text))) for document in documents])
    context_length = settings.training.context_length or min(longest, int(lengths.max()))
    batch_size = settings.training.batch_size or BATCH_SIZE
    training = replace(settings.training, context_length=context_length, batch_size=batch_size)
    settings = replace(settings, network=replace(settings.network, targets="last"), training=training)
    windows = WindowSizes(context_length, context_length, batch_size)
    num_parameters = count_parameters(settings, vocabulary, num_labels=len(corpus.labels))
    memory_bytes = check_memory(
        estimate_memory(settings.network, windows, vocab_size=len(vocabulary), num_parameters=num_parameters, corpus=corpus)
    )
    batches = partial(_batches, vocabulary=vocabulary, labels=corpus.labels, windows=windows, seed=training.seed_of_network)
    return ClassifierPlan(
        settings=settings,
        corpus=corpus,
        vocabulary=vocabulary,
        context_length=context_length,
        documents=documents,
        held_out=held_out,
        training=batches(documents),
        validation=Validation(batches=batches(held_out)) if held_out else None,
        num_parameters=num_parameters,
        memory_bytes=memory_bytes,
        whole_share=float((lengths <= context_length).mean()),
        test=test,
        warnings=_shared_texts(corpus, test) if test else (),
    )


def _shared_texts(corpus: Corpus, test: Corpus) -> tuple[str, ...]:
    """Return a warning if texts to test on are also among those to train on."""
    seen = {str(document.text) for document in corpus.documents}
    shared = sum(str(document.text) in seen for document in test.documents)
    count = f"{shared:,} of the {len(test.documents):,} texts of --test {test.name}"
    return (f"{count} are also texts to train on, so its accuracy is too high",) if shared else ()


def _batches(
    documents: Documents, *, vocabulary: Vocabulary, labels: Sequence[str], windows: WindowSizes, seed: int
) -> ExampleBatches:
    """Return the batches of some texts, each cut to a row."""
    encoded = [vocabulary.encode(str(document.text)) for document in documents]
    rows = fixed_rows(encoded, windows.context_length, vocabulary.dtype)
    numbers = np.array([labels.index(str(document.label)) for document in documents], np.int32)
    return ExampleBatches(rows, numbers, batch_size=windows.batch_size, seed=seed)


def count_parameters(settings: Settings, vocabulary: Vocabulary, *, num_labels: int) -> int:
    """Return the number of weights."""
    shapes = weight_shapes(settings.network, len(vocabulary), num_outputs=num_class_outputs(num_labels))
    return sum(math.prod(shape) for shape in shapes.values())
