"""Measure one or several models on a text by every protocol, next to baselines fitted on the same training text."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from chargen.corpus.corpus import count_characters
from chargen.corpus.documents import Document
from chargen.corpus.vocabulary import CharacterVocabulary
from chargen.corpus.windows import tokenize
from chargen.errors import ChargenError, ConfigError
from chargen.insight.baseline import NgramModel
from chargen.insight.compression import compressed_nats, joined
from chargen.insight.dynamic import check_dynamic, evaluate_dynamic
from chargen.insight.evaluation import EncodedText, EvaluationProtocol, Quality, Report, evaluate_cached, protocols
from chargen.network.model_file import LEAST_DRIFT, TextModel
from chargen.runs.config import read_settings
from chargen.runs.directory import RunDirectory
from chargen.runs.trained_text import TrainedText, read_files, read_trained_text
from chargen.settings.schema import CorpusConfig
from chargen.writing.ensemble import AnyModel, Ensemble, join_models

ORDER = 6
FILE_HINT = "chargen evaluate RUN FILE measures another text"
LARGEST_BASELINE = 10_000_000  # characters; n-grams of a longer text take gigabytes

Part = Literal["held out", "training", "file"]
Member = tuple[RunDirectory, TextModel]
Stage = Callable[[str, int], AbstractContextManager[Report]]  # (name, number of tokens) -> progress


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model and a text to measure it on.

    documents: the text. held_out: whether it is the validation split of the training. learned: whether it is the training text
    itself. training: the training text, if available; missing: else why it is not. notes: lines for the user.
    """

    model: AnyModel
    documents: Sequence[Document]
    held_out: bool
    learned: bool = False
    training: Sequence[Document] = ()
    missing: str = ""
    notes: tuple[str, ...] = ()

    @property
    def part(self) -> Part:
        """What the text is to the training."""
        return "held out" if self.held_out else "training" if self.learned else "file"


@dataclass(frozen=True)
class Row:
    """One figure.

    part: the measured text, "held out", "training" or "file". kind: "memory" for a model with its n-gram memory, "model" for
    the network alone, "cache", "dynamic" or "baseline".
    """

    name: str
    kind: str
    part: str
    quality: Quality

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values."""
        return {"name": self.name, "kind": self.kind, "part": self.part} | self.quality.row()


def held_out_subject(members: Sequence[Member]) -> Subject:
    """Return the validation split of a run, or of several runs whose models are measured together.

    Raises ConfigError if the split is empty, or if the splits differ: a text held out by one run may be training text of
    another. Raises the errors of `read_trained_text` and `join_models`.
    """
    first, *others = [_held_out(run, model) for run, model in members]
    for (run, _), other in zip(members[1:], others, strict=True):
        if other.held_out != first.held_out:
            raise ConfigError(
                f"{run.path} and {members[0][0].path} have different validation splits and may be trained on each other's",
                hint=f"{FILE_HINT}; runs with one --random-seed have one validation split",
            )
    return Subject(model=_joined(members), documents=first.held_out, held_out=True, training=first.training)


def _held_out(run: RunDirectory, model: TextModel) -> TrainedText:
    try:
        text = read_trained_text(run, model)
    except ChargenError as error:
        error.hint = f"{error.hint}; {FILE_HINT}" if error.hint else FILE_HINT
        raise
    if not text.held_out:
        raise ConfigError("the run has no validation split: corpus.validation_split is 0", hint=FILE_HINT)
    return text


def file_subject(members: Sequence[Member], files: Sequence[str], *, label: str | None, on_unknown: str) -> Subject:
    """Return the models of some runs and texts to measure as a whole.

    The training text of the first run is included if available. Raises the errors of `read_files` and `join_models`.
    """
    run, model = members[0]
    config, text, notes, missing = CorpusConfig(strip_licence=False), None, [], ""
    try:
        config = read_settings(run).corpus
        text = read_trained_text(run, model)
    except ChargenError as error:
        missing = error.message
    documents, sha256, reading_notes = read_files(files, model, config, label=label, on_unknown=on_unknown)
    notes += reading_notes
    learned = text is not None and text.sha256 == sha256
    if learned:
        notes.append("this is the training text of the model, so the figures show how well it was memorized")
    return Subject(
        model=_joined(members),
        documents=documents,
        held_out=False,
        learned=learned,
        training=text.training if text else (),
        missing=missing,
        notes=tuple(notes),
    )


def _joined(members: Sequence[Member]) -> AnyModel:
    return join_models([(str(run.path), model) for run, model in members])


def assess(
    subject: Subject,
    stage: Stage,
    *,
    block_length: int,
    with_training: bool = False,
    with_baselines: bool = True,
    cache: bool = False,
    dynamic_rate: float | None = None,
) -> Iterator[Row]:
    """Measure a model by every protocol and yield the figures one by one.

    Raises ConfigError before any measurement if a requested one is impossible.
    """
    model, part = subject.model, "held out" if subject.held_out else "file"
    adapting = _adaptable(model) if dynamic_rate else None
    if (with_training or dynamic_rate) and not subject.training:
        raise ConfigError("the training text of the run is not available", hint="leave out --training and --dynamic")
    ways, encoded = protocols(model, block_length=block_length), EncodedText.of(subject.documents, model.vocabulary)
    yield from _measured(ways, model, encoded, part, stage)
    if cache:
        name = f"{ways[0].name}, cache"
        with stage(name, encoded.num_targets) as report:
            quality = evaluate_cached(model, encoded, report)
        yield Row(name, "cache", part, quality)
    if adapting and dynamic_rate:
        name = f"{ways[0].name}, dynamic"
        with stage(name, encoded.num_targets) as report:
            learnt = tokenize(subject.training, model.vocabulary)
            quality = evaluate_dynamic(adapting, encoded, learnt, rate=dynamic_rate, report=report)
        yield Row(name, "dynamic", part, quality)
    if with_training:
        yield from _measured(ways, model, EncodedText.of(subject.training, model.vocabulary), "training", stage)
    if with_baselines and not missing_baselines_note(subject):
        with stage("baselines", 1):
            found = baselines(subject.training, subject.documents)
        yield from (Row(name, "baseline", part, quality) for name, quality in found.items())


def _adaptable(model: AnyModel) -> TextModel:
    if isinstance(model, Ensemble):
        hint = "chargen combine makes one model of them; or leave out --dynamic"
        raise ConfigError(f"--dynamic adapts one model, {len(model.members)} are given", hint=hint)
    check_dynamic(model)
    return model


def _measured(
    ways: Sequence[EvaluationProtocol], model: AnyModel, encoded: EncodedText, part: str, stage: Stage
) -> Iterator[Row]:
    """Measure a model in each way; one with an n-gram memory with it and without, but the training part only without."""
    learned = part == "training"
    measured = model.with_memory(0) if learned else model
    for way in ways:
        with stage(way.name, encoded.num_targets) as report:
            quality = way.evaluate(measured, encoded, report)
        if quality.alone:
            yield Row(f"{way.name}, memory", "memory", part, quality)
        yield Row(f"{way.name}, training part" if learned else way.name, "model", part, quality.alone or quality)


def carried_state_warning(rows: Sequence[Row]) -> str:
    """Return a warning if carrying the state costs more bits than reading blocks from a zero state; else ""."""
    figures = {row.name: row.quality.bits_per_character for row in rows if row.kind == "model" and row.part != "training"}
    blocks = next((name for name in figures if name.startswith("blocks")), "")
    if not blocks or next(iter(figures)) != "stream" or figures["stream"] - figures[blocks] <= LEAST_DRIFT:
        return ""
    return (
        f"the carried state of this network drifts: the stream costs {figures['stream']:.3f} bits a character, {blocks} "
        f"from a zero state {figures[blocks]:.3f}; --no-carry reads windows instead"
    )


def missing_baselines_note(subject: Subject) -> str:
    """Return why there are no baselines, or "" if they can be fitted."""
    if not subject.training:
        return "no baselines: the training text is not available" + (f": {subject.missing}" if subject.missing else "")
    if count_characters(subject.training) + count_characters(subject.documents) > LARGEST_BASELINE:
        return f"no baselines: n-grams of more than {LARGEST_BASELINE:,} characters would take gigabytes"
    return ""


def baselines(training: Sequence[Document], measured: Sequence[Document]) -> dict[str, Quality]:
    """Return the cost of a text under baselines fitted on the training text: Kneser-Ney n-grams of each order, gzip, xz.

    The n-grams know the characters of both texts, so that none has probability 0.
    """
    characters = count_characters(measured)
    vocabulary = CharacterVocabulary.of(document.text for document in (*training, *measured))
    ngrams = NgramModel.fit(training, order=ORDER, vocabulary=vocabulary)
    nats = {f"{order}-gram": one * characters for order, one in enumerate(ngrams.cross_entropies(measured), start=1)}
    nats |= compressed_nats(joined(training), joined(measured))
    return {name: Quality(nats=one, characters=characters) for name, one in nats.items()}
