"""Collect the facts of a run for a report: settings, epochs, samples, and how new they are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chargen.errors import ChargenError, ConfigError, RunError
from chargen.insight.assessment import Row, Stage, Subject, assess, held_out_subject
from chargen.insight.comparison import best_figures, num_parameters, training_seconds
from chargen.insight.novelty import Novelty, NoveltyJudge
from chargen.network.model_file import TextModel, read_metadata
from chargen.runs.config import read_comments, read_settings
from chargen.runs.curves import Curve, Panel
from chargen.runs.directory import RunDirectory
from chargen.runs.gradients import read_gradient_panels
from chargen.runs.metrics import History, read_history
from chargen.runs.samples import SampleText, read_samples
from chargen.runs.trained_text import training_texts
from chargen.runs.versions import read_versions
from chargen.settings.schema import Settings, declared_settings
from chargen.settings.writing import WritingOptions
from chargen.writing.request import make_request

RANDOM_SEED = 1  # of the texts drawn for a report, so that a report can be repeated
LINES, TEXTS, LENGTH = 40, 3, 400  # lines drawn; other texts drawn and the tokens of each
COPY_LENGTH = 20  # characters; a shorter span of the corpus is not counted as a copy
LARGEST_CORPUS = 10_000_000  # characters; finding copies in a larger one takes gigabytes

BLOCK_LENGTH = 256  # tokens, the default of chargen evaluate

Evaluation = tuple[Subject, Sequence[Row]]
Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The facts of a run from its files.

    metadata: the result of `read_metadata`. history: None before the end of the first epoch. reasons: why settings were chosen.
    versions: the versions of the software used for training, empty for older runs. seconds: of training, None without a
    checkpoint. best: epoch and figures of the best validation. notes: what could not be read, by part of the report.
    """

    run: RunDirectory
    metadata: dict[str, Any]
    settings: Settings
    reasons: Sequence[str]
    versions: Mapping[str, str]
    num_parameters: int
    history: History | None
    seconds: float | None
    best: dict[str, Any]
    samples: Sequence[SampleText]
    gradients: Mapping[str, Panel]
    notes: dict[str, str]

    @property
    def classifies(self) -> bool:
        """Whether the run is a classifier rather than a text model."""
        return bool(self.metadata["task"] == "classify")


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """A setting that differs from its default.

    default: the default value, or a description if it depends on the text.
    """

    name: str
    value: object
    default: object
    help: str


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Texts drawn for a report, and what is copied in them."""

    texts: Sequence[str]
    novelty: Novelty
    corpus: str
    corpus_characters: int


def read_record(model: Path) -> RunRecord:
    """Read the facts of a model file's run.

    Raises RunError for a run without settings or with a damaged metrics.csv, and ModelFileError for a damaged model. Samples or
    a gradient log that cannot be read are reported in the notes.
    """
    run, metadata, notes = RunDirectory(model.parent), read_metadata(model), {}
    settings = read_settings(run)

    def read(part: str, reader: Callable[[Path], Found], path: Path, nothing: Found) -> Found:
        try:
            return reader(path)
        except RunError as error:
            notes[part] = error.message
            return nothing

    history = read_history(run.metrics, name=run.path.resolve().name) if run.metrics.is_file() else None
    return RunRecord(
        run=run,
        metadata=metadata,
        settings=settings,
        reasons=read_comments(run),
        versions=read("versions", read_versions, run.versions, {}),
        num_parameters=num_parameters(metadata),
        history=history,
        seconds=training_seconds(run),
        best=best_figures(history, metadata["provenance"]) if history else {},
        samples=read("samples", read_samples, run.samples, []),
        gradients=read("gradients", read_gradient_panels, run.gradients, {}),
        notes=notes,
    )


def changed_settings(settings: Settings) -> list[SettingRow]:
    """Return the settings that differ from their defaults, in order."""
    values = settings.to_mapping()
    rows = []
    for section, one, _, detail in declared_settings():
        value = getattr(getattr(settings, section), one.name)
        default = detail.unset if one.default is None else one.default
        if one.name in values[section] and value != default:
            rows.append(SettingRow(name=f"{section}.{one.name}", value=value, default=default, help=detail.help))
    return rows


def accuracy_panel(history: History) -> Panel | None:
    """Return the accuracies of a classifier's epochs; None for a text model."""
    curves = []
    for column, label in (("accuracy", "training"), ("validation_accuracy", "validation")):
        points = [(row["epoch"], row[column]) for row in history.rows if row.get(column) is not None]
        if points:
            epochs, values = zip(*points, strict=True)
            curves.append(Curve(label=label, run=0, held_out=label != "training", epochs=epochs, values=values))
    return Panel(title="accuracy", curves=tuple(curves)) if curves else None


def evaluate_run(run: RunDirectory, model: TextModel, stage: Stage) -> Evaluation:
    """Measure a run and the baselines on its validation split. Raises the errors of `held_out_subject` and `assess`."""
    subject = held_out_subject([(run, model)])
    return subject, list(assess(subject, stage, block_length=BLOCK_LENGTH))


def judge_fresh_texts(path: Path, model: TextModel) -> Judgement:
    """Draw texts with a fixed random seed and find the copies in them.

    A model of labelled documents writes an equal number for each label. Raises the errors of `training_texts`, and ConfigError
    for a corpus that is too large.
    """
    characters = model.provenance.get("characters")
    if type(characters) is int and characters > LARGEST_CORPUS:
        raise ConfigError(f"a corpus of more than {LARGEST_CORPUS:,} characters is not searched for copies")
    judge = NoveltyJudge(training_texts([path]), model.reading)
    texts = [text for one, count in _shares(model) for text in _drawn(one, count)]
    novelty = judge.judge(texts, COPY_LENGTH)
    return Judgement(texts=texts, novelty=novelty, corpus=judge.name, corpus_characters=judge.num_characters)


def _shares(model: TextModel) -> list[tuple[TextModel, int]]:
    """Return the model set to each label, and the number of texts to draw."""
    count = LINES if model.reading == "line" else TEXTS
    labels = model.vocabulary.labels[:count]
    if not labels:
        return [(model, count)]
    return [(model.with_label(label), max(1, count // len(labels))) for label in labels]


def _drawn(model: TextModel, count: int) -> list[str]:
    length = None if model.reading == "line" else LENGTH
    options = WritingOptions(random_seed=RANDOM_SEED, count=count, length=length, distinct=False)
    return make_request(model, "", options).write().texts


def result_or_reason(work: Callable[[], Found]) -> tuple[Found | None, str]:
    """Return the result of `work` and "", or None and the message of its error."""
    try:
        return work(), ""
    except ChargenError as error:
        return None, error.message
