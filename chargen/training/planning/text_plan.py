"""Plan the training of a network that writes text: settings, vocabulary, batches, memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from chargen.corpus.corpus import Corpus
from chargen.corpus.documents import Documents
from chargen.corpus.shards import ShardedIds
from chargen.corpus.tokenizing import tokenize_corpus
from chargen.corpus.vocabulary import BOUNDARY, Vocabulary
from chargen.corpus.windows import (
    BatchPlan,
    ContiguousStreams,
    FixedLengthEpochs,
    MixedWindows,
    RegionWindows,
    SlidingWindows,
    TokenStream,
)
from chargen.corpus.wording import counted
from chargen.errors import ConfigError
from chargen.network.model_file import TextModel
from chargen.network.network import Network, weight_shapes
from chargen.settings.conflicts import check_together
from chargen.settings.schema import Settings, TrainingConfig
from chargen.training.planning.machine import LARGEST_BATCH
from chargen.training.planning.memory import check_memory, choose_steps_per_execution, estimate_memory
from chargen.training.planning.pace import Deadline, even_parts
from chargen.training.planning.transfer import Start, check_fits, describe_transfer
from chargen.training.planning.validation import Validation, may_calibrate, plan_validation, plan_whole_validation
from chargen.training.planning.windows import TextParts, WindowSizes, check_length, check_targets, choose_windows

LAST_LINES_CHARACTERS = 10_000  # at the end of a document, where the beginning of its last line is looked for
FEW_STEPS = 200  # of the optimizer, below which hardly any network learns to write
FEWEST_EPOCHS, MAX_EPOCHS = 4, 20  # of a training with a given number of steps
WARMUP_SHARE = 0.03  # of a training


class CharacterConversion(NamedTuple):
    """Converts figures for a token to figures for a character; the end of a document counts as a character.

    spelling_nats: what it would cost to spell what tokens leave out, such as unknown words, in nats a token.
    """

    characters_per_token: float = 1.0
    spelling_nats: float = 0.0

    def bits_per_character(self, cross_entropy: float) -> float:
        """Return bits a character of a cross-entropy in nats a token."""
        return (cross_entropy + self.spelling_nats) / self.characters_per_token / math.log(2)


@dataclass(frozen=True, kw_only=True)
class TextPlan:
    """Everything that training a network that writes text needs to know. Each setting has a value."""

    settings: Settings
    windows: WindowSizes
    corpus: Corpus
    vocabulary: Vocabulary
    training: BatchPlan
    validation: Validation | None  # after each epoch
    documents: Documents  # to train on
    parts: TextParts
    conversion: CharacterConversion
    primer: tuple[int, ...]
    ends: bool
    num_parameters: int
    memory_bytes: int
    start: Start | None = None  # whose weights training goes on from
    reasons: tuple[str, ...] = ()  # why settings were chosen as they are
    deadline: Deadline | None = None

    @property
    def carried(self) -> bool:
        """Whether the state is carried in sampling: not if the network learnt only the last token of each window."""
        return self.settings.training.stateful or self.settings.network.targets == "all"

    @property
    def to_calibrate(self) -> TokenStream | None:
        """The held-out text by which to calibrate the network, None if it is not to be."""
        held_out = self.parts.validation if self.settings.training.calibrate else None
        return held_out if held_out and may_calibrate(held_out, len(self.vocabulary)) else None

    def lasting(self, steps: int, *, epochs: int | None = None) -> "TextPlan":
        """Return the plan with a given number of optimizer steps in all.

        They are divided into `epochs`, by default into epochs of one pass over the text if possible.
        """
        per_pass = self.training.num_steps
        epochs = min(epochs or min(max(round(steps / per_pass), FEWEST_EPOCHS), MAX_EPOCHS), steps)
        epoch_steps = steps // epochs
        whole = per_pass <= epoch_steps < per_pass * 1.03
        training = replace(
            self.settings.training,
            epochs=epochs,
            epoch_steps=None if whole else epoch_steps,
            warmup_epochs=WARMUP_SHARE * epochs if self.settings.training.schedule == "cosine" else 0.0,
        )
        settings = replace(self.settings, training=training)
        shortened = replace(self, settings=settings, training=_epochs(self.training, settings))
        return replace(shortened, validation=shortened.planned_validation())

    def with_training(self, training: TrainingConfig) -> "TextPlan":
        """Return the plan with other settings of the training of the same network and windows."""
        settings = replace(self.settings, training=training)
        batches = _mixed_batches(self.parts.training, self.corpus.proportions, self.windows, settings)
        changed = replace(self, settings=settings, training=_epochs(batches, settings))
        return replace(changed, validation=changed.planned_validation())

    def within(self, deadline: Deadline, steps: int) -> "TextPlan":
        """Return the plan with a schedule over about so many steps, of which more or fewer are taken to end in time."""
        training = replace(self.settings.training, schedule_steps=even_parts(steps))
        return replace(self, settings=replace(self.settings, training=training), deadline=deadline)

    def planned_validation(self) -> Validation | None:
        """Plan the validation after each epoch, None if nothing is held out."""
        if self.parts.validation is None:
            return None
        return plan_validation(self.parts.validation, self.windows, self.settings, by_line=self.corpus.reading == "line")

    @property
    def whole_validation(self) -> Validation | None:
        """The validation of all held-out text after training, None if each epoch measures all of it."""
        if self.parts.validation is None or self.validation is None or self.validation.share == 1:
            return None
        return plan_whole_validation(self.parts.validation, self.windows, self.settings, by_line=self.corpus.reading == "line")

    def text_model(self, network: Network, provenance: Mapping[str, Any]) -> TextModel:
        """Return the model of a network of this training, as a model file stores it."""
        return TextModel(
            network=network,
            vocabulary=self.vocabulary,
            reading=self.corpus.reading,
            context_length=self.windows.context_length,
            primer=self.primer,
            ends=self.ends,
            carried=self.carried,
            provenance=provenance,
        )

    def steps_per_execution(self, *, gpu: bool) -> int:
        """Return how many optimizer steps are taken without returning to Python, on a GPU or a CPU."""
        tokens = self.windows.batch_size * self.windows.context_length
        return min(choose_steps_per_execution(self.num_parameters, tokens, gpu=gpu), self.training.num_steps)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line for the user if there are too few steps to learn much."""
        steps = self.settings.training.epochs * self.training.num_steps
        if steps >= FEW_STEPS:
            return ()
        cure = "more --minutes" if self.deadline is not None else "more --epochs"
        smaller = " or a smaller --batch-size" if self.windows.batch_size > 1 else ""
        return (f"only {counted(steps, 'optimizer step')}: the network learns little; give {cure}{smaller}",)

    def summary(self) -> dict[str, Any]:
        """Return the figures that `chargen train --dry-run` prints."""
        network, training = self.settings.network, self.settings.training
        return {
            "corpus": self.corpus.name,
            "documents": len(self.corpus.documents),
            "characters": self.corpus.num_characters,
            "tokens": self.settings.corpus.tokens,
            "vocabulary": len(self.vocabulary.pieces),
            "cell": network.cell,
            "size": f"{network.num_layers}x{network.hidden_size}",
            "parameters": self.num_parameters,
            "memory_bytes": self.memory_bytes,
            "epochs_at_most": training.epochs,
            "steps_per_epoch": self.training.num_steps,
            "characters_per_epoch": round(self.training.num_targets * self.conversion.characters_per_token),
        }

    def speed(self, seconds_per_step: float) -> dict[str, int]:
        """Return the characters that are learnt in a second, for a time of an optimizer step."""
        characters = self.training.num_targets * self.conversion.characters_per_token / self.training.num_steps
        return {"characters_per_second": round(characters / seconds_per_step)}

    def describe(self) -> list[str]:
        """Return lines for the user: the network and the text."""
        corpus, network = self.corpus, self.settings.network
        count, unit = len(corpus.documents), corpus.unit
        inputs = f"embedding {network.embedding_size}" if network.embedding_size else "one-hot"
        batch = f"{counted(self.windows.batch_size, 'window')} of {self.windows.context_length}"
        tokens = {"char": "distinct", "byte": "byte tokens", "word": "word tokens", "bpe": "BPE tokens"}
        labels = f", labels {', '.join(corpus.labels)}" if corpus.labels else ""
        return [
            f"{corpus.name}: {count:,} {unit}{'s' if count > 1 else ''}, {corpus.num_characters:,} characters, "
            f"{len(self.vocabulary.pieces):,} {tokens[self.settings.corpus.tokens]}{labels}",
            f"{network.cell} {network.num_layers}x{network.hidden_size}, {inputs}, {self.num_parameters:,} parameters; "
            f"{counted(self.training.num_steps, 'step')} an epoch of {batch}; "
            f"about {self.memory_bytes / 1e6:,.0f} MB besides the backend",
            *([describe_transfer(self.start, self.vocabulary)] if self.start else []),
        ]


def make_plan(
    settings: Settings,
    corpus: Corpus,
    *,
    start: Start | None = None,
    passes: float | None = None,
    largest_batch: int = LARGEST_BATCH,
) -> TextPlan:
    """Choose the settings that are open from the corpus, cut the corpus into batches and estimate the memory.

    passes: how often the text will be read, by default training.epochs times. largest_batch: as `choose_windows` takes it.
    Raises ConfigError for settings that conflict, need more memory than the machine has, do not fit the weights to start from,
    or leave nothing to predict, and CorpusError for a text that is shorter than a window.
    """
    if start:
        check_fits(start, settings.network)
    known = start.model.vocabulary if start else None
    seed = settings.training.random_seed
    tokenized = corpus.tokenized or tokenize_corpus(corpus, settings.corpus, seed=seed, known=known)
    vocabulary, documents = tokenized.vocabulary, tokenized.documents
    if start and not set(start.model.vocabulary) <= set(vocabulary):  # only if the tokens are read from files
        raise ConfigError(
            f"the weights of {start.name} are for tokens that {corpus.name} does not have", hint="give the text, not its tokens"
        )
    parts = TextParts(tokenized.training, tokenized.validation)
    windows = choose_windows(settings, corpus, parts, passes or settings.training.epochs, largest=largest_batch)
    settings = _chosen_settings(settings, corpus, windows)
    check_together(settings)
    check_length(corpus, parts, windows.context_length)
    num_parameters = sum(math.prod(shape) for shape in weight_shapes(settings.network, len(vocabulary)).values())
    memory_bytes = check_memory(
        estimate_memory(settings.network, windows, vocab_size=len(vocabulary), num_parameters=num_parameters, corpus=corpus)
    )
    planned = TextPlan(
        settings=settings,
        windows=windows,
        corpus=corpus,
        vocabulary=vocabulary,
        training=_epochs(_mixed_batches(parts.training, corpus.proportions, windows, settings), settings),
        validation=None,
        documents=documents,
        parts=parts,
        conversion=CharacterConversion(tokenized.characters_per_token, tokenized.spelling_nats),
        primer=_primer(documents, vocabulary, corpus=corpus, last=settings.network.targets == "last", windows=windows),
        ends=len(corpus.documents) > 1,
        num_parameters=num_parameters,
        memory_bytes=memory_bytes,
        start=start,
    )
    return replace(planned, validation=planned.planned_validation())


def _chosen_settings(settings: Settings, corpus: Corpus, windows: WindowSizes) -> Settings:
    """Return the settings with the window sizes, and with what was found out about the files of the corpus."""
    chosen = replace(settings.corpus, **corpus.recorded)
    return replace(settings, corpus=chosen, training=replace(settings.training, **windows._asdict()))


def _mixed_batches(
    parts: Sequence[TokenStream], weights: Sequence[float], windows: WindowSizes, settings: Settings
) -> BatchPlan:
    batches = [_batches(stream, windows, settings) for stream in parts]
    if len(batches) == 1:
        check_targets("training", batches[0], parts[0])
        return batches[0]
    return MixedWindows([one for one in batches if isinstance(one, SlidingWindows)], weights)


def _epochs(batches: BatchPlan, settings: Settings) -> BatchPlan:
    """Return the batches, with epochs of training.epoch_steps steps if it is set."""
    steps = settings.training.epoch_steps
    return batches if steps is None else FixedLengthEpochs(batches, steps)


def _batches(stream: TokenStream, windows: WindowSizes, settings: Settings) -> BatchPlan:
    last = settings.network.targets == "last"
    if settings.training.stateful:
        seed = settings.training.seed_of_network if settings.training.jitter else None
        return ContiguousStreams(
            stream, context_length=windows.context_length, batch_size=windows.batch_size, last=last, jitter_seed=seed
        )
    kind = RegionWindows if isinstance(stream.ids, ShardedIds) else SlidingWindows
    return kind(stream, **windows._asdict(), last=last, seed=settings.training.seed_of_network)


def _primer(
    documents: Documents, vocabulary: Vocabulary, *, corpus: Corpus, last: bool, windows: WindowSizes
) -> tuple[int, ...]:
    """Return the ids to read before a short prompt.

    For lines, rows and labelled documents these are boundaries, as in a window before the first token. For other documents it
    is the text before the last line of the longest document, so that a prompt begins a line.
    """
    context_length = windows.context_length
    if corpus.reading == "line" or corpus.entries or corpus.labels:
        return (BOUNDARY,) * (context_length if last else 1)
    longest = max((document.text for document in documents), key=len)
    ending = str(longest[max(0, len(longest) - LAST_LINES_CHARACTERS) :])
    line_start = ending.rstrip("\n").rfind("\n") + 1
    before_line = vocabulary.encode(ending[:line_start])
    tokens = before_line if len(before_line) >= context_length else vocabulary.encode(ending)
    return tuple(tokens[-context_length:].tolist())
