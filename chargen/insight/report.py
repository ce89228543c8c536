"""Collect what is known of a run: its settings, its epochs, what it writes, and how new that is."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from chargen.errors import ChargenError, ConfigError, RunError
from chargen.insight.comparison import best_figures, training_seconds
from chargen.insight.novelty import Judge, Novelty
from chargen.network.model_file import TextModel, num_class_outputs, read_metadata
from chargen.network.network import weight_shapes
from chargen.runs.curves import Curve, Panel
from chargen.runs.directory import RunDirectory
from chargen.runs.gradients import read_gradient_panels
from chargen.runs.metrics import History, read_history
from chargen.runs.samples import SampleText, read_samples
from chargen.runs.trained_text import read_settings, training_texts
from chargen.settings.schema import Settings, declared_settings
from chargen.writing.prompt import read_prompt
from chargen.writing.request import Request

RANDOM_SEED = 1  # of the texts that are drawn for a report, so that it can be made once more
LINES, TEXTS, LENGTH = 40, 3, 400  # drawn for it: lines, or other texts and their tokens
COPY_LENGTH = 20  # characters from which on a span that stands in the corpus is a copy
LARGEST_CORPUS = 10_000_000  # characters; to find copies in more takes gigabytes

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What the files of a run tell without running it.

    metadata: the model file's, as `read_metadata` gives it. history: None before the first epoch was done. reasons: why
    settings were chosen. versions: of what trained, by name; none of older runs. seconds: of training, None where no checkpoint
    tells. best: epoch and figures of the best validation. notes: what could not be read, by the part that it belongs to.
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
        """Whether the run tells labels, and writes no text."""
        return bool(self.metadata["task"] == "classify")


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """A setting that is not its default. default: its value, or words for what it stands for where that is open."""

    name: str
    value: Any
    default: Any
    help: str


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Texts drawn for a report and what of them is copied from the corpus."""

    texts: Sequence[str]
    novelty: Novelty
    corpus: str
    corpus_characters: int


def read_record(model: Path) -> RunRecord:
    """Read what is known of the run of a model file.

    Raises RunError for a run without settings or with a damaged metrics.csv, and ModelFileError for a damaged model. Sample
    texts or a gradient log that cannot be read are told of in the notes.
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
        reasons=_comments(run.config),
        versions=read("versions", _versions, run.versions, {}),
        num_parameters=_num_parameters(metadata),
        history=history,
        seconds=training_seconds(run),
        best=best_figures(history, metadata["provenance"]) if history else {},
        samples=read("samples", read_samples, run.samples, []),
        gradients=read("gradients", read_gradient_panels, run.gradients, {}),
        notes=notes,
    )


def _num_parameters(metadata: dict[str, Any]) -> int:
    outputs = num_class_outputs(len(metadata["labels"])) if metadata["task"] == "classify" else None
    return sum(map(prod, weight_shapes(metadata["network"], len(metadata["vocabulary"]), num_outputs=outputs).values()))


def _versions(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        return {name: str(version) for name, version in tomllib.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _comments(config: Path) -> list[str]:
    """Return the lines in front of a run's settings, which say why they were chosen."""
    lines = config.read_text(encoding="utf-8").splitlines()
    first = next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    return [line[2:] for line in lines[:first]]


def changed_settings(settings: Settings) -> list[SettingRow]:
    """Return the settings that are not their defaults, in order."""
    values = settings.to_mapping()
    rows = []
    for section, one, _, detail in declared_settings():
        value = getattr(getattr(settings, section), one.name)
        default = detail.unset if one.default is None else one.default
        if one.name in values[section] and value != default:
            rows.append(SettingRow(name=f"{section}.{one.name}", value=value, default=default, help=detail.help))
    return rows


def accuracy_panel(history: History) -> Panel | None:
    """Return the accuracies of a classifier's epochs, None for a run that writes text."""
    curves = []
    for column, label in (("accuracy", "training"), ("validation_accuracy", "validation")):
        points = [(row["epoch"], row[column]) for row in history.rows if row.get(column) is not None]
        if points:
            epochs, values = zip(*points, strict=True)
            curves.append(Curve(label=label, run=0, held_out=label != "training", epochs=epochs, values=values))
    return Panel(title="texts told right", curves=tuple(curves)) if curves else None


def judge_fresh_texts(path: Path, model: TextModel) -> Judgement:
    """Draw texts with a fixed random seed and find what of them stands in the corpus.

    Of a model of labelled documents each label gets its share. Raises what `training_texts` raises, and ConfigError for a
    corpus that is too large.
    """
    characters = model.provenance.get("characters")
    if type(characters) is int and characters > LARGEST_CORPUS:
        raise ConfigError(f"a corpus of more than {LARGEST_CORPUS:,} characters is not searched for copies")
    judge = Judge(training_texts([path]), model.reading)
    texts = [text for one, count in _shares(model) for text in _drawn(one, count)]
    novelty = judge.judge(texts, COPY_LENGTH)
    return Judgement(texts=texts, novelty=novelty, corpus=judge.name, corpus_characters=judge.num_characters)


def _shares(model: TextModel) -> list[tuple[TextModel, int]]:
    """Return the model as it writes each label, and how many texts are drawn of it."""
    count = LINES if model.reading == "line" else TEXTS
    labels = model.vocabulary.labels[:count]
    if not labels:
        return [(model, count)]
    return [(model.with_label(label), max(1, count // len(labels))) for label in labels]


def _drawn(model: TextModel, count: int) -> list[str]:
    length = None if model.reading == "line" else LENGTH
    request = Request(random_seed=RANDOM_SEED, count=count, length=length, distinct=False)
    return request.write(model, read_prompt(model.vocabulary, "")).texts


def explained(work: Callable[[], Found]) -> tuple[Found | None, str]:
    """Return what some work finds, or None and one line that says why it cannot be done."""
    try:
        return work(), ""
    except ChargenError as error:
        return None, error.message
