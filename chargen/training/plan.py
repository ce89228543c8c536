"""What a training will do, settled before any heavy package is loaded: settings, vocabulary, batches, memory."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from chargen.config import NetworkConfig, Settings, check_together
from chargen.corpus.documents import Corpus, split_documents
from chargen.corpus.large_text import Text
from chargen.corpus.vocabulary import BOUNDARY, CharacterVocabulary
from chargen.corpus.windows import BatchPlan, ContiguousStreams, SlidingWindows, TokenStream, tokenize
from chargen.errors import ConfigError, CorpusError
from chargen.network.network import weight_shapes

LONGEST_LINE_WINDOW = 200  # tokens; a longer line is cut into several windows
LAST_LINES_CHARACTERS = 10_000  # at the end of a document, where the beginning of its last line is looked for
FLOAT_BYTES = 4
BYTES_PER_CHARACTER = 8  # the text, its documents, their ids
VALUES_PER_UNIT = 6  # gates and states of an LSTM, the largest cell
COPIES_OF_WEIGHTS = 4  # the weights, their gradients, two optimizer slots
WORK_PER_EXECUTION = 4e10  # floating-point operations: some 200 ms, so that Python between two executions costs little
COPIES_OF_ACTIVATIONS = 3  # forward values kept for the backward pass, their gradients, temporaries


class WindowSizes(NamedTuple):
    """How the text is cut: tokens in a window, tokens from one window's start to the next, windows in a batch."""

    context_length: int
    stride: int
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Everything that training needs to know. Every setting of `settings` is chosen."""

    settings: Settings
    windows: WindowSizes
    corpus: Corpus
    vocabulary: CharacterVocabulary
    training: BatchPlan
    validation: BatchPlan | None
    documents: Sequence[Text]  # those trained on
    primer: tuple[int, ...]
    ends: bool
    num_parameters: int
    memory_bytes: int

    @property
    def steps_per_execution(self) -> int:
        """Optimizer steps that are taken without returning to Python."""
        tokens = self.windows.batch_size * self.windows.context_length
        return min(choose_steps_per_execution(self.num_parameters, tokens), self.training.num_steps)

    def summary(self) -> dict[str, Any]:
        """Return the figures of the plan."""
        network, training = self.settings.network, self.settings.training
        return {
            "corpus": self.corpus.name,
            "documents": len(self.corpus.documents),
            "characters": self.corpus.num_characters,
            "distinct_characters": len(self.vocabulary) - 1,
            "cell": network.cell,
            "size": f"{network.num_layers}x{network.hidden_size}",
            "parameters": self.num_parameters,
            "memory_bytes": self.memory_bytes,
            "epochs_at_most": training.epochs,
            "steps_per_epoch": self.training.num_steps,
            "characters_per_epoch": self.training.num_targets,
        }

    def describe(self) -> list[str]:
        """Say in two lines what will be trained on what."""
        corpus, network = self.corpus, self.settings.network
        count, unit = len(corpus.documents), "line" if corpus.reading == "line" else "document"
        inputs = f"embedding {network.embedding_size}" if network.embedding_size else "one-hot"
        batch = f"{self.windows.batch_size} windows of {self.windows.context_length}"
        return [
            f"{corpus.name}: {count:,} {unit}{'s' if count > 1 else ''}, {corpus.num_characters:,} characters, "
            f"{len(self.vocabulary) - 1:,} distinct",
            f"{network.cell} {network.num_layers}x{network.hidden_size}, {inputs}, {self.num_parameters:,} parameters; "
            f"{self.training.num_steps:,} steps an epoch of {batch}; "
            f"about {self.memory_bytes / 1e6:,.0f} MB besides the backend",
        ]


def make_plan(settings: Settings, corpus: Corpus) -> TrainingPlan:
    """Choose what is still open in the settings from the corpus, cut the corpus into batches and count the cost.

    Raises ConfigError for settings that exclude each other or need more memory than the machine has, and CorpusError for a
    text shorter than one window.
    """
    windows = choose_windows(settings, corpus)
    settings = replace(
        settings,
        corpus=replace(settings.corpus, reading=corpus.reading),
        training=replace(settings.training, **windows._asdict()),
    )
    check_together(settings)
    documents, held_out = split_documents(corpus, settings.corpus.validation_split, seed=settings.training.random_seed)
    _check_length(corpus, documents, windows.context_length)
    vocabulary = CharacterVocabulary.of(corpus.documents)
    num_parameters = sum(math.prod(shape) for shape in weight_shapes(settings.network, len(vocabulary)).values())
    memory_bytes = estimate_memory(
        settings.network, windows, vocab_size=len(vocabulary), num_parameters=num_parameters, corpus=corpus
    )
    _check_memory(memory_bytes)
    stream = tokenize(documents, vocabulary)
    return TrainingPlan(
        settings=settings,
        windows=windows,
        corpus=corpus,
        vocabulary=vocabulary,
        training=_batches(stream, windows, settings),
        validation=_batches(tokenize(held_out, vocabulary), windows, settings) if held_out else None,
        documents=documents,
        primer=_primer(
            stream, documents, by_line=corpus.reading == "line", last=settings.network.targets == "last", windows=windows
        ),
        ends=len(corpus.documents) > 1,
        num_parameters=num_parameters,
        memory_bytes=memory_bytes,
    )


def choose_steps_per_execution(num_parameters: int, tokens: int) -> int:
    """Return how many steps of so many tokens are taken at once: an optimizer step does 6 operations a weight and token."""
    return max(1, int(WORK_PER_EXECUTION / (6 * num_parameters * tokens)))


def choose_windows(settings: Settings, corpus: Corpus) -> WindowSizes:
    """Return the window sizes that the settings give, and for those left open what suits the corpus.

    Lines: one window a line, or one for every character with targets "last". Documents: windows side by side, or the classic
    40 characters every 3 with targets "last".
    """
    training, last = settings.training, settings.network.targets == "last"
    if corpus.reading == "line":
        context_length = training.context_length or min(corpus.longest + 1, LONGEST_LINE_WINDOW)
        stride, batch_size = (1, 128) if last else (context_length, 32)
    else:
        context_length = training.context_length or (40 if last else 64)
        stride, batch_size = (3, 128) if last and not training.stateful else (context_length, 64)
    return WindowSizes(context_length, training.stride or stride, training.batch_size or batch_size)


def estimate_memory(
    network: NetworkConfig, windows: WindowSizes, *, vocab_size: int, num_parameters: int, corpus: Corpus
) -> int:
    """Return the bytes that training will hold at most, roughly: the text, its ids, the weights and one batch."""
    positions = windows.batch_size * windows.context_length
    width = network.embedding_size or vocab_size
    recurrent = network.num_layers * network.hidden_size * VALUES_PER_UNIT
    predicted = positions if network.targets == "all" else windows.batch_size
    batch = positions * (width + recurrent) + predicted * (network.dense_size + vocab_size)
    floats = COPIES_OF_WEIGHTS * num_parameters + COPIES_OF_ACTIVATIONS * batch
    return FLOAT_BYTES * floats + BYTES_PER_CHARACTER * corpus.num_characters_in_memory


def _check_memory(needed: int) -> None:
    available = _machine_memory()
    if available is not None and needed > available:
        raise ConfigError(
            f"these settings need about {needed / 1e9:,.1f} GB of memory, this machine has {available / 1e9:.1f} GB",
            hint="lower --batch-size, --context-length or --hidden-size",
        )


def _machine_memory() -> int | None:
    """Return the bytes of memory of this machine, or None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _check_length(corpus: Corpus, documents: Sequence[Text], context_length: int) -> None:
    """Refuse a text that does not fill one window and the token after it; lines are filled up instead."""
    longest = max(map(len, documents), default=0)
    if corpus.reading == "line" or longest > context_length:
        return
    raise CorpusError(
        f"{corpus.name} leaves {longest} characters in a row to train on, one window needs {context_length + 1}",
        hint=f"give more text, or --context-length {longest - 1}" if longest > 1 else "give more text",
    )


def _batches(stream: TokenStream, windows: WindowSizes, settings: Settings) -> BatchPlan:
    last = settings.network.targets == "last"
    if settings.training.stateful:
        return ContiguousStreams(stream, context_length=windows.context_length, batch_size=windows.batch_size, last=last)
    return SlidingWindows(stream, **windows._asdict(), last=last, seed=settings.training.random_seed)


def _primer(
    stream: TokenStream, documents: Sequence[Text], *, by_line: bool, last: bool, windows: WindowSizes
) -> tuple[int, ...]:
    """Return the ids that stand before a short prompt.

    For lines, what a window before a line's first character holds. For documents, the text before the last line of the
    longest document, so that a prompt begins a line.
    """
    context_length = windows.context_length
    if by_line:
        return (BOUNDARY,) * (context_length if last else 1)
    longest = max(range(len(documents)), key=lambda one: len(documents[one]))
    length = len(documents[longest])
    before = max(0, length - LAST_LINES_CHARACTERS)
    line_start = before + str(documents[longest][before:]).rstrip("\n").rfind("\n") + 1
    end = line_start if line_start >= max(context_length, before + 1) else length
    first = int(stream.starts[longest]) + 1
    return tuple(stream.ids[first + end - context_length : first + end].tolist())
